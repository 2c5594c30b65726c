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

/// What becomes of a processor that somebody else has brought online (Q3).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Intruders {
    /// It joins without agreement, and is reported.
    #[default]
    Report,
    /// It is taken offline again, and that is reported. If the kernel refuses, or none but such processors are left, it joins
    /// without agreement; so it does when it has been taken offline three times and nobody has added it since.
    Revoke,
}

impl HotplugOptions {
    /// Intruders are reported, and the lists read every second.
    #[must_use]
    pub fn new() -> Self {
        let (intruders, second) = (Intruders::Report, Duration::from_secs(1));
        Self { intruders, poll: second, quiet: super::quiet::BOUND }
    }

    /// What becomes of a processor that somebody else has brought online.
    #[must_use]
    pub fn intruders(mut self, intruders: Intruders) -> Self {
        self.intruders = intruders;
        self
    }

    /// How long a change may go unnoticed of which the kernel sends no event. At least 10 ms.
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
