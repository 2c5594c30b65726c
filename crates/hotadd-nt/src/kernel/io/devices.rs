//! Devices and their names. They store what a driver keeps in them. No program can open them, only the driver itself.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ffi::c_void;
use std::mem::offset_of;
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};

use hotadd::Status;

use crate::ground::caller;
use crate::ground::declare::nt;
use crate::ground::foreign::{In, Out, part};
use crate::ground::probe;
use crate::ground::types::{Boolean, DriverObject, NtStatus, UnicodeString, nt_status};
use crate::kernel::ke::device_queues::{self, Queue};
use crate::kernel::ob::references;
use crate::kernel::rtl::{buffers, case};

/// `DEVICE_OBJECT`, with the fields that are used.
#[repr(C, align(16))]
#[derive(Clone, Copy)]
pub(crate) struct Device {
    kind: i16,
    size: u16,
    pub(super) references: i32,
    pub(super) driver: Out<DriverObject>,
    next: Out<Device>,
    pub(super) attached: Out<Device>,
    irp: usize,
    timer: usize,
    pub(super) flags: u32,
    characteristics: u32,
    vpb: usize,
    extension: usize,
    device_type: u32,
    pub(super) stack_size: i8,
    _queue: [u64; (0x98 - 0x50) / 8],
    pub(super) alignment: u32,
    requests: Queue,
    /// A DPC and a lock for requests.
    _rest: [u64; (0x150 - 0xc8) / 8],
}

const _: () = assert!(size_of::<Device>() == 0x150);
const _: () = assert!(offset_of!(Device, requests) == 0xa0);

/// `IO_TYPE_DEVICE`
const DEVICE: i16 = 3;

/// `DO_...`
pub(super) mod flag {
    pub(crate) const BUFFERED_IO: u32 = 0x4;
    pub(crate) const EXCLUSIVE: u32 = 0x8;
    pub(crate) const DIRECT_IO: u32 = 0x10;
    pub(crate) const HAS_NAME: u32 = 0x40;
    pub(crate) const INITIALIZING: u32 = 0x80;
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

    /// Accepted. A shutdown request never arrives: a driver's process ends with its unload.
    fn IoRegisterShutdownNotification(_device: In<Device>) -> NtStatus { nt_status(Status::SUCCESS) }

    /// As `IoRegisterShutdownNotification`.
    fn IoRegisterLastChanceShutdownNotification(_device: In<Device>) -> NtStatus {
        nt_status(Status::SUCCESS)
    }

    /// Accepted.
    fn IoUnregisterShutdownNotification(_device: In<Device>) {}

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
    /// Devices that were deleted while there were references to them.
    deleted: BTreeSet<usize>,
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
    if probe::fails() {
        return Status::INSUFFICIENT_RESOURCES;
    }
    let name = name.non_null().map(folded).filter(|name| !name.is_empty());
    let mut table = table();
    let taken = |name: &Vec<u16>| {
        table.links.contains_key(name)
            || table.devices.values().any(|its| its.as_ref() == Some(name))
    };
    if name.as_ref().is_some_and(taken) {
        return Status::OBJECT_NAME_COLLISION;
    }
    references::at_end(references::Kind::Other, dereferenced);
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
        attached: Out::null(),
        irp: 0,
        timer: 0,
        flags,
        characteristics,
        vpb: 0,
        extension: if extension == 0 { 0 } else { device.skip(1).as_ptr() as usize },
        device_type: kind,
        stack_size: 1,
        _queue: [0; _],
        alignment: 0,
        requests: Queue::default(),
        _rest: [0; _],
    });
    device_queues::initialize(part!(device, Device.requests));
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
    let Device { driver, next, attached, .. } = device.get();
    if !attached.is_null() {
        caller::breach("IoDeleteDevice: another device is still attached to this one");
    }
    // The link to it, in the list's head or in another device.
    let mut link = first(driver);
    while let Some(other) = link.get().non_null() {
        if other.as_ptr() == device.as_ptr() {
            link.put(next);
            break;
        }
        link = other.field(offset_of!(Device, next));
    }
    let address = device.as_ptr() as usize;
    if references::kind_of(address).is_some() {
        // The last reference frees it.
        table().deleted.insert(address);
    } else {
        release(device);
    }
}

/// Frees the memory of a device that was deleted.
fn release(device: Out<Device>) {
    // SAFETY: `create` allocated it, and it is no longer in the table or the list.
    unsafe { libc::free(device.as_ptr().cast()) };
}

/// Frees a device whose last reference was removed, if it was deleted.
fn dereferenced(object: usize) {
    if table().deleted.remove(&object) {
        // SAFETY: it was a device when it was deleted, and it was not freed since.
        release(unsafe { Out::new(object as *mut Device) });
    }
}

/// Ends the process if this is not a device.
pub(super) fn expect(function: &str, device: Out<Device>) {
    if part!(device, Device.kind).get() != DEVICE {
        caller::fault(format!("calls {function} for {device:?}, which is not a device"));
    }
}

/// All devices.
pub(super) fn all() -> Vec<Out<Device>> {
    let all: Vec<usize> = table().devices.keys().copied().collect();
    // SAFETY: a device in the table is alive, and the driver deletes none while a verifier uses it.
    all.into_iter().map(|address| unsafe { Out::new(address as *mut Device) }).collect()
}

/// The device with a name, which may be a link.
pub(super) fn by_name(name: In<UnicodeString>) -> Option<Out<Device>> {
    /// How many links may lead to one another.
    const MOST: usize = 32;
    let (mut name, table) = (plain(folded(name)), table());
    for _ in 0..MOST {
        let same =
            |its: &Option<Vec<u16>>| its.as_ref().is_some_and(|its| plain(its.clone()) == name);
        if let Some((address, _)) = table.devices.iter().find(|(_, its)| same(its)) {
            // SAFETY: devices are in the table until they are freed.
            return Some(unsafe { Out::new(*address as *mut Device) });
        }
        let link = table.links.iter().find(|(link, _)| plain((*link).clone()) == name)?;
        name = plain(link.1.clone());
    }
    None
}

/// A name with one of the equal beginnings of links.
fn plain(name: Vec<u16>) -> Vec<u16> {
    for beginning in [r"\DOSDEVICES\", r"\GLOBAL??\"] {
        let beginning: Vec<u16> = beginning.encode_utf16().collect();
        if let Some(rest) = name.strip_prefix(beginning.as_slice()) {
            return r"\??\".encode_utf16().chain(rest.iter().copied()).collect();
        }
    }
    name
}

/// Marks the devices of a driver as initialised, as the system does after its entry.
pub(crate) fn initialized(driver: Out<DriverObject>) {
    let devices: Vec<usize> = table().devices.keys().copied().collect();
    for address in devices {
        // SAFETY: devices are in the table until they are freed, and the driver's entry has returned.
        let device: Out<Device> = unsafe { Out::new(address as *mut Device) };
        if part!(device, Device.driver).get().as_ptr() == driver.as_ptr() {
            let flags = part!(device, Device.flags);
            flags.put(flags.get() & !flag::INITIALIZING);
        }
    }
}

fn link_to(link: In<UnicodeString>, device: In<UnicodeString>) -> Status {
    if probe::fails() {
        return Status::INSUFFICIENT_RESOURCES;
    }
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
