//! Variables that drivers read: how many processors there are, which system this is.

#![allow(non_upper_case_globals, reason = "the documentation's names")]

use std::sync::atomic::{AtomicI8, Ordering};

use hotadd::ActiveSet;

use crate::ground::export::data;

/// How many processors are active in group 0. Its type says why it is obsolete.
#[unsafe(no_mangle)]
pub(crate) static KeNumberProcessors: AtomicI8 = AtomicI8::new(1);

/// Which Windows this is, as its build number has it: a free build.
#[unsafe(no_mangle)]
pub(crate) static NtBuildNumber: u32 = 0xf000_0000 | crate::kernel::rtl::version::BUILD;

/// There is no kernel debugger.
#[unsafe(no_mangle)]
pub(crate) static KdDebuggerEnabled: u8 = 0;

/// There is no kernel debugger.
#[unsafe(no_mangle)]
pub(crate) static KdDebuggerNotPresent: u8 = 1;

/// The system did not start in safe mode.
#[unsafe(no_mangle)]
pub(crate) static InitSafeBootMode: u32 = 0;

data!(KeNumberProcessors, NtBuildNumber, KdDebuggerEnabled, KdDebuggerNotPresent, InitSafeBootMode);

/// Writes down how many there are.
pub(crate) fn refresh(active: &ActiveSet) {
    let count = i8::try_from(active.group_mask(0).count_ones()).unwrap_or(i8::MAX);
    // A number by itself; nothing is published by it.
    KeNumberProcessors.store(count, Ordering::Relaxed);
}
