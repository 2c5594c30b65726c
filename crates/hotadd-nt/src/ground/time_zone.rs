//! The time zone of this machine.

use std::sync::Once;

/// Reads this machine's time zone once. Must run before the driver's sandbox closes, because there
/// are no files in it.
pub(crate) fn prepare() {
    static READ: Once = Once::new();
    unsafe extern "C" {
        fn tzset();
    }
    // SAFETY: it takes no arguments, and no code here changes the environment.
    READ.call_once(|| unsafe { tzset() });
}
