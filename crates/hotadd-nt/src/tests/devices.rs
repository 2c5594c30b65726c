//! Devices, links, extensions, work items, and requests for objects that do not exist.

use std::ffi::c_void;
use std::ptr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Sender, channel};

use windows_sys::Wdk::Foundation as wdk;

use crate::ground::abi::Abi;
use crate::ground::foreign::Out;
use crate::ground::types::{Counted, DriverObject, UnicodeString};
use crate::kernel::io::{devices, reinit, work};
use crate::tests::{BOTH, call, scene};

const COLLISION: i32 = 0xC000_0035_u32.cast_signed();
const NOT_FOUND: i32 = 0xC000_0034_u32.cast_signed();

/// Names belong to the whole process, so only one test at a time creates some.
static ONE: Mutex<()> = Mutex::new(());

struct Name(Vec<u16>);

impl Name {
    fn new(text: &str) -> Self {
        Self(text.encode_utf16().collect())
    }

    fn string(&mut self) -> UnicodeString {
        let length = u16::try_from(size_of_val(&*self.0)).unwrap();
        Counted { length, maximum_length: length, buffer: self.0.as_mut_ptr() }
    }
}

fn driver() -> wdk::DRIVER_OBJECT {
    wdk::DRIVER_OBJECT { Size: 0x150, ..Default::default() }
}

fn create(
    abi: Abi,
    driver: &mut wdk::DRIVER_OBJECT,
    name: Option<&str>,
    extension: u32,
) -> (i32, *mut wdk::DEVICE_OBJECT) {
    let mut device = ptr::null_mut();
    let mut name = name.map(Name::new);
    let string = name.as_mut().map(Name::string);
    let name = string.as_ref().map_or(ptr::null(), ptr::from_ref);
    let status = call!(abi, IoCreateDevice(
        ptr::from_mut(driver) => *mut wdk::DRIVER_OBJECT, extension => u32, name => *const UnicodeString,
        0x22 => u32, 0x100 => u32, 1 => u8, &raw mut device => *mut *mut wdk::DEVICE_OBJECT,
    ) -> i32);
    (status, device)
}

#[test]
fn devices_are_in_their_drivers_list_until_they_are_deleted() {
    let _one = ONE.lock().unwrap();
    scene();
    for abi in BOTH {
        let mut driver = driver();
        let (status, first) = create(abi, &mut driver, Some(r"\Device\One"), 24);
        assert_eq!(status, 0);
        let (_, second) = create(abi, &mut driver, None, 0);
        let (_, third) = create(abi, &mut driver, None, 8);
        // SAFETY: a device that was just made.
        let device = unsafe { first.read() };
        assert_eq!((device.Type, device.Size), (3, 0x150 + 24));
        assert_eq!((device.DeviceType, device.Characteristics, device.StackSize), (0x22, 0x100, 1));
        assert_eq!(device.Flags, 0x80 | 0x40 | 0x8, "initialising, named, exclusive");
        assert_eq!(device.DriverObject, &raw mut driver);
        assert_eq!(device.DeviceExtension, first.wrapping_byte_add(0x150).cast::<c_void>());
        // SAFETY: that many bytes behind the device.
        let extension = unsafe { device.DeviceExtension.cast::<[u8; 24]>().read() };
        assert_eq!(extension, [0; 24], "an extension is zeroed");
        // SAFETY: a device that was just made.
        assert_eq!(unsafe { second.read() }.DeviceExtension, ptr::null_mut());
        let list = || {
            let (mut at, mut devices) = (driver.DeviceObject, Vec::new());
            while !at.is_null() {
                devices.push(at);
                // SAFETY: in the list are devices.
                at = unsafe { at.read() }.NextDevice;
            }
            devices
        };
        assert_eq!(list(), [third, second, first]);
        call!(abi, IoDeleteDevice(second => *mut wdk::DEVICE_OBJECT));
        assert_eq!(list(), [third, first]);
        call!(abi, IoDeleteDevice(third => *mut wdk::DEVICE_OBJECT));
        assert_eq!(list(), [first]);
        call!(abi, IoDeleteDevice(first => *mut wdk::DEVICE_OBJECT));
        assert_eq!(list(), []);
    }
}

#[test]
fn device_names_and_links_are_unique_regardless_of_case() {
    let _one = ONE.lock().unwrap();
    scene();
    for abi in BOTH {
        let mut driver = driver();
        let (_, device) = create(abi, &mut driver, Some(r"\Device\Name"), 0);
        assert_eq!(create(abi, &mut driver, Some(r"\DEVICE\name"), 0).0, COLLISION);
        let (mut link, mut target) = (Name::new(r"\DosDevices\Link"), Name::new(r"\Device\Name"));
        let (link, target) = (link.string(), target.string());
        let make = || {
            call!(abi, IoCreateSymbolicLink(
                &raw const link => *const UnicodeString, &raw const target => *const UnicodeString,
            ) -> i32)
        };
        assert_eq!((make(), make()), (0, COLLISION));
        let delete =
            || call!(abi, IoDeleteSymbolicLink(&raw const link => *const UnicodeString) -> i32);
        assert_eq!((delete(), delete()), (0, NOT_FOUND));
        call!(abi, IoDeleteDevice(device => *mut wdk::DEVICE_OBJECT));
        let (status, device) = create(abi, &mut driver, Some(r"\Device\Name"), 0);
        assert_eq!(status, 0, "a deleted device's name is free");
        call!(abi, IoDeleteDevice(device => *mut wdk::DEVICE_OBJECT));
    }
}

#[test]
fn devices_and_links_left_behind_are_counted_and_extensions_freed() {
    let _one = ONE.lock().unwrap();
    scene();
    for abi in BOTH {
        let mut driver = driver();
        let at = &raw mut driver;
        let mut memory = ptr::null_mut();
        let mut extend = |id: usize| {
            call!(abi, IoAllocateDriverObjectExtension(
                at => *mut wdk::DRIVER_OBJECT, id => usize, 32 => u32, &raw mut memory => *mut *mut c_void,
            ) -> i32)
        };
        assert_eq!((extend(7), extend(7)), (0, COLLISION));
        let find = |id: usize| call!(abi, IoGetDriverObjectExtension(at => *mut wdk::DRIVER_OBJECT, id => usize) -> *mut c_void);
        assert_eq!((find(7), find(8)), (memory, ptr::null_mut()));
        let (mut link, mut target) = (Name::new(r"\DosDevices\Left"), Name::new(r"\Device\X"));
        let (link, target) = (link.string(), target.string());
        call!(abi, IoCreateSymbolicLink(
            &raw const link => *const UnicodeString, &raw const target => *const UnicodeString,
        ) -> i32);
        create(abi, &mut driver, None, 0);
        let left = devices::forget((&raw const driver).cast::<DriverObject>());
        assert_eq!((left.devices, left.links), (1, 1));
        assert_eq!(find(7), ptr::null_mut());
    }
}

static CALLS: AtomicUsize = AtomicUsize::new(0);

/// A work item's function. It reports each call with its arguments.
extern "C" fn work(object: usize, context: *const Sender<(usize, usize)>, item: usize) {
    CALLS.fetch_add(1, Ordering::Relaxed);
    // SAFETY: the test waits until this was used.
    let sender = unsafe { (*context).clone() };
    sender.send((object, item)).unwrap();
}

#[test]
fn a_work_items_function_runs_once_for_each_queueing() {
    scene();
    let (sender, receiver) = channel::<(usize, usize)>();
    let context = (&raw const sender) as usize;
    for abi in BOTH {
        let item = call!(abi, IoAllocateWorkItem(0x1234 => usize) -> usize);
        for _ in 0..3 {
            call!(abi, IoQueueWorkItemEx(item => usize, work as *const () as usize => usize, 1 => u32, context => usize));
            assert_eq!(receiver.recv().unwrap(), (0x1234, item));
        }
        call!(abi, IoFreeWorkItem(item => usize));
    }
    assert_eq!(CALLS.load(Ordering::Relaxed), 6);
    while work::busy() != 0 {
        std::thread::yield_now();
    }
}

#[test]
fn requests_for_missing_services_return_the_documented_status() {
    for abi in BOTH {
        let mut out = 7_usize;
        let open = call!(abi, ZwOpenKey(&raw mut out => *mut usize, 1 => u32, 0 => usize) -> i32);
        assert_eq!((open, out), (NOT_FOUND, 7));
        let mut handle = 0_u64;
        let trace = call!(abi, EtwRegister(0 => usize, 0 => usize, 0 => usize, &raw mut handle => *mut u64) -> i32);
        assert_eq!(trace, 0, "tracing is accepted, and dropped");
        assert_eq!(call!(abi, EtwProviderEnabled(handle => u64, 0 => u8, 0 => u64) -> u8), 0);
        assert_eq!(call!(abi, ExGetPreviousMode() -> i8), 0, "KernelMode");
        let (system, current) = (
            crate::kernel::ob::types::PsInitialSystemProcess.address(),
            call!(abi, IoGetCurrentProcess() -> usize),
        );
        assert_eq!(system, current);
    }
}

/// `extern POBJECT_TYPE *PsThreadType`, and `*PsThreadType` is the type. A native driver finds it as a
/// symbol, a `.sys` through an import slot.
#[test]
fn an_object_types_variable_is_found_natively_and_by_import() {
    unsafe extern "C" {
        static PsThreadType: *const *const c_void;
    }
    // SAFETY: a static, never written.
    let symbol = unsafe { PsThreadType };
    let slot = crate::kernel::exports::find("PsThreadType").unwrap().address(Abi::Win64).cast();
    assert_eq!(symbol, slot, "both are the variable's address");
    // SAFETY: a variable that holds an address.
    let one = unsafe { *symbol };
    let other = crate::kernel::ob::types::variables::PsProcessType.address();
    assert!(!one.is_null() && one as usize != other, "each type is distinct");
}

/// A function that asks to be called again, twice.
extern "C" fn again(driver: usize, context: &Sender<u32>, count: u32) {
    context.send(count).unwrap();
    if count < 2 {
        let routine = again as *const () as usize;
        call!(Abi::SysV, IoRegisterDriverReinitialization(
            driver => usize, routine => usize, ptr::from_ref(context) as usize => usize,
        ));
    }
}

#[test]
fn a_reinitialization_routine_is_called_after_the_drivers_entry() {
    scene();
    for abi in BOTH {
        let mut extension = [0_usize; 8];
        let mut driver = driver();
        driver.DriverExtension = extension.as_mut_ptr().cast();
        let (sender, receiver) = channel::<u32>();
        let at = &raw mut driver as usize;
        // SAFETY: the driver's object, which outlives what is called for it.
        let object = unsafe { Out::new(at as *mut DriverObject) };
        call!(abi, IoRegisterDriverReinitialization(
            at => usize, again as *const () as usize => usize, &raw const sender as usize => usize,
        ));
        assert!(receiver.try_recv().is_err(), "not called before its entry has returned");
        reinit::run(object);
        assert_eq!(
            receiver.try_iter().collect::<Vec<_>>(),
            [1, 2],
            "the count says which time it is"
        );
        assert_eq!(extension[2], 2, "the count is in its extension");
        reinit::run(object);
        assert!(receiver.try_recv().is_err(), "each request leads to one call");
    }
}
