//! [`Counters`]: a counter for each CPU, so that threads on different CPUs do not slow each other down.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::cpu;
use crate::table::{Owner, PublishError, Table};

/// A counter for each CPU, and a spare one for all others.
///
/// A counter that was published stays until all are dropped: nothing that was counted is lost when a CPU leaves.
///
/// ```
/// let counters = hotadd_percpu::Counters::new(2, ());
/// counters.publish(0, 0)?;
/// counters.publish(1, 1)?;
/// counters.add(3);
/// counters.add(4);
/// assert_eq!(counters.sum(), 7);
/// # Ok::<(), hotadd_percpu::PublishError>(())
/// ```
#[derive(Debug)]
pub struct Counters {
    /// Nothing is ever retired from it.
    table: Table<AtomicU64>,
}

/// Passes misses on.
struct Misses<O>(O);

impl<O: Owner<()>> Owner<AtomicU64> for Misses<O> {
    fn missed(&self, cpu: u32) {
        self.0.missed(cpu);
    }
}

impl Counters {
    /// Makes counters with this many slots, which are empty. Of the owner only [`Owner::missed`] is called.
    pub fn new(slots: usize, owner: impl Owner<()>) -> Self {
        Self { table: Table::new(slots, AtomicU64::new(0), Misses(owner)) }
    }

    /// Makes the counter of a CPU.
    ///
    /// # Errors
    /// [`PublishError`].
    pub fn publish(&self, index: u32, cpu: u32) -> Result<(), PublishError> {
        self.table.publish(index, cpu, AtomicU64::new(0))
    }

    /// Whether there is a counter with this index.
    #[must_use]
    pub fn is_published(&self, index: u32) -> bool {
        self.table.get(index).is_some()
    }

    /// Adds to the counter of the CPU that this thread is on, or to the spare one. The sum wraps at 2^64.
    #[inline]
    pub fn add(&self, n: u64) {
        let cpu = cpu::fast();
        // SAFETY: this type never retires a value of its table, so the reference is valid as long as the table.
        let found = unsafe { self.table.permanent(cpu) };
        // SAFETY: no value of this table is ever retired, which is all that the function asks for.
        let counter = found.unwrap_or_else(|| unsafe { self.table.permanent_without_help(cpu) });
        // Relaxed: the count says nothing about other memory. Atomic, because the thread may have been moved since.
        counter.fetch_add(n, Ordering::Relaxed);
    }

    /// The sum of all counters. It contains every addition that happened before, and some of those that happen meanwhile.
    #[must_use]
    pub fn sum(&self) -> u64 {
        // Relaxed: each addition is in one of the counters, which only grow.
        let counters = self.table.iter().map(|(_, counter)| counter.load(Ordering::Relaxed));
        counters.fold(self.table.spare().load(Ordering::Relaxed), u64::wrapping_add)
    }

    /// How often [`add`](Self::add) used the spare counter.
    #[must_use]
    pub fn spare_uses(&self) -> u64 {
        self.table.spare_uses()
    }
}
