//! Cancelling requests, and the one spin lock that protects cancel routines.

use std::sync::atomic::{AtomicUsize, Ordering};

use crate::ground::declare::nt;
use crate::ground::foreign::{Out, Shared, part};
use crate::ground::routine::Routine;
use crate::ground::types::Boolean;
use crate::ground::{caller, thread};
use crate::kernel::io::irp::{self, Irp, Location};
use crate::kernel::ke::spin;

static LOCK: AtomicUsize = AtomicUsize::new(0);

nt! {
    /// Marks a request as cancelled, and calls its cancel routine with the cancel spin lock held. Returns whether it
    /// had one.
    fn IoCancelIrp(irp: Out<Irp>) -> Boolean { Boolean::from(cancel(irp)) }

    /// Acquires the cancel spin lock.
    fn IoAcquireCancelSpinLock(old: Out<u8>) { old.put(spin::acquire("IoAcquireCancelSpinLock", &LOCK)) }

    /// Releases the cancel spin lock.
    fn IoReleaseCancelSpinLock(old: u8) { spin::release("IoReleaseCancelSpinLock", &LOCK, old) }
}

/// Takes the cancel routine out of a request. Drivers exchange this field atomically.
fn take_routine(irp: Out<Irp>) -> Option<Routine> {
    let field: Out<AtomicUsize> = part!(irp, Irp.cancel_routine).cast();
    // SAFETY: the driver keeps a request at least until its cancel routine was called, which is after the last use of this reference, and
    // drivers write this field with one instruction.
    let routine = unsafe { Shared::new(field.as_ptr().cast_const()) };
    Routine::new(routine.get().swap(0, Ordering::AcqRel) as *const _)
}

fn cancel(irp: Out<Irp>) -> bool {
    irp::expect("IoCancelIrp", irp);
    let old = spin::acquire("IoCancelIrp", &LOCK);
    part!(irp, Irp.cancel).put(1);
    let Some(routine) = take_routine(irp) else {
        spin::release("IoCancelIrp", &LOCK, old);
        return false;
    };
    part!(irp, Irp.cancel_irql).put(old);
    let location = part!(irp, Irp.stack).get();
    let in_use = part!(irp, Irp.current_location).get() <= part!(irp, Irp.stack_count).get();
    let device = if in_use { part!(location, Location.device).get().as_ptr() as usize } else { 0 };
    // SAFETY: the driver guarantees that it is a DRIVER_CANCEL, and these are its arguments.
    unsafe { routine.call([device, irp.as_ptr() as usize, 0, 0]) };
    if LOCK.load(Ordering::Relaxed) == thread::own().id() {
        caller::fault("returned from its cancel routine without releasing the cancel spin lock");
    }
    true
}
