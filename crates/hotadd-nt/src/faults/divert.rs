//! Diverts an interrupted thread to another function, which runs as ordinary code on the thread's own stack after the
//! signal handler has returned.

use std::mem::size_of;
use std::ptr;

use super::signals::Report;
use crate::ground::context::{Context, RDI, RSP, Record, restore};

/// How much stack must be free for it.
const ROOM: usize = 32 * 1024;

/// A function may use this many bytes below the stack pointer without moving it.
const RED_ZONE: usize = 128;

/// Flags that must be clear when a function begins: trap, direction, alignment check.
const UNWANTED: u32 = 1 << 8 | 1 << 10 | 1 << 18;

/// A fault that the driver may handle.
pub(super) struct Raised {
    /// The registers of the function that is to handle it, or of its callee.
    pub(super) context: Context,
    pub(super) record: Record,
    /// The report if no handler takes the exception.
    pub(super) report: Report,
    pub(super) dispatch: fn(&mut Record, &mut Context),
}

/// A new value for the register that holds the IRQL.
pub(super) struct Written {
    /// The registers after the instruction.
    pub(super) context: Context,
    pub(super) level: u8,
    pub(super) write: fn(u8),
}

/// What a thread can be diverted to.
pub(super) trait Errand: Sized {
    /// The function at which the thread continues.
    const TO: unsafe extern "sysv64" fn(*mut Self) -> !;
}

impl Errand for Raised {
    const TO: unsafe extern "sysv64" fn(*mut Self) -> ! = on_raised;
}

impl Errand for Written {
    const TO: unsafe extern "sysv64" fn(*mut Self) -> ! = on_written;
}

/// Sets these registers so that the thread runs an errand, on the stack with these limits. Returns `false` if the
/// stack has too little room.
pub(super) fn divert<E: Errand>(
    context: &mut Context,
    (low, high): (usize, usize),
    errand: E,
) -> bool {
    let place = context.rsp().wrapping_sub(RED_ZONE + size_of::<E>()) & !63;
    if place < low + ROOM || place >= high {
        return false;
    }
    // SAFETY: this is unused memory of the stack that the thread was on and will be on again.
    unsafe { ptr::with_exposed_provenance_mut::<E>(place).write(errand) };
    context.general[RDI] = place as u64;
    // As after a call: with a return address, which is never used.
    context.general[RSP] = place as u64 - 8;
    context.rip = E::TO as *const () as u64;
    context.flags &= !UNWANTED;
    true
}

/// # Safety
/// `divert` has written `raised` for this thread.
unsafe extern "sysv64" fn on_raised(raised: *mut Raised) -> ! {
    // SAFETY: `divert` has written it to this stack, above what this function uses, and nothing else has its address.
    let Raised { context, record, report, dispatch } = unsafe { &mut *raised };
    dispatch(record, context);
    report.stop()
}

/// Runs outside the signal handler, since the thread may have to wait for its processor.
///
/// # Safety
/// `divert` has written `written` for this thread.
unsafe extern "sysv64" fn on_written(written: *mut Written) -> ! {
    // SAFETY: `divert` has written it to this stack, above what this function uses, and nothing else has its address.
    let Written { context, level, write } = unsafe { &mut *written };
    write(*level);
    // SAFETY: these are the registers after the instruction that caused this.
    unsafe { restore(context) }
}
