//! How processors are started and stopped: one trait, and one file or folder for each platform.

use std::fmt::Debug;
use std::sync::{Arc, Weak};

use hotadd_core::{HardwareId, PlatformError, Status};

use crate::Topology;

#[cfg(not(hotadd_loom))]
mod affinity;
#[cfg(not(hotadd_loom))]
mod cpuset;
#[cfg(not(hotadd_loom))]
pub(crate) mod file;
#[cfg(not(hotadd_loom))]
mod holding;
#[cfg(not(hotadd_loom))]
mod hotplug;
#[cfg(all(test, not(hotadd_loom)))]
mod nudging;
pub(crate) mod simulated;
#[cfg(not(hotadd_loom))]
mod uevents;
#[cfg(not(hotadd_loom))]
pub(crate) mod watch;
#[cfg(not(hotadd_loom))]
mod watching;

#[cfg(not(hotadd_loom))]
pub use affinity::{Affinity, AffinityError, Mask, Tree};
#[cfg(not(hotadd_loom))]
pub use cpuset::{Cpuset, CpusetError, CpusetKind, CpusetOptions, Door};
#[cfg(not(hotadd_loom))]
pub(crate) use holding::Pinning;
#[cfg(not(hotadd_loom))]
pub use hotplug::{Hotplug, HotplugError, HotplugOptions, Intruders};
pub use simulated::Simulated;
#[cfg(not(hotadd_loom))]
pub use watching::Watching;

/// The processor that a kernel message is about.
#[cfg(fuzzing)]
pub(crate) fn uevent_of(message: &[u8]) -> Option<HardwareId> {
    uevents::Uevent::parse(message).map(|event| event.id)
}

/// A platform that starts and stops processors.
///
/// Calls come one at a time, from the thread that adds or removes, and may block. An implementation must not call back into the
/// partition, except through [`Nudge`].
pub trait Hardware: Debug + Send + Sync {
    /// The name that people use: `simulated`, `affinity`, `cpuset`, `hotplug`.
    fn name(&self) -> &'static str;

    /// The processors that are running now, ascending. Called once, when the partition is made.
    ///
    /// # Errors
    /// If the platform does not give this information.
    fn active(&self) -> Result<Vec<HardwareId>, PlatformError>;

    /// The maximum number of different processors, at most 2,048.
    fn maximum(&self) -> u32;

    /// The processors that could be added now, ascending.
    ///
    /// # Errors
    /// If the platform does not give this information.
    fn candidates(&self) -> Result<Vec<HardwareId>, PlatformError>;

    /// Checks whether this processor could be started at all. Called before any driver is asked (A8).
    ///
    /// # Errors
    /// A status and a sentence with the reason, such as "it is not online".
    fn admits(&self, id: HardwareId) -> Result<(), NotAdmitted>;

    /// Watches these processors while the parties are asked about them (Q4). Called before the processors are checked and
    /// before any party is asked. `None` if no other process can switch a processor, or if only a [`survey`](Self::survey)
    /// detects it.
    fn monitor(&self, ids: &[HardwareId]) -> Option<Box<dyn Monitor>> {
        let _ = ids;
        None
    }

    /// Where a processor is in the machine, as far as the platform says now. May be called from any thread, also while a processor
    /// is being started or stopped, so it must not wait for that. By default nothing is known.
    fn topology(&self, id: HardwareId) -> Topology {
        let _ = id;
        Topology::default()
    }

    /// Starts a processor. When this returns `Ok`, the processor can run work.
    ///
    /// # Errors
    /// The platform's own error; the processor then does not run (A4).
    fn start(&self, id: HardwareId) -> Result<(), PlatformError>;

    /// Stops a processor. When this returns `Ok`, the processor runs no more work of this partition.
    ///
    /// # Errors
    /// The platform's own error; the processor then still runs.
    fn stop(&self, id: HardwareId) -> Result<(), PlatformError>;

    /// Checks which processors are running, and reverts what was changed without the partition where it can.
    ///
    /// Called after a [`Nudge`], also while drivers are being asked (Q4), but never while a processor is being started or
    /// stopped. `expected` is the active set.
    fn survey(&self, expected: &[HardwareId]) -> Survey;

    /// Passes the [`Nudge`] by which the hardware reports that something changed. Called once, when the partition is made.
    fn watch(self: Arc<Self>, nudge: Nudge);
}

/// Detects whether another process switches processors about which the parties are being asked (Q4).
pub trait Monitor: Debug + Send {
    /// What another process has done to one of the processors since the monitor was made, as a sentence without its full stop;
    /// `None` if nothing. If this cannot be determined, the sentence says so: a processor in doubt is not started.
    fn switched(&mut self) -> Option<String>;
}

/// Why a processor cannot be added at all (A8).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct NotAdmitted {
    /// An error status.
    pub status: Status,
    /// The reason, as the end of the sentence "processor 3 cannot be added: …".
    pub reason: String,
}

impl NotAdmitted {
    /// `reason` is the end of the sentence "processor 3 cannot be added: …".
    #[must_use]
    pub fn new(status: Status, reason: impl Into<String>) -> Self {
        Self { status, reason: reason.into() }
    }
}

/// The failure of a start, if this is found only then.
impl From<NotAdmitted> for PlatformError {
    fn from(no: NotAdmitted) -> Self {
        let mut error = Self::new(no.status).with_reason(no.reason);
        error.errno = no.status.to_errno();
        error
    }
}

/// The result of a check of the platform. [`Survey::default`] says that nothing has changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Survey {
    /// Expected to run, but not running (X2).
    pub vanished: Vec<HardwareId>,
    /// Running, but not expected to (Q3).
    pub intruded: Vec<HardwareId>,
    /// Became available since the last check (H2): plugged in, brought online, gained by a cpuset above, or put into a mask by
    /// another process. They could be added now. Each is reported once, however long it stays out.
    pub appeared: Vec<HardwareId>,
    /// What was wrong and has been repaired, a sentence for each.
    pub repaired: Vec<String>,
}

/// Lets hardware report that something changed, so that the partition checks. Cheap to clone. Does nothing after the partition
/// is gone.
#[derive(Clone)]
pub struct Nudge(pub(crate) Weak<dyn Nudged>);

/// The receiver of a nudge.
pub(crate) trait Nudged: Send + Sync {
    fn nudge(&self);
}

impl Nudge {
    /// Makes the partition [survey](Hardware::survey) the hardware and report what changed, on this thread and before this
    /// returns. While a transaction is in progress, the set is updated and the observers are told before this returns (Q4).
    /// The parties are told when the transaction is over. If another thread is changing the set, or is starting or stopping
    /// a processor, this does not wait: that thread checks afterwards. Inside an observer, the observers are told when it
    /// returns.
    ///
    /// Returns false if the partition is gone.
    #[expect(clippy::must_use_candidate, reason = "a partition that is gone needs no nudge")]
    pub fn nudge(&self) -> bool {
        let Some(partition) = self.0.upgrade() else { return false };
        partition.nudge();
        true
    }

    /// Whether the partition still exists.
    #[must_use]
    pub fn is_live(&self) -> bool {
        self.0.strong_count() > 0
    }
}

impl Debug for Nudge {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Nudge").field("live", &self.is_live()).finish()
    }
}
