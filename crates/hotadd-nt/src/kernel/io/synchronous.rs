//! Requests that the system makes and frees: those of `IoBuildDeviceIoControlRequest` and
//! `IoBuildSynchronousFsdRequest`, and its own.

use std::cell::UnsafeCell;
use std::collections::HashMap;
use std::sync::LazyLock;

use parking_lot::Mutex;

use crate::ground::caller;
use crate::ground::foreign::{Out, part};
use crate::ground::objects::{Event, Header, Kind};
use crate::ground::thread;
use crate::ground::types::NtStatus;
use crate::kernel::io::calling;
use crate::kernel::io::devices::Device;
use crate::kernel::io::irp::{self, IoStatus, Irp, Location};
use crate::kernel::ke::waits;
use crate::kernel::mm::mdl;
use crate::kernel::rtl::buffers;

/// `IRP_...`, bits of `Flags`.
pub(super) mod flag {
    pub(crate) const BUFFERED: u32 = 0x10;
    pub(crate) const DEALLOCATE: u32 = 0x20;
    /// At the end the buffer of the system is copied to that of the caller.
    pub(crate) const INPUT_OPERATION: u32 = 0x40;
}

/// These requests by address, with the room in the caller's buffer. They are as many as fit into the pool.
static REQUESTS: LazyLock<Mutex<HashMap<usize, usize>>> = LazyLock::new(Mutex::default);

/// Makes a request one that the system frees. `room` is the size of the caller's buffer.
pub(super) fn own(irp: Out<Irp>, room: usize) {
    REQUESTS.lock().insert(irp.as_ptr() as usize, room);
}

/// Whether the system frees a request.
pub(super) fn is_one(irp: Out<Irp>) -> bool {
    REQUESTS.lock().contains_key(&(irp.as_ptr() as usize))
}

/// Copies the result to the caller's buffer and frees the request, if the system has to. Returns whether it did.
pub(super) fn finish(irp: Out<Irp>) -> bool {
    let Some(room) = REQUESTS.lock().remove(&(irp.as_ptr() as usize)) else { return false };
    let flags = part!(irp, Irp.flags).get();
    let IoStatus { status, information } = part!(irp, Irp.status).get();
    let (buffer, to) = (part!(irp, Irp.system_buffer).get(), part!(irp, Irp.user_buffer).get());
    // A warning has data too, an error has none.
    let has_data = status.cast_unsigned() >> 30 != 3;
    if flags & flag::INPUT_OPERATION != 0 && has_data && !buffer.is_null() {
        if information > room {
            caller::fault(format!(
                "completes a request with {information} bytes of data; the caller's buffer has {room}"
            ));
        }
        to.put_all(&buffer.readable().to_vec(information));
    }
    if flags & flag::DEALLOCATE != 0 {
        buffers::free(buffer.as_ptr().cast());
    }
    mdl::free_all(part!(irp, Irp.mdl).get());
    irp::release(irp);
    true
}

/// Sends a request to a device, and waits until it is completed. `fill` sets the stack location.
pub(super) fn send(
    function: &'static str,
    device: Out<Device>,
    file: usize,
    fill: impl FnOnce(Out<Location>),
) -> NtStatus {
    /// `STATUS_INSUFFICIENT_RESOURCES`
    const INSUFFICIENT_RESOURCES: NtStatus = 0xC000_009A_u32.cast_signed();
    let irp = irp::allocate(function, part!(device, Device.stack_size).get());
    if irp.is_null() {
        return INSUFFICIENT_RESOURCES;
    }
    let event = Event { header: Header::new(Kind::NotificationEvent, 0) };
    // Written by the thread that completes the request, before it sets the event.
    let block = UnsafeCell::new(IoStatus::default());
    // SAFETY: it lives until the wait below has ended, and nothing else has its address.
    let result: Out<IoStatus> = unsafe { Out::new(block.get()) };
    own(irp, 0);
    part!(irp, Irp.thread).put(thread::own().id());
    part!(irp, Irp.file).put(file);
    part!(irp, Irp.user_event).put(event_pointer(&event));
    part!(irp, Irp.user_status).put(result);
    let location = irp::next(function, irp);
    part!(location, Location.file).put(file);
    fill(location);
    calling::call(function, device, irp);
    // Completing the request has set the event, however it was completed.
    waits::wait(function, &[&event.header], true, None);
    result.get().status
}

fn event_pointer(event: &Event) -> Out<Event> {
    // SAFETY: an event consists of atomics, and it is never written through this pointer in another way.
    unsafe { Out::new(std::ptr::from_ref(event).cast_mut()) }
}
