//! [`Counters`]: a counter for each CPU, to which its threads add without an atomic instruction.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::cpu;
use crate::rseq;
use crate::table::{Owner, PublishError, Table};

/// How often an addition is begun again before it is done with an atomic instruction. A thread is rarely interrupted in the few
/// instructions of an addition, and hardly ever twice. But under a debugger that executes one instruction at a time it always is.
const TRIES: u32 = 3;

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
    table: Table<Words>,
}

/// The count of one CPU is the sum of both. Additions of different kinds are never made to the same word: an addition without an atomic
/// instruction would undo an atomic one that another CPU makes between its load and its store.
#[derive(Debug, Default)]
struct Words {
    /// Written by [`rseq::add`] only, on the CPU of the slot.
    restartable: AtomicU64,
    /// Written by atomic additions only.
    atomic: AtomicU64,
}

/// Passes misses on.
struct Misses<O>(O);

impl<O: Owner<()>> Owner<Words> for Misses<O> {
    fn missed(&self, cpu: u32) {
        self.0.missed(cpu);
    }
}

impl Counters {
    /// Makes counters with this many slots, which are empty. Of the owner only [`Owner::missed`] is called.
    pub fn new(slots: usize, owner: impl Owner<()>) -> Self {
        Self { table: Table::new(slots, Words::default(), Misses(owner)) }
    }

    /// Makes the counter of a CPU.
    ///
    /// # Errors
    /// [`PublishError`].
    pub fn publish(&self, index: u32, cpu: u32) -> Result<(), PublishError> {
        self.table.publish(index, cpu, Words::default())
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
        // SAFETY: nothing is retired from this table.
        if let Some(words) = unsafe { self.table.permanent(cpu) }
            && rseq::add(&words.restartable, cpu, n)
        {
            return;
        }
        self.add_again(n);
    }

    /// The thread was moved or interrupted, or its CPU has no counter, or there is no rseq.
    #[cold]
    #[inline(never)]
    fn add_again(&self, n: u64) {
        for _ in 1..TRIES {
            let cpu = cpu::fast();
            // SAFETY: nothing is retired from this table.
            let Some(words) = (unsafe { self.table.permanent(cpu) }) else { break };
            if rseq::add(&words.restartable, cpu, n) {
                return;
            }
        }
        // Relaxed: the count says nothing about other memory.
        self.words().atomic.fetch_add(n, Ordering::Relaxed);
    }

    /// The counter of this thread's CPU, or the spare one.
    fn words(&self) -> &Words {
        let cpu = cpu::fast();
        // SAFETY: nothing is retired from this table.
        let found = unsafe { self.table.permanent(cpu) };
        // SAFETY: as above.
        found.unwrap_or_else(|| unsafe { self.table.permanent_without_help(cpu) })
    }

    /// The sum of all counters. It contains every addition that happened before, and some of those that happen meanwhile.
    #[must_use]
    pub fn sum(&self) -> u64 {
        let counters = self.table.iter().map(|(_, words)| words.sum());
        counters.fold(self.table.spare().sum(), u64::wrapping_add)
    }

    /// How often [`add`](Self::add) used the spare counter.
    #[must_use]
    pub fn spare_uses(&self) -> u64 {
        self.table.spare_uses()
    }
}

impl Words {
    fn sum(&self) -> u64 {
        // Relaxed, twice: the words only grow, and each addition is in one of them.
        let restartable = self.restartable.load(Ordering::Relaxed);
        restartable.wrapping_add(self.atomic.load(Ordering::Relaxed))
    }
}
