//! Passing requests to drivers, and completing them.

use std::ffi::c_void;
use std::mem::offset_of;

use crate::ground::declare::nt;
use crate::ground::foreign::{Out, Shared, part};
use crate::ground::routine::Routine;
use crate::ground::types::{DriverObject, NtStatus};
use crate::ground::{caller, thread};
use crate::kernel::io::devices::Device;
use crate::kernel::io::irp::{self, Irp, Location, control};
use crate::kernel::io::synchronous;
use crate::kernel::ke::{events, irql};

nt! {
    /// Calls the driver of a device with a request, and returns what it returns.
    fn IofCallDriver(device: Out<Device>, irp: Out<Irp>) -> NtStatus { call("IofCallDriver", device, irp) }

    /// The same. Power requests have needed no other function since version 6 of Windows.
    fn PoCallDriver(device: Out<Device>, irp: Out<Irp>) -> NtStatus { call("PoCallDriver", device, irp) }

    /// Without effect, as documented since version 6 of Windows.
    fn PoStartNextPowerIrp(_irp: Out<Irp>) {}

    /// Completes a request: calls the completion routines, from the current location upwards.
    fn IofCompleteRequest(irp: Out<Irp>, _boost: i8) { complete(irp) }
}

/// `STATUS_MORE_PROCESSING_REQUIRED`: a completion routine keeps the request.
const MORE_PROCESSING_REQUIRED: NtStatus = 0xC000_0016_u32.cast_signed();
/// `STATUS_INVALID_DEVICE_REQUEST`
const INVALID_DEVICE_REQUEST: NtStatus = 0xC000_0010_u32.cast_signed();
/// `STATUS_PENDING`
const PENDING: NtStatus = 0x103;
/// The number of entries of a driver's `MajorFunction`.
const MAJORS: usize = 28;

/// Calls a function of a driver that returns a status, and checks that it returns at the level of the call.
fn run(what: &str, routine: usize, arguments: [usize; 4]) -> NtStatus {
    let Some(routine) = Routine::new(routine as *const c_void) else {
        caller::fault(format!("has no {what}"));
    };
    let before = thread::own().irql.get();
    // SAFETY: the driver guarantees that this field contains a function of this kind, and these are its arguments.
    let status = unsafe { routine.call(arguments) };
    let after = thread::own().irql.get();
    if after != before {
        caller::fault(format!(
            "returned from its {what} at IRQL {after}; it was called at {before}"
        ));
    }
    #[expect(
        clippy::cast_possible_truncation,
        reason = "a status has 32 bits; the upper half is anything"
    )]
    (status as u32).cast_signed()
}

pub(super) fn call(function: &str, device: Out<Device>, irp: Out<Irp>) -> NtStatus {
    irql::at_most(function, irql::DISPATCH);
    irp::expect(function, irp);
    let location = irp::next(function, irp);
    let current = part!(irp, Irp.current_location);
    current.put(current.get() - 1);
    part!(irp, Irp.stack).put(location);
    part!(location, Location.device).put(device);
    let major = usize::from(part!(location, Location.major).get());
    if major >= MAJORS {
        caller::fault(format!(
            "calls {function} with the major function {major:#x}, which does not exist"
        ));
    }
    let driver = part!(device, Device.driver).get();
    let routines: Out<usize> = driver.field(offset_of!(DriverObject, major_function));
    let routine = routines.skip(major).get();
    if [refuse_sysv as *const () as usize, refuse_win64 as *const () as usize].contains(&routine) {
        // They are in no image, so their convention would not be known.
        return refuse(irp);
    }
    let arguments = [device.as_ptr() as usize, irp.as_ptr() as usize, 0, 0];
    run(&format!("dispatch routine for the major function {major:#x}"), routine, arguments)
}

fn complete(irp: Out<Irp>) {
    if !irp::is_one(irp) {
        caller::fault("completes a request that was never made (IofCompleteRequest)");
    }
    irql::at_most("IofCompleteRequest", irql::DISPATCH);
    let (current, count) = (part!(irp, Irp.current_location), part!(irp, Irp.stack_count).get());
    if current.get() > count.saturating_add(1) {
        caller::fault(
            "completes a request that is already completed (MULTIPLE_IRP_COMPLETE_REQUESTS)",
        );
    }
    if part!(irp, Irp.status).get().status == PENDING {
        caller::breach("IofCompleteRequest: the status of the request is STATUS_PENDING");
    }
    if part!(irp, Irp.cancel_routine).get() != 0 {
        caller::breach("IofCompleteRequest: the request still has a cancel routine");
    }
    while current.get() <= count {
        let location = part!(irp, Irp.stack).get();
        let above = location.skip(1);
        let pending = part!(location, Location.control).get() & control::PENDING_RETURNED;
        part!(irp, Irp.pending_returned).put(pending);
        current.put(current.get() + 1);
        part!(irp, Irp.stack).put(above);
        // The one who made the request has no location.
        let is_top = current.get() > count;
        if wants(irp, location) {
            let device = if is_top { Out::null() } else { part!(above, Location.device).get() };
            let context = part!(location, Location.context).get();
            let arguments = [device.as_ptr() as usize, irp.as_ptr() as usize, context, 0];
            let routine = part!(location, Location.completion).get();
            if run("completion routine", routine, arguments) == MORE_PROCESSING_REQUIRED {
                // From here on it may be freed.
                return;
            }
        } else if pending != 0 && !is_top {
            let control = part!(above, Location.control);
            control.put(control.get() | control::PENDING_RETURNED);
        }
    }
    finish(irp);
}

/// Whether the completion routine of a location is called for the result of the request.
fn wants(irp: Out<Irp>, location: Out<Location>) -> bool {
    let asked = part!(location, Location.control).get();
    let result = match part!(irp, Irp.status).get().status {
        0.. => control::INVOKE_ON_SUCCESS,
        _ => control::INVOKE_ON_ERROR,
    };
    let cancelled = part!(irp, Irp.cancel).get() != 0;
    asked & result != 0 || cancelled && asked & control::INVOKE_ON_CANCEL != 0
}

/// Gives the result to the one who made the request.
fn finish(irp: Out<Irp>) {
    let current = part!(irp, Irp.current_location);
    current.put(current.get().saturating_add(1));
    let (result, event) = (part!(irp, Irp.status).get(), part!(irp, Irp.user_event).get());
    let to = part!(irp, Irp.user_status).get();
    if !synchronous::finish(irp) {
        caller::breach(
            "IofCompleteRequest: no completion routine keeps this request, which the driver has allocated and must free",
        );
    }
    to.put_if_wanted(result);
    // SAFETY: the driver that made the request keeps the event until it is set; it is NULL if there is none.
    if let Some(event) = unsafe { Shared::new(event.as_ptr().cast_const()) }.get_if_any() {
        events::set(event);
    }
}

/// What answers requests for which a driver has no function.
fn refuse(irp: Out<Irp>) -> NtStatus {
    if irp::is_one(irp) {
        part!(irp, Irp.status)
            .put(irp::IoStatus { status: INVALID_DEVICE_REQUEST, information: 0 });
        complete(irp);
    }
    INVALID_DEVICE_REQUEST
}

/// A driver's function for requests until it sets its own: it refuses them.
pub(crate) extern "C" fn refuse_sysv(_: Out<Device>, irp: Out<Irp>) -> NtStatus {
    refuse(irp)
}

/// The same for a `.sys`.
pub(crate) extern "win64" fn refuse_win64(_: Out<Device>, irp: Out<Irp>) -> NtStatus {
    refuse(irp)
}
