//! [`HotplugOptions`]: how the machine's processors are governed.

use std::time::Duration;

/// How the machine's processors are governed.
///
/// ```
/// use std::time::Duration;
/// use hotadd::hardware::{HotplugOptions, Intruders};
///
/// let options = HotplugOptions::new().intruders(Intruders::Revoke).poll(Duration::from_secs(5));
/// # drop(options);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HotplugOptions {
    pub(super) intruders: Intruders,
    pub(super) poll: Duration,
    pub(super) quiet: Duration,
}

/// What happens to a processor that another process has brought online (Q3).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Intruders {
    /// It joins without agreement, and is reported.
    #[default]
    Report,
    /// It is taken offline again, and this is reported. It joins without agreement if the kernel refuses, if only such processors
    /// are left, or if it has been taken offline three times and has not been added since.
    Revoke,
}

impl HotplugOptions {
    /// The default: intruders are reported, and the lists are read every second.
    #[must_use]
    pub fn new() -> Self {
        let (intruders, second) = (Intruders::Report, Duration::from_secs(1));
        Self { intruders, poll: second, quiet: super::quiet::BOUND }
    }

    /// Sets what happens to a processor that another process has brought online.
    #[must_use]
    pub fn intruders(mut self, intruders: Intruders) -> Self {
        self.intruders = intruders;
        self
    }

    /// Sets the interval of the checks that find changes without a kernel event. At least 10 ms.
    #[must_use]
    pub fn poll(mut self, every: Duration) -> Self {
        self.poll = every.max(Duration::from_millis(10));
        self
    }
}

impl Default for HotplugOptions {
    fn default() -> Self {
        Self::new()
    }
}
