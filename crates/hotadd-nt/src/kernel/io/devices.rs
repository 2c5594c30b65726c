//! Devices and their names. They store what a driver keeps in them. Nothing opens them, so no request ever arrives.

use std::collections::{BTreeMap, HashMap};
use std::ffi::c_void;
use std::mem::offset_of;
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};

use hotadd::Status;

use crate::ground::caller;
use crate::ground::export::nt;
use crate::ground::foreign::{In, Out};
use crate::ground::types::{Boolean, DriverObject, NtStatus, UnicodeString, nt_status};
use crate::kernel::rtl::{buffers, case};

/// `DEVICE_OBJECT`, with the fields that are used.
#[repr(C, align(16))]
#[derive(Clone, Copy)]
pub(crate) struct Device {
    kind: i16,
    size: u16,
    references: i32,
    driver: Out<DriverObject>,
    next: Out<Device>,
    attached: usize,
    irp: usize,
    timer: usize,
    flags: u32,
    characteristics: u32,
    vpb: usize,
    extension: usize,
    device_type: u32,
    stack_size: i8,
    /// Queues, a DPC and a lock, all for requests, which do not arrive.
    _requests: [u64; (0x150 - 0x50) / 8],
}

const _: () = assert!(size_of::<Device>() == 0x150);

/// `IO_TYPE_DEVICE`
const DEVICE: i16 = 3;

/// `DO_...`
mod flag {
    pub(super) const EXCLUSIVE: u32 = 0x8;
    pub(super) const HAS_NAME: u32 = 0x40;
    pub(super) const INITIALIZING: u32 = 0x80;
}

nt! {
    /// Creates a device, the first in its driver's list.
    fn IoCreateDevice(
        driver: Out<DriverObject>, extension: u32, name: In<UnicodeString>, kind: u32,
        characteristics: u32, exclusive: Boolean, to: Out<Out<Device>>,
    ) -> NtStatus {
        nt_status(create(driver, extension, name, [kind, characteristics], exclusive != 0, to))
    }

    /// Deletes a device.
    fn IoDeleteDevice(device: Out<Device>) { delete(device) }

    /// Creates a symbolic link to a device's name.
    fn IoCreateSymbolicLink(link: In<UnicodeString>, device: In<UnicodeString>) -> NtStatus {
        nt_status(link_to(link, device))
    }

    /// Creates a symbolic link to a device's name.
    fn IoCreateUnprotectedSymbolicLink(link: In<UnicodeString>, device: In<UnicodeString>) -> NtStatus {
        nt_status(link_to(link, device))
    }

    /// Deletes a symbolic link.
    fn IoDeleteSymbolicLink(link: In<UnicodeString>) -> NtStatus { nt_status(unlink(link)) }

    /// There are no devices of other drivers.
    fn IoGetDeviceObjectPointer(
        _name: In<UnicodeString>, _access: u32, _file: Out<usize>, _device: Out<usize>,
    ) -> NtStatus {
        nt_status(Status::OBJECT_NAME_NOT_FOUND)
    }

    /// Accepted. A shutdown request never arrives: a driver's process ends with its unload.
    fn IoRegisterShutdownNotification(_device: In<Device>) -> NtStatus { nt_status(Status::SUCCESS) }

    /// As `IoRegisterShutdownNotification`.
    fn IoRegisterLastChanceShutdownNotification(_device: In<Device>) -> NtStatus {
        nt_status(Status::SUCCESS)
    }

    /// Accepted.
    fn IoUnregisterShutdownNotification(_device: In<Device>) {}

    /// No request ever arrives, so none can be completed.
    fn IofCompleteRequest(_request: *mut c_void, _boost: i8) {
        caller::fault("completes a request that was never made (IofCompleteRequest)")
    }

    /// Allocates memory for a driver, which is found again by an address that the driver chooses.
    fn IoAllocateDriverObjectExtension(
        driver: Out<DriverObject>, id: usize, size: u32, to: Out<*mut c_void>,
    ) -> NtStatus {
        nt_status(extend(driver, id, size, to))
    }

    /// The memory that was allocated with this address, or null.
    fn IoGetDriverObjectExtension(driver: Out<DriverObject>, id: usize) -> *mut c_void {
        let extension = table().extensions.get(&(driver.as_ptr() as usize, id)).copied();
        extension.unwrap_or(0) as *mut c_void
    }
}

/// Everything that has a name or an owner.
#[derive(Default)]
struct Table {
    /// Devices by address, each with its name.
    devices: BTreeMap<usize, Option<Vec<u16>>>,
    links: BTreeMap<Vec<u16>, Vec<u16>>,
    extensions: HashMap<(usize, usize), usize>,
}

fn table() -> MutexGuard<'static, Table> {
    static TABLE: LazyLock<Mutex<Table>> = LazyLock::new(Mutex::default);
    // A panic while the lock was held ends the process.
    TABLE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Names are compared without regard to case.
fn folded(name: In<UnicodeString>) -> Vec<u16> {
    name.get().units().into_iter().map(case::up).collect()
}

fn create(
    driver: Out<DriverObject>,
    extension: u32,
    name: In<UnicodeString>,
    [kind, characteristics]: [u32; 2],
    exclusive: bool,
    to: Out<Out<Device>>,
) -> Status {
    let name = name.non_null().map(folded).filter(|name| !name.is_empty());
    let mut table = table();
    let taken = |name: &Vec<u16>| {
        table.links.contains_key(name)
            || table.devices.values().any(|its| its.as_ref() == Some(name))
    };
    if name.as_ref().is_some_and(taken) {
        return Status::OBJECT_NAME_COLLISION;
    }
    let size = size_of::<Device>() + extension as usize;
    // SAFETY: it takes only numbers, and all are valid.
    let memory = unsafe { libc::calloc(1, size) };
    if memory.is_null() {
        return Status::INSUFFICIENT_RESOURCES;
    }
    // SAFETY: it was allocated above with room for a device, and lives until `delete` frees it.
    let device: Out<Device> = unsafe { Out::new(memory.cast()) };
    let flags = [(exclusive, flag::EXCLUSIVE), (name.is_some(), flag::HAS_NAME)];
    let flags =
        flags.iter().filter(|(has, _)| *has).fold(flag::INITIALIZING, |all, (_, f)| all | f);
    device.put(Device {
        kind: DEVICE,
        // Including the extension, as documented.
        size: u16::try_from(size).unwrap_or(u16::MAX),
        references: 0,
        driver,
        next: first(driver).get(),
        attached: 0,
        irp: 0,
        timer: 0,
        flags,
        characteristics,
        vpb: 0,
        extension: if extension == 0 { 0 } else { device.skip(1).as_ptr() as usize },
        device_type: kind,
        stack_size: 1,
        _requests: [0; _],
    });
    first(driver).put(device);
    table.devices.insert(device.as_ptr() as usize, name);
    to.put(device);
    Status::SUCCESS
}

/// The head of a driver's list of devices.
fn first(driver: Out<DriverObject>) -> Out<Out<Device>> {
    driver.field(offset_of!(DriverObject, device_object))
}

fn delete(device: Out<Device>) {
    if table().devices.remove(&(device.as_ptr() as usize)).is_none() {
        caller::fault(format!("calls IoDeleteDevice for {device:?}, which is not a device"));
    }
    let Device { driver, next, .. } = device.get();
    // The link to it, in the list's head or in another device.
    let mut link = first(driver);
    while let Some(other) = link.get().non_null() {
        if other.as_ptr() == device.as_ptr() {
            link.put(next);
            break;
        }
        link = other.field(offset_of!(Device, next));
    }
    // SAFETY: `create` allocated it, and it is no longer in the table or the list.
    unsafe { libc::free(device.as_ptr().cast()) };
}

fn link_to(link: In<UnicodeString>, device: In<UnicodeString>) -> Status {
    let (link, device) = (folded(link), folded(device));
    let mut table = table();
    if table.links.contains_key(&link) {
        return Status::OBJECT_NAME_COLLISION;
    }
    table.links.insert(link, device);
    Status::SUCCESS
}

fn unlink(link: In<UnicodeString>) -> Status {
    match table().links.remove(&folded(link)) {
        Some(_) => Status::SUCCESS,
        None => Status::OBJECT_NAME_NOT_FOUND,
    }
}

fn extend(driver: Out<DriverObject>, id: usize, size: u32, to: Out<*mut c_void>) -> Status {
    let mut table = table();
    let key = (driver.as_ptr() as usize, id);
    if table.extensions.contains_key(&key) {
        return Status::OBJECT_NAME_COLLISION;
    }
    let Some(memory) = buffers::allocate(buffers::EXTENSION, size as usize) else {
        return Status::INSUFFICIENT_RESOURCES;
    };
    table.extensions.insert(key, memory as usize);
    to.put(memory);
    Status::SUCCESS
}

/// What a driver has left behind at its unload: devices and links.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Forgotten {
    pub(crate) devices: usize,
    pub(crate) links: usize,
}

/// Removes a driver that was unloaded. Its extensions are freed, as documented. Devices and links that it should
/// have deleted are counted.
pub(crate) fn forget(driver: *const DriverObject) -> Forgotten {
    let mut table = table();
    let mut extensions = std::mem::take(&mut table.extensions);
    extensions.retain(|(of, _), memory| {
        let keep = *of != driver as usize;
        if !keep {
            buffers::free(*memory as *mut c_void);
        }
        keep
    });
    table.extensions = extensions;
    // All links of a process belong to its one driver.
    let left = Forgotten { devices: table.devices.len(), links: table.links.len() };
    table.devices.clear();
    table.links.clear();
    left
}
