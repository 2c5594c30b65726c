//! How many processors there are, where drivers read it without calling anybody.

#![allow(non_upper_case_globals, reason = "the documentation's name")]

use std::sync::atomic::{AtomicI8, Ordering};

use hotadd::ActiveSet;

/// How many processors are active in group 0. Its type says why it is obsolete.
#[unsafe(no_mangle)]
pub(crate) static KeNumberProcessors: AtomicI8 = AtomicI8::new(1);

/// Writes down how many there are.
pub(crate) fn refresh(active: &ActiveSet) {
    let count = i8::try_from(active.group_mask(0).count_ones()).unwrap_or(i8::MAX);
    // A number by itself; nothing is published by it.
    KeNumberProcessors.store(count, Ordering::Relaxed);
}
