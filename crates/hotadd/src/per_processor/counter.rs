//! [`Counter`]: a count that threads on all processors add to without slowing each other down.

use std::sync::Arc;

use hotadd_core::{Notice, State};
use hotadd_percpu::{Counters, Owner};

use super::filler::veto;
use super::spare::SpareReports;
use crate::error::Error;
use crate::partition::Partition;
use crate::registration::Registration;

/// A count that threads on all processors add to without slowing each other down.
///
/// Each processor has a count of its own. On x86-64, where the C library has registered restartable sequences (rseq), adding needs no
/// atomic instruction. Nothing is lost when a thread is moved in the middle, or when a processor leaves: its count is kept.
///
/// ```
/// use hotadd::hardware::Simulated;
/// use hotadd::{Counter, HardwareId, Partition};
///
/// let partition = Partition::simulated(&Simulated::new(2, 2)?)?;
/// let requests = Counter::new(&partition, "requests")?;
/// std::thread::scope(|scope| {
///     for _ in 0..4 {
///         scope.spawn(|| (0..1000).for_each(|_| requests.add(1)));
///     }
/// });
/// assert_eq!(requests.sum(), 4000);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Counter {
    /// Before the counters, so that a drop deregisters the driver first.
    registration: Registration,
    counters: Arc<Counters>,
}

/// Reports threads that find no counter.
struct Misses(SpareReports);

impl Owner<()> for Misses {
    fn missed(&self, cpu: u32) {
        self.0.missed(cpu);
    }
}

impl Counter {
    /// Makes a counter that is 0. It is a driver: it makes the count of a processor before the processor joins, and refuses the processor
    /// if there is no memory.
    ///
    /// # Errors
    /// As [`Partition::register`].
    pub fn new(partition: &Partition, name: &str) -> Result<Self, Error> {
        let maximum = partition.read().maximum() as usize;
        let misses = Misses(SpareReports::new(partition, name));
        let counters = Arc::new(Counters::new(maximum, misses));
        let filled = Arc::clone(&counters);
        let registration = partition.register(name, move |notice: &Notice| {
            let processor = notice.processor();
            let index = processor.index.get();
            if notice.state() != State::AddStart || filled.is_published(index) {
                return Ok(());
            }
            filled.publish(index, processor.id.0).map_err(|error| veto(&error))
        })?;
        Ok(Self { registration, counters })
    }

    /// Adds. Never waits. On a processor that has no count it adds to a spare one, as
    /// [`PerProcessor::local`](super::PerProcessor::local) does. The sum wraps at 2^64.
    #[inline]
    pub fn add(&self, n: u64) {
        self.counters.add(n);
    }

    /// The sum of all that was added. It contains every addition that happened before this call, and some of those that happen during it.
    /// Of two sums, one after the other, the later is at least as large, if the sum has not wrapped.
    #[must_use]
    pub fn sum(&self) -> u64 {
        self.counters.sum()
    }

    /// How often [`add`](Self::add) used the spare count.
    #[must_use]
    pub fn spare_uses(&self) -> u64 {
        self.counters.spare_uses()
    }

    /// The registration of the counter's driver.
    pub const fn registration(&self) -> &Registration {
        &self.registration
    }
}

impl std::fmt::Debug for Counter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Counter").field(&self.sum()).finish()
    }
}
