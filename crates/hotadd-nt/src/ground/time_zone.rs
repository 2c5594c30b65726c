//! The time zone of this machine.

use std::sync::Once;

/// Reads which zone this machine is in, the first time: in a driver's sandbox there are no files.
pub(crate) fn prepare() {
    static READ: Once = Once::new();
    unsafe extern "C" {
        fn tzset();
    }
    // SAFETY: takes nothing, and nobody here changes the environment.
    READ.call_once(|| unsafe { tzset() });
}
