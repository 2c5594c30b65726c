//! `IoGetDeviceObjectPointer`: opening a device of this driver by its name, and the file object that results.

use std::collections::HashMap;
use std::sync::LazyLock;

use hotadd::Status;
use parking_lot::Mutex;

use crate::ground::declare::nt;
use crate::ground::foreign::{In, Out, part};
use crate::ground::types::{NtStatus, UnicodeString, nt_status};
use crate::kernel::io::attaching::{self, NO_SUCH_DEVICE};
use crate::kernel::io::devices::{self, Device, flag};
use crate::kernel::io::irp::Location;
use crate::kernel::io::synchronous;
use crate::kernel::ke::irql;
use crate::kernel::ob::references::{self, Kind};
use crate::kernel::rtl::buffers;

/// `FILE_OBJECT`, as far as it is used.
#[repr(C)]
#[derive(Clone, Copy)]
struct FileObject {
    kind: i16,
    size: i16,
    device: Out<Device>,
    _rest: [usize; 25],
}

const _: () = assert!(size_of::<FileObject>() == 0xd8);

/// `IRP_MJ_...`
const CREATE: u8 = 0;
const CLOSE: u8 = 2;
const CLEANUP: u8 = 0x12;

const NAME: &str = "IoGetDeviceObjectPointer";

nt! {
    /// Opens a device by its name. Returns a file object with a reference, and the top of the device's stack. There
    /// are not devices of other drivers.
    fn IoGetDeviceObjectPointer(
        name: In<UnicodeString>, access: u32, file: Out<usize>, device: Out<Out<Device>>,
    ) -> NtStatus {
        match open(name, access) {
            Ok((opened, top)) => {
                file.put(opened);
                device.put(top);
                0
            }
            Err(status) => nt_status(status),
        }
    }
}

/// The open files, each with the device that was opened.
static FILES: LazyLock<Mutex<HashMap<usize, usize>>> = LazyLock::new(Mutex::default);

fn open(name: In<UnicodeString>, access: u32) -> Result<(usize, Out<Device>), Status> {
    irql::at_most(NAME, irql::PASSIVE);
    let device = devices::by_name(name).ok_or(Status::OBJECT_NAME_NOT_FOUND)?;
    open_device(device, access)
}

fn open_device(device: Out<Device>, access: u32) -> Result<(usize, Out<Device>), Status> {
    let flags = part!(device, Device.flags).get();
    if flags & flag::INITIALIZING != 0 {
        return Err(NO_SUCH_DEVICE);
    }
    let count = part!(device, Device.references);
    if flags & flag::EXCLUSIVE != 0 && count.get() > 0 {
        return Err(Status::ACCESS_DENIED);
    }
    let memory = buffers::allocate(buffers::FILE, size_of::<FileObject>());
    let memory = memory.ok_or(Status::INSUFFICIENT_RESOURCES)?;
    // SAFETY: it has this size, and lives until `forget` frees it.
    let object: Out<FileObject> = unsafe { Out::new(memory.cast()) };
    /// `IO_TYPE_FILE`
    const KIND: i16 = 5;
    object.put(FileObject { kind: KIND, size: 0xd8, device, _rest: [0; 25] });
    let file = memory as usize;
    // The system refers to the device as long as the file is open.
    references::add(device.as_ptr() as usize, Kind::Other);
    count.put(count.get().saturating_add(1));
    FILES.lock().insert(file, device.as_ptr() as usize);
    references::at_end(Kind::File, forget);
    // Before the driver can add a reference of its own.
    references::add(file, Kind::File);
    let top = attaching::top_with_reference(device);
    let status = create(top, file, access);
    if status < 0 {
        references::drop_one(NAME, top.as_ptr() as usize);
        // It was never open, so the driver hears of no closing.
        FILES.lock().remove(&file);
        references::drop_one(NAME, file);
        close(file, device, false);
        return Err(Status::from_raw(status.cast_unsigned()));
    }
    // The handle is closed, and the reference keeps the file.
    send(top, CLEANUP, file);
    references::drop_one(NAME, top.as_ptr() as usize);
    Ok((file, top))
}

/// Uses each device, as a program would: opens it, sends a control code that no device has, and closes it. For verifiers: it runs the
/// driver's own code where it has devices.
pub(crate) fn use_all() {
    /// `IRP_MJ_DEVICE_CONTROL`
    const CONTROL: u8 = 0xe;
    /// `FILE_READ_DATA`
    const READ: u32 = 1;
    for device in devices::all() {
        // A driver may refuse to have it opened.
        let Ok((file, top)) = open_device(device, READ) else { continue };
        send(top, CONTROL, file);
        references::drop_one(NAME, file);
    }
}

/// Asks the driver whether the device may be opened.
fn create(device: Out<Device>, file: usize, access: u32) -> NtStatus {
    /// `FILE_OPEN`, in the upper byte.
    const OPEN: u64 = 1 << 24;
    // IO_SECURITY_CONTEXT: two pointers, the access, options.
    let security = [0, 0, u64::from(access)];
    synchronous::send(NAME, device, file, |location| {
        part!(location, Location.major).put(CREATE);
        part!(location, Location.parameters).put([(&raw const security) as u64, OPEN, 0, 0]);
    })
}

fn send(device: Out<Device>, major: u8, file: usize) {
    synchronous::send(NAME, device, file, |location| part!(location, Location.major).put(major));
}

/// Ends a file that has no reference any more.
fn forget(file: usize) {
    let device = FILES.lock().get(&file).copied();
    if let Some(device) = device {
        // SAFETY: the file has a reference to the device, which keeps it.
        close(file, unsafe { Out::new(device as *mut Device) }, true);
    }
}

fn close(file: usize, device: Out<Device>, tell: bool) {
    if tell {
        let top = attaching::top_with_reference(device);
        send(top, CLOSE, file);
        references::drop_one(NAME, top.as_ptr() as usize);
    }
    FILES.lock().remove(&file);
    let count = part!(device, Device.references);
    count.put(count.get().saturating_sub(1));
    references::drop_one(NAME, device.as_ptr() as usize);
    buffers::free(file as *mut std::ffi::c_void);
}
