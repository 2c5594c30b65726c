//! The number of processors, in a variable that drivers read without a call.

use std::sync::atomic::{AtomicI8, Ordering};

use hotadd::ActiveSet;

use crate::ground::groups;

/// The number of active processors in group 0. Its type limits it to 127, so it is
/// obsolete.
#[unsafe(no_mangle)]
pub(crate) static KeNumberProcessors: AtomicI8 = AtomicI8::new(1);

/// Updates the number.
pub(crate) fn refresh(active: &ActiveSet) {
    let count = i8::try_from(groups::mask(active, 0).count_ones()).unwrap_or(i8::MAX);
    // Relaxed: the number publishes no other data.
    KeNumberProcessors.store(count, Ordering::Relaxed);
}
