//! What "start the processor" means: one trait, one file or folder for each platform.

use std::fmt::Debug;
use std::sync::{Arc, Weak};

use hotadd_core::{HardwareId, PlatformError, Status};

#[cfg(not(hotadd_loom))]
mod affinity;
#[cfg(not(hotadd_loom))]
mod cpuset;
#[cfg(not(hotadd_loom))]
mod file;
#[cfg(not(hotadd_loom))]
mod holding;
#[cfg(not(hotadd_loom))]
mod hotplug;
#[cfg(all(test, not(hotadd_loom)))]
mod nudging;
mod simulated;
#[cfg(not(hotadd_loom))]
mod uevents;
#[cfg(not(hotadd_loom))]
mod watch;
#[cfg(not(hotadd_loom))]
mod watching;

#[cfg(not(hotadd_loom))]
pub use affinity::{Affinity, AffinityError, Mask, Tree};
#[cfg(not(hotadd_loom))]
pub use cpuset::{Cpuset, CpusetError, CpusetKind, CpusetOptions, Door};
#[cfg(not(hotadd_loom))]
pub use hotplug::{Hotplug, HotplugError, HotplugOptions, Intruders};
pub use simulated::Simulated;
#[cfg(not(hotadd_loom))]
pub use watching::Watching;

/// The processor that a message of the kernel is about.
#[cfg(fuzzing)]
pub(crate) fn uevent_of(message: &[u8]) -> Option<HardwareId> {
    uevents::Uevent::parse(message).map(|event| event.id)
}

/// A platform that starts and stops processors.
///
/// Calls come one at a time, from the thread that adds or removes, and may block. None of them may call back into the
/// partition, save through [`Nudge`].
pub trait Hardware: Debug + Send + Sync {
    /// What people call it: `simulated`, `affinity`, `cpuset`, `hotplug`.
    fn name(&self) -> &'static str;

    /// The processors that run at the moment, ascending. Asked once, when the partition is made.
    ///
    /// # Errors
    /// If the platform cannot tell.
    fn active(&self) -> Result<Vec<HardwareId>, PlatformError>;

    /// How many different processors there can ever be, at most 2,048.
    fn maximum(&self) -> u32;

    /// The processors that could be added now, ascending.
    fn candidates(&self) -> Vec<HardwareId>;

    /// Whether this processor could be started at all. Asked before any driver hears of it (A8).
    ///
    /// # Errors
    /// A status and a sentence that says why not, such as "it is not online".
    fn admits(&self, id: HardwareId) -> Result<(), NotAdmitted>;

    /// Watches these processors while everybody is asked about them (Q4). Called before they are looked at and before anybody is
    /// asked. `None` if nobody can switch one past the partition, or nothing but a [`survey`](Self::survey) notices that.
    fn monitor(&self, ids: &[HardwareId]) -> Option<Box<dyn Monitor>> {
        let _ = ids;
        None
    }

    /// Starts a processor: when this returns `Ok` it can run work.
    ///
    /// # Errors
    /// The platform's own error; the processor then does not run (A4).
    fn start(&self, id: HardwareId) -> Result<(), PlatformError>;

    /// Stops a processor: when this returns `Ok` it runs no more work of this partition.
    ///
    /// # Errors
    /// The platform's own error; the processor then still runs.
    fn stop(&self, id: HardwareId) -> Result<(), PlatformError>;

    /// Looks at what really runs, and puts right what the platform changed behind our back where it can.
    ///
    /// Called after a [`Nudge`], also while drivers are being asked (Q4), but never while a processor is being started or stopped.
    /// `expected` is the active set.
    fn survey(&self, expected: &[HardwareId]) -> Survey;

    /// Hands over the way to say that something changed. Called once, when the partition is made.
    fn watch(self: Arc<Self>, nudge: Nudge);
}

/// Notices whether somebody switches processors that everybody is being asked about (Q4).
pub trait Monitor: Debug + Send {
    /// What somebody has done to one of them since the monitor was made, as a sentence without its full stop, if anything. If that cannot
    /// be told, this says so: what is in doubt is not started.
    fn switched(&mut self) -> Option<String>;
}

/// Why a processor cannot be added at all (A8).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotAdmitted {
    /// An error status.
    pub status: Status,
    /// Why, as the end of the sentence "processor 3 cannot be added: …".
    pub reason: String,
}

/// What a look at the platform found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Survey {
    /// Expected to run, but gone (X2).
    pub vanished: Vec<HardwareId>,
    /// Running, but not expected to (Q3).
    pub intruded: Vec<HardwareId>,
    /// Within reach since the last look, and not before (H2): plugged in, brought online, gained by a cpuset above, or put into a
    /// mask by somebody. They could be added now. Each is named once, however long it stays out.
    pub appeared: Vec<HardwareId>,
    /// What was wrong and has been put right, a sentence each.
    pub repaired: Vec<String>,
}

/// The way for hardware to say "something changed, look again". Cheap to clone; does nothing once the partition is gone.
#[derive(Clone)]
pub struct Nudge(pub(crate) Weak<dyn Nudged>);

/// What a nudge reaches.
pub(crate) trait Nudged: Send + Sync {
    fn nudge(&self);
}

impl Nudge {
    /// Has the partition [survey](Hardware::survey) the hardware and report what changed, on this thread and before this returns.
    /// While a transaction is under way the set and the observers hear of it before this returns (Q4), and the parties when the
    /// transaction is over. While another thread is changing the set, or has a processor started or stopped, that thread looks when it
    /// has done so, and this does not wait for it. From inside an observer, the observers hear of it when that returns.
    ///
    /// Returns false when the partition is gone.
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
