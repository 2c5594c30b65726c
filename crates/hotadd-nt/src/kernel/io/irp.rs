//! Requests (`IRP`) and their stack locations: layout, allocating, initialising, freeing.

use std::ffi::c_void;

use crate::ground::caller;
use crate::ground::declare::nt;
use crate::ground::foreign::{Out, part};
use crate::ground::list::Links;
use crate::ground::objects::Event;
use crate::ground::types::{Boolean, NtStatus};
use crate::kernel::io::devices::Device;
use crate::kernel::io::synchronous;
use crate::kernel::ke::irql;
use crate::kernel::mm::mdl::Mdl;
use crate::kernel::rtl::buffers;

/// `IO_STATUS_BLOCK`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct IoStatus {
    pub(crate) status: NtStatus,
    pub(crate) information: usize,
}

/// `IRP`. Another thread may cancel it at any time, so it is read and written field by field.
#[repr(C, align(16))]
pub(crate) struct Irp {
    pub(super) kind: i16,
    pub(super) size: u16,
    pub(super) mdl: Out<Mdl>,
    pub(super) flags: u32,
    pub(super) system_buffer: Out<u8>,
    thread_list: [usize; 2],
    pub(super) status: IoStatus,
    pub(super) requestor_mode: i8,
    pub(super) pending_returned: Boolean,
    pub(super) stack_count: i8,
    pub(super) current_location: i8,
    pub(super) cancel: Boolean,
    pub(super) cancel_irql: u8,
    apc_environment: i8,
    allocation_flags: u8,
    pub(super) user_status: Out<IoStatus>,
    pub(super) user_event: Out<Event>,
    overlay: [usize; 2],
    pub(super) cancel_routine: usize,
    pub(super) user_buffer: Out<u8>,
    driver_context: [usize; 4],
    pub(super) thread: usize,
    auxiliary: usize,
    list: [usize; 2],
    /// The current stack location. The next one is in front of it.
    pub(super) stack: Out<Location>,
    pub(super) file: usize,
}

/// `IO_STACK_LOCATION`.
#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct Location {
    pub(super) major: u8,
    pub(super) minor: u8,
    pub(super) flags: u8,
    pub(super) control: u8,
    pub(super) parameters: [u64; 4],
    pub(super) device: Out<Device>,
    pub(super) file: usize,
    pub(super) completion: usize,
    pub(super) context: usize,
}

const _: () = assert!(size_of::<Irp>() == 0xd0);
const _: () = assert!(std::mem::offset_of!(Irp, cancel_routine) == 0x68);
const _: () = assert!(std::mem::offset_of!(Irp, stack) == 0xb8);
const _: () = assert!(size_of::<Location>() == 0x48);

/// `SL_...`, bits of `Control`.
pub(super) mod control {
    pub(crate) const PENDING_RETURNED: u8 = 0x01;
    pub(crate) const INVOKE_ON_CANCEL: u8 = 0x20;
    pub(crate) const INVOKE_ON_SUCCESS: u8 = 0x40;
    pub(crate) const INVOKE_ON_ERROR: u8 = 0x80;
}

/// `IO_TYPE_IRP`
const KIND: i16 = 6;

nt! {
    /// Allocates a request for a number of drivers. The caller frees it.
    fn IoAllocateIrp(stack_size: i8, _charge: Boolean) -> Out<Irp> { allocate("IoAllocateIrp", stack_size) }

    /// The same, for a device.
    fn IoAllocateIrpEx(_device: Out<Device>, stack_size: i8, _charge: Boolean) -> Out<Irp> {
        allocate("IoAllocateIrpEx", stack_size)
    }

    /// Initialises a request in memory of the driver.
    fn IoInitializeIrp(irp: Out<Irp>, size: u16, stack_size: i8) { initialize(irp, size, stack_size) }

    /// Makes a request that was allocated ready for another use.
    fn IoReuseIrp(irp: Out<Irp>, status: NtStatus) { reuse(irp, status) }

    /// Frees a request.
    fn IoFreeIrp(irp: Out<Irp>) { free(irp) }
}

/// Ends the process if this is not a request.
pub(super) fn expect(function: &str, irp: Out<Irp>) {
    if part!(irp, Irp.kind).get() != KIND {
        caller::fault(format!("calls {function} for {irp:?}, which is not a request"));
    }
}

/// Whether this is a request, as far as its type says.
pub(super) fn is_one(irp: Out<Irp>) -> bool {
    !irp.is_null() && part!(irp, Irp.kind).get() == KIND
}

pub(super) fn allocate(function: &str, stack_size: i8) -> Out<Irp> {
    irql::at_most(function, irql::DISPATCH);
    let Ok(count) = usize::try_from(stack_size) else { return Out::null() };
    let size = size_of::<Irp>() + count * size_of::<Location>();
    let Some(memory) = buffers::allocate(buffers::IRP, size) else { return Out::null() };
    // SAFETY: it has room for the request and its stack locations, and lives until it is freed.
    let irp: Out<Irp> = unsafe { Out::new(memory.cast()) };
    initialize(irp, u16::try_from(size).unwrap_or(u16::MAX), stack_size);
    irp
}

fn initialize(irp: Out<Irp>, size: u16, stack_size: i8) {
    let count = usize::try_from(stack_size).unwrap_or(0);
    let needed = size_of::<Irp>() + count * size_of::<Location>();
    if usize::from(size) < needed {
        caller::fault(format!(
            "calls IoInitializeIrp with {size} bytes for {stack_size} stack locations, which take {needed}"
        ));
    }
    irp.cast::<u8>().put_all(&vec![0; needed]);
    part!(irp, Irp.kind).put(KIND);
    part!(irp, Irp.size).put(size);
    part!(irp, Irp.stack_count).put(stack_size);
    part!(irp, Irp.current_location).put(stack_size.saturating_add(1));
    part!(irp, Irp.stack).put(irp.skip(1).cast::<Location>().skip(count));
    Links::at(part!(irp, Irp.thread_list).cast()).initialize();
}

fn reuse(irp: Out<Irp>, status: NtStatus) {
    expect("IoReuseIrp", irp);
    if synchronous::is_one(irp) {
        caller::fault("calls IoReuseIrp for a request that the system frees when it is completed");
    }
    let size = part!(irp, Irp.size).get();
    initialize(irp, size, part!(irp, Irp.stack_count).get());
    part!(irp, Irp.status).put(IoStatus { status, information: 0 });
}

fn free(irp: Out<Irp>) {
    expect("IoFreeIrp", irp);
    if synchronous::is_one(irp) {
        caller::fault("calls IoFreeIrp for a request that the system frees when it is completed");
    }
    release(irp);
}

/// Frees the memory of a request.
pub(super) fn release(irp: Out<Irp>) {
    part!(irp, Irp.kind).put(0);
    buffers::free(irp.as_ptr().cast::<c_void>());
}

/// The location in front of the current one, which is that of the next driver. Ends the process if there is none.
pub(super) fn next(function: &str, irp: Out<Irp>) -> Out<Location> {
    if part!(irp, Irp.current_location).get() <= 1 {
        caller::fault(format!(
            "calls {function} for a request whose stack locations are used up (NO_MORE_IRP_STACK_LOCATIONS)"
        ));
    }
    part!(irp, Irp.stack).get().field(0_usize.wrapping_sub(size_of::<Location>()))
}
