//! Files and the registry: what is refused, and how; devices that a driver opens by name.

use std::ptr;
use std::sync::Mutex;

use windows_sys::Wdk::Foundation as wdk;

use crate::ground::abi::Abi;
use crate::ground::types::{Counted, UnicodeString};
use crate::kernel::exports::SERVICES;
use crate::kernel::ob::references;
use crate::tests::{BOTH, call, routine, scene};

const PATH_NOT_FOUND: i32 = 0xC000_003A_u32.cast_signed();
const INVALID_HANDLE: i32 = 0xC000_0008_u32.cast_signed();
const TYPE_MISMATCH: i32 = 0xC000_0024_u32.cast_signed();
const NOT_FOUND: i32 = 0xC000_0034_u32.cast_signed();
const INVALID_REQUEST: i32 = 0xC000_0010_u32.cast_signed();
const NO_SUCH_DEVICE: i32 = 0xC000_000E_u32.cast_signed();

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

#[test]
fn opening_a_file_is_refused_and_printed() {
    let scene = scene();
    for abi in BOTH {
        let mut name = Name::new(&format!(r"\??\C:\secret{abi:?}.txt"));
        let name = name.string();
        let attributes = [0x30_usize, 0, &raw const name as usize, 0, 0, 0];
        let (mut handle, mut block) = (7_usize, [7_usize; 2]);
        let created = call!(abi, ZwCreateFile(
            &raw mut handle => *mut usize, 1 => u32, attributes.as_ptr() => *const usize, block.as_mut_ptr() => *mut usize,
            0 => usize, 0 => u32, 0 => u32, 1 => u32, 0 => u32, 0 => usize, 0 => u32,
        ) -> i32);
        let opened = call!(abi, ZwOpenFile(
            &raw mut handle => *mut usize, 1 => u32, attributes.as_ptr() => *const usize, block.as_mut_ptr() => *mut usize,
            0 => u32, 0 => u32,
        ) -> i32);
        assert_eq!((created, opened, handle), (PATH_NOT_FOUND, PATH_NOT_FOUND, 7));
        let heard = scene.heard.0.lock().unwrap();
        for function in ["ZwCreateFile", "ZwOpenFile"] {
            let line = format!(r"{function} of \??\C:\secret{abi:?}.txt is refused");
            assert!(heard.iter().any(|text| text.contains(&line)), "{line}: {heard:?}");
        }
    }
}

#[test]
fn no_handle_is_one_of_a_file_or_a_key() {
    scene();
    for abi in BOTH {
        let mut block = [0_usize; 2];
        let read = |file: usize| {
            call!(abi, ZwReadFile(
                file => usize, 0 => usize, 0 => usize, 0 => usize, 0 => usize, 0 => usize, 0 => u32, 0 => usize, 0 => usize,
            ) -> i32)
        };
        assert_eq!(read(0x1234_5670), INVALID_HANDLE);
        assert_eq!(read(usize::MAX - 1), TYPE_MISMATCH, "a handle of a thread");
        let status = call!(abi, ZwQueryInformationFile(
            4 << 20 => usize, block.as_mut_ptr() => *mut usize, 0 => usize, 0 => u32, 5 => i32,
        ) -> i32);
        assert_eq!(status, INVALID_HANDLE);
        let key = 4_usize << 20;
        let mut needed = 0_u32;
        let statuses = [
            call!(abi, ZwEnumerateKey(key => usize, 0 => u32, 0 => u32, 0 => usize, 0 => u32, &raw mut needed => *mut u32) -> i32),
            call!(abi, ZwEnumerateValueKey(
                key => usize, 0 => u32, 0 => u32, 0 => usize, 0 => u32, &raw mut needed => *mut u32,
            ) -> i32),
            call!(abi, ZwQueryKey(key => usize, 0 => u32, 0 => usize, 0 => u32, &raw mut needed => *mut u32) -> i32),
            call!(abi, ZwDeleteKey(key => usize) -> i32),
            call!(abi, ZwDeleteValueKey(key => usize, 0 => usize) -> i32),
            call!(abi, ZwFlushKey(key => usize) -> i32),
        ];
        assert_eq!(statuses, [INVALID_HANDLE; 6], "no key can be open");
    }
}

static SEEN: Mutex<Vec<u8>> = Mutex::new(Vec::new());

routine! { fn answer(_device: usize, irp: usize) -> i32 {
    // SAFETY: a request, which has the pointer to its current location there.
    let major = unsafe { *((irp + 0xb8) as *const *const u8) };
    // SAFETY: a location begins with the major function.
    SEEN.lock().unwrap().push(unsafe { major.read() });
    // SAFETY: the status of the request.
    unsafe { ((irp + 0x30) as *mut i32).write(0) };
    call!(Abi::SysV, IofCompleteRequest(irp => usize, 0 => i8));
    0
} }

/// "IoGetDeviceObjectPointer returns a pointer to the top object in the named device object's stack and a pointer to the
/// corresponding file object"; the caller dereferences the file object.
#[test]
fn a_driver_opens_its_own_device_by_name_and_closes_it_with_the_last_reference() {
    let _one = crate::tests::alone();
    scene();
    for abi in BOTH {
        let mut device_name = Name::new(&format!(r"\Device\Opened{abi:?}"));
        let mut link_name = Name::new(&format!(r"\DosDevices\Opened{abi:?}"));
        let mut other_name = Name::new(&format!(r"\??\opened{abi:?}"));
        let (name, link, other) = (device_name.string(), link_name.string(), other_name.string());
        // SAFETY: a dispatch routine.
        let dispatch = unsafe { std::mem::transmute::<usize, wdk::DRIVER_DISPATCH>(answer(abi)) };
        let mut driver = wdk::DRIVER_OBJECT { MajorFunction: [dispatch; 28], ..Default::default() };
        let mut device = 0_usize;
        call!(abi, IoCreateDevice(
            ptr::from_mut(&mut driver) => *mut wdk::DRIVER_OBJECT, 0 => u32, &raw const name => *const UnicodeString,
            0x22 => u32, 0 => u32, 0 => u8, &raw mut device => *mut usize,
        ) -> i32);
        call!(abi, IoCreateSymbolicLink(
            &raw const link => *const UnicodeString, &raw const name => *const UnicodeString,
        ) -> i32);
        let (mut file, mut top) = (0_usize, 0_usize);
        let mut open = |name: &UnicodeString| {
            let status = call!(abi, IoGetDeviceObjectPointer(
                ptr::from_ref(name) => *const UnicodeString, 1 => u32, &raw mut file => *mut usize, &raw mut top => *mut usize,
            ) -> i32);
            (status, file, top)
        };
        assert_eq!(open(&name).0, NO_SUCH_DEVICE, "it is still initialising");
        // SAFETY: the flags of the device.
        unsafe { ((device + 0x30) as *mut u32).write(0) };
        let (status, file, top) = open(&other);
        assert_eq!((status, top), (0, device), "by a link, whose beginnings are equal");
        // SAFETY: a file object.
        assert_eq!(unsafe { ((file + 8) as *const usize).read() }, device, "DeviceObject");
        assert_eq!(
            std::mem::take(&mut *SEEN.lock().unwrap()),
            [0, 0x12],
            "opened, and its handle closed"
        );
        call!(abi, ObfDereferenceObject(file => usize) -> isize);
        assert_eq!(std::mem::take(&mut *SEEN.lock().unwrap()), [2], "IRP_MJ_CLOSE");
        let mut refusing = wdk::DRIVER_OBJECT::default();
        // SAFETY: what the loader puts there.
        let refuse = unsafe {
            std::mem::transmute::<*const std::ffi::c_void, wdk::DRIVER_DISPATCH>((SERVICES.refuse)(
                abi,
            ))
        };
        refusing.MajorFunction = [refuse; 28];
        // SAFETY: the device's driver.
        unsafe { ((device + 8) as *mut usize).write(&raw mut refusing as usize) };
        assert_eq!(open(&name).0, INVALID_REQUEST, "a driver without a function for it refuses");
        let counted = |object: usize| references::kind_of(object);
        assert_eq!(
            (counted(file), counted(device)),
            (None, None),
            "nothing refers to them any more"
        );
        // SAFETY: the device's driver.
        unsafe { ((device + 8) as *mut usize).write(&raw mut driver as usize) };
        let mut missing = Name::new(r"\Device\OfAnotherDriver");
        assert_eq!(open(&missing.string()).0, NOT_FOUND);
        call!(abi, IoDeleteSymbolicLink(&raw const link => *const UnicodeString) -> i32);
        call!(abi, IoDeleteDevice(device => usize));
    }
}
