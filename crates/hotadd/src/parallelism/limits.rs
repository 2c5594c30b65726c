//! [`Limits`]: what the number of threads is made of, and which part decides.

use std::fmt;
use std::num::NonZero;
use std::path::PathBuf;

use hotadd_core::Epoch;

use crate::text;

/// What the number of threads is made of, at one moment. Made by [`Parallelism::limits`](crate::Parallelism::limits).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// The number of threads.
    pub number: NonZero<usize>,
    /// How often the number has changed, as [`Parallelism::epoch`](crate::Parallelism::epoch).
    pub epoch: u64,
    /// The part that decides: the lowest one. The first one of equal parts.
    pub decides: LimitKind,
    /// The number of processors in the active set.
    pub set: u32,
    /// The epoch of that set (Q2).
    pub set_epoch: Epoch,
    /// How many of these processors are in the affinity mask of the thread that made the [`Parallelism`](crate::Parallelism).
    /// `None` if no mask applies, because the processors are simulated, or if it could not be read.
    pub mask: Option<u32>,
    /// The lowest quota of this process's cgroup and of the cgroups above it. `None` if there is none.
    pub quota: Option<Quota>,
    /// What could not be determined, and why: a sentence without its full stop for each. It does not limit the number.
    pub unknown: Vec<String>,
}

/// A part of the number of threads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum LimitKind {
    /// The active set of the partition.
    Set,
    /// The affinity mask: the thread may run on fewer processors than the partition has (H3).
    Mask,
    /// The CPU quota of a cgroup.
    Quota,
}

/// A CPU quota: the threads of a cgroup may together run for `time` microseconds in each `period`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Quota {
    /// The folder of the cgroup, as this process sees it.
    pub cgroup: PathBuf,
    /// In microseconds, summed over all processors. Not 0.
    pub time: u64,
    /// In microseconds. Not 0.
    pub period: u64,
}

impl Quota {
    /// The number of processors that the quota pays for, such as 1.5.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "a quota is far below 2^53 microseconds")]
    pub fn processors(&self) -> f64 {
        self.time as f64 / self.period as f64
    }

    /// The number of threads that the quota pays for completely: rounded down, and at least 1.
    ///
    /// One thread more would use the rest of the quota too. But then the kernel stops all threads of the cgroup until the period
    /// ends, also a thread that holds a lock. `std::thread::available_parallelism` rounds in the same way.
    #[must_use]
    pub fn whole(&self) -> NonZero<usize> {
        let whole = usize::try_from(self.time / self.period).unwrap_or(usize::MAX);
        NonZero::new(whole).unwrap_or(NonZero::<usize>::MIN)
    }

    /// Whether it pays for less than another one.
    pub(super) fn is_lower_than(&self, other: &Self) -> bool {
        let product = |time: u64, period: u64| u128::from(time) * u128::from(period);
        product(self.time, other.period) < product(other.time, self.period)
    }
}

impl Limits {
    /// The parts together. The number has changed `epoch` times.
    pub(crate) fn of(
        (set, set_epoch): (u32, Epoch),
        mask: Option<u32>,
        quota: Option<Quota>,
        unknown: Vec<String>,
        epoch: u64,
    ) -> Self {
        let whole = |number: u32| NonZero::new(number as usize).unwrap_or(NonZero::<usize>::MIN);
        let (mut number, mut decides) = (whole(set), LimitKind::Set);
        let parts = [
            (mask.map(whole), LimitKind::Mask),
            (quota.as_ref().map(Quota::whole), LimitKind::Quota),
        ];
        for (part, kind) in parts {
            if let Some(part) = part.filter(|part| *part < number) {
                (number, decides) = (part, kind);
            }
        }
        Self { number, epoch, decides, set, set_epoch, mask, quota, unknown }
    }
}

/// The number and the part that decides, such as `2: the quota of /sys/fs/cgroup/app pays for 2.50 processors`.
impl fmt::Display for Limits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.number)?;
        match (self.decides, &self.quota) {
            (LimitKind::Mask, _) => write!(
                f,
                "the affinity mask has {} of the partition's {} processors",
                self.mask.unwrap_or_default(),
                self.set
            ),
            (LimitKind::Quota, Some(quota)) => {
                let cgroup = quota.cgroup.display().to_string();
                let pays = quota.processors();
                write!(f, "the quota of {} pays for {pays:.2} processors", text::clean(&cgroup))
            }
            _ if self.set == 1 => write!(f, "the partition has 1 processor"),
            _ => write!(f, "the partition has {} processors", self.set),
        }
    }
}
