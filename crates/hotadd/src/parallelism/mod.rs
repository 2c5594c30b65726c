//! [`Parallelism`]: the number of threads that a pool should have now.

mod callbacks;
mod current;
mod followers;
mod limits;
mod quota;
#[cfg(test)]
mod tests;
mod watch;

use std::fmt;
use std::num::NonZero;
use std::path::PathBuf;
use std::sync::{Arc, Weak};

pub(crate) use self::current::{Confined, Current};
pub(crate) use self::followers::Followers;
pub use self::limits::{LimitKind, Limits, Quota};
#[cfg(fuzzing)]
pub use self::quota::cpu_max;
use self::watch::Watch;
use crate::error::Error;
use crate::hardware::simulated;
use crate::observation::{Observation, Observed};
use crate::partition::Partition;

/// The number of threads that a pool should have now. It follows the partition, the affinity mask and the CPU quota.
///
/// The number is the lowest of three, and at least 1:
/// - the processors of the active set;
/// - those of them in the affinity mask of the thread that made this value, as the kernel gives it (H4). The threads of a pool
///   inherit the mask of the thread that starts them. If the thread has ended, the mask of the process's first thread counts;
/// - the CPU quota of this process's cgroup and of each visible cgroup above it: `cpu.max` in version 2, `cpu.cfs_quota_us` in
///   version 1. It is rounded down, see [`Quota::whole`].
///
/// Simulated processors have no mask and no quota.
///
/// # When the number changes
/// It changes together with the active set, before any party is told (A5): a processor counts in every AddComplete, and no longer
/// counts in RemoveComplete. Processors that join without agreement (Q3) and that vanish (X2) are included. For a partition in
/// another process, it changes when the partition's message about the change arrives, and before any driver of this process is
/// called about it. This is not a party, so it refuses nothing.
///
/// The kernel reports a write to the file of a quota at once. It does not report a change of the mask, nor that the process moves
/// to another cgroup. So both are read every 250 ms, by one thread for the whole process, named `hotadd-watch`.
///
/// This keeps the partition alive. So a driver of the same partition should not own it.
///
/// ```
/// use hotadd::hardware::Simulated;
/// use hotadd::{HardwareId, Partition};
///
/// let partition = Partition::simulated(&Simulated::new(2, 1)?)?;
/// let parallelism = partition.parallelism();
/// let resized = parallelism.on_change(|limits| println!("the pool should have {limits}"));
///
/// assert_eq!(parallelism.get().get(), 2);
/// partition.add(HardwareId(2))?;
/// assert_eq!(parallelism.get().get(), 3);
/// # drop(resized);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "dropping a Parallelism ends its callbacks; keep it for as long as the number is read"]
pub struct Parallelism {
    current: Arc<Current>,
    /// `None` if the processors are simulated.
    _watch: Option<Arc<Watch>>,
    _partition: Partition,
}

impl Partition {
    /// The number of threads that a pool should have, kept up to date. May be called from any thread, also inside callbacks.
    pub fn parallelism(&self) -> Parallelism {
        // No thread runs on simulated processors.
        let is_real = self.hardware() != simulated::NAME;
        let confined =
            is_real.then(|| Confined::new(PathBuf::from("/"), Some(rustix::thread::gettid())));
        Parallelism::new(self, confined)
    }
}

impl Parallelism {
    /// The number for a program that does not hold its threads: its partition only
    /// [watches](Partition::watch_process) which processors this process may run on. A change is known up to 250 ms later.
    ///
    /// # Errors
    /// As [`Partition::watch_process`].
    pub fn of_process() -> Result<Self, Error> {
        Ok(Partition::watch_process()?.parallelism())
    }

    fn new(partition: &Partition, confined: Option<Confined>) -> Self {
        let current = partition.backend().published().follow(confined);
        let watch = current.is_confined().then(|| Watch::over(&current));
        Self { current, _watch: watch, _partition: partition.clone() }
    }

    /// The number of threads, at least 1. One atomic load.
    #[must_use]
    #[inline]
    pub fn get(&self) -> NonZero<usize> {
        self.current.read().0
    }

    /// How often the number has changed. What was made for a number of this epoch still fits. One atomic load.
    ///
    /// This is not the epoch of the active set, which [`limits`](Self::limits) has.
    #[must_use]
    #[inline]
    pub fn epoch(&self) -> u64 {
        self.current.read().1
    }

    /// The number with its parts, and which of them decides. Takes a lock for a moment, and reads no file.
    #[must_use]
    pub fn limits(&self) -> Limits {
        self.current.limits()
    }

    /// Calls `callback` with the new number whenever it has changed, until the returned handle or this value is dropped.
    ///
    /// It is called on the thread that changes the number: the thread that adds or removes a processor or finds that one came or
    /// went, the agent thread of a partition in another process, or the thread `hotadd-watch`. Calls come one at a time, and each
    /// has the newest number. So a change that comes during a call is told afterwards, by the same thread. [`get`](Self::get) has
    /// the number before the callback is called.
    ///
    /// The callback may be called in the middle of a transaction, so the rules for callbacks apply (D3). A callback that panics is
    /// dropped.
    pub fn on_change(&self, callback: impl FnMut(&Limits) + Send + 'static) -> Observation {
        let ended = self.current.callbacks.push(self.epoch(), Box::new(callback));
        let current: Weak<Current> = Arc::downgrade(&self.current);
        Observation::new(current as Weak<dyn Observed>, ended)
    }
}

impl Drop for Parallelism {
    fn drop(&mut self) {
        self.current.callbacks.close();
    }
}

impl fmt::Debug for Parallelism {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Parallelism").field(&self.limits()).finish()
    }
}
