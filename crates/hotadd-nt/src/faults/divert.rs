//! Having an interrupted thread do something else, as an ordinary function on its own stack, once the signal's handler has
//! returned.

use std::mem::size_of;
use std::ptr;

use super::signals::Report;
use crate::ground::context::{Context, RDI, RSP, Record, restore};

/// How much stack has to be left for it.
const ROOM: usize = 32 * 1024;

/// Below the stack pointer a function may have put so much without moving it.
const RED_ZONE: usize = 128;

/// Flags that no function begins with: trap, direction, alignment check.
const UNWANTED: u32 = 1 << 8 | 1 << 10 | 1 << 18;

/// A fault that the driver may handle.
pub(super) struct Raised {
    /// The registers of whoever is to handle it, or of its callee.
    pub(super) context: Context,
    pub(super) record: Record,
    /// For if nobody does.
    pub(super) report: Report,
    pub(super) dispatch: fn(&mut Record, &mut Context),
}

/// A new value for the register that holds the IRQL.
pub(super) struct Written {
    /// The registers behind the instruction.
    pub(super) context: Context,
    pub(super) level: u8,
    pub(super) write: fn(u8),
}

/// What a thread can be diverted to.
pub(super) trait Errand: Sized {
    /// Where it goes on.
    const TO: unsafe extern "sysv64" fn(*mut Self) -> !;
}

impl Errand for Raised {
    const TO: unsafe extern "sysv64" fn(*mut Self) -> ! = on_raised;
}

impl Errand for Written {
    const TO: unsafe extern "sysv64" fn(*mut Self) -> ! = on_written;
}

/// Makes these registers those of a thread that runs an errand, on the stack with these limits. `false` if it has no room.
pub(super) fn divert<E: Errand>(
    context: &mut Context,
    (low, high): (usize, usize),
    errand: E,
) -> bool {
    let place = context.rsp().wrapping_sub(RED_ZONE + size_of::<E>()) & !63;
    if place < low + ROOM || place >= high {
        return false;
    }
    // SAFETY: unused memory of the stack that the thread was on, and with what follows of it is again.
    unsafe { ptr::with_exposed_provenance_mut::<E>(place).write(errand) };
    context.general[RDI] = place as u64;
    // As if called: with a return address, which is never used.
    context.general[RSP] = place as u64 - 8;
    context.rip = E::TO as *const () as u64;
    context.flags &= !UNWANTED;
    true
}

/// # Safety
/// `divert` has written what is raised, for this thread.
unsafe extern "sysv64" fn on_raised(raised: *mut Raised) -> ! {
    // SAFETY: `divert` has written it to this stack, above what this function uses, and nobody else has its address.
    let Raised { context, record, report, dispatch } = unsafe { &mut *raised };
    dispatch(record, context);
    report.stop()
}

/// Not in the handler, since the thread may have to wait for its processor.
///
/// # Safety
/// `divert` has written what is written, for this thread.
unsafe extern "sysv64" fn on_written(written: *mut Written) -> ! {
    // SAFETY: `divert` has put it on this stack, above what this function uses, and nobody else has its address.
    let Written { context, level, write } = unsafe { &mut *written };
    write(*level);
    // SAFETY: the registers behind the instruction that did this.
    unsafe { restore(context) }
}
