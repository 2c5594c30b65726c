//! [`PerProcessor`]: one value for each processor, made before the processor joins, and found by the threads that run on it.

mod builder;
mod counter;
mod filler;
mod spare;

use std::fmt;
use std::iter::Sum;
use std::sync::Arc;

use hotadd_core::{Processor, ProcessorIndex, Veto};
use hotadd_percpu::{Table, ValueGuard};

pub use builder::PerProcessorBuilder;
pub use counter::Counter;

use crate::error::Error;
use crate::partition::Partition;
use crate::registration::Registration;

/// One value for each processor, made before the processor joins. [`local`](Self::local) gives a thread the value of the processor that
/// it is on.
///
/// The value of a processor exists before any thread can run there by agreement, because the table is itself a driver. The table makes
/// the value when it is asked about the processor, and refuses the processor if it cannot. When the processor has left, the value is
/// freed as soon as nobody reads it, or kept ([`PerProcessorBuilder::keep`]).
///
/// All methods may be called from any thread, but not from a signal handler. Each value is in memory of its own, at least 128 bytes from
/// the next one, on the NUMA node of its processor where the machine has several.
///
/// ```
/// use std::sync::atomic::{AtomicU64, Ordering};
///
/// use hotadd::hardware::Simulated;
/// use hotadd::{HardwareId, Partition, PerProcessor};
///
/// let partition = Partition::simulated(&Simulated::new(2, 1)?)?;
/// let requests = PerProcessor::new(&partition, "requests", |_| Ok(AtomicU64::new(0)))?;
///
/// requests.local().fetch_add(1, Ordering::Relaxed); // whichever processor this thread is on
/// let joined = partition.add(HardwareId(2))?.processor;
/// assert!(requests.get(joined.index).is_some());
/// assert_eq!(requests.sum(|one| one.load(Ordering::Relaxed)), 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # The spare value
/// A thread can be found on a processor without a value: on one outside of the set, in the windows that `docs/limits.md` lists (H5), and
/// on one that another process brought in past every driver (Q3). Then `local` gives the spare value, counts it
/// ([`spare_uses`](Self::spare_uses)), and reports a breach to the partition's observers, once for each such processor. The report is made
/// when the partition looks at its hardware next, within 250 ms, or with its next event, because a reader must not wait for observers.
/// A partition in another process and a simulated one report nothing: the former has its observers elsewhere, and the processors of
/// the latter do not exist.
///
/// # Where values are dropped
/// The value of a processor that left is dropped by one of these threads: the one that runs the transaction or the check by which the
/// processor left; the one whose last guard ends, of any table, if it was the last that could be reading the value; the one that drops
/// the table. Until then a thread that keeps a guard, or that has forgotten one (`std::mem::forget`), keeps all values of processors that
/// left from being freed.
///
/// # If the driver is gone
/// If `make` panics, the driver has crashed and is deregistered (L3). Then the table hears of nothing more: it keeps its values, and
/// threads on later processors get the spare value. [`registration`](Self::registration) tells.
pub struct PerProcessor<T: Send + Sync + 'static> {
    /// Before the table, so that a drop deregisters the driver first.
    registration: Registration,
    table: Arc<Table<T>>,
}

impl<T: Send + Sync + 'static> PerProcessor<T> {
    /// Makes the spare value, then a value for each active processor, and later one for each processor before it joins.
    ///
    /// `make` gets the processor, or `None` for the spare value. It is called on the thread that adds the processor (A1), or on this one.
    /// It is part of a transaction, so the rules for callbacks apply to it (D3). For a processor that comes back it is called again,
    /// unless values are [kept](PerProcessorBuilder::keep).
    ///
    /// # Errors
    /// [`Error::NoSpare`] if `make` failed for the spare value. Otherwise as [`Partition::register`], in particular
    /// [`Error::NotJoining`] if `make` failed for an active processor.
    pub fn new(
        partition: &Partition,
        name: &str,
        make: impl FnMut(Option<Processor>) -> Result<T, Veto> + Send + 'static,
    ) -> Result<Self, Error> {
        Self::builder(partition, name).build(make)
    }

    /// Begins a table with options: [`level`](PerProcessorBuilder::level), [`keep`](PerProcessorBuilder::keep),
    /// [`freed`](PerProcessorBuilder::freed).
    pub fn builder<'a>(partition: &'a Partition, name: &'a str) -> PerProcessorBuilder<'a, T> {
        PerProcessorBuilder::new(partition, name)
    }

    /// The value of the processor that this thread is on, or the [spare value](Self#the-spare-value). Never waits, and takes 2 to 4 ns.
    ///
    /// The thread may be moved at any time, so other threads may use the value at the same time, and `T` must be `Sync`. It seldom
    /// happens, and then costs what sharing costs.
    ///
    /// In a [simulated](Partition::simulated) partition the number of the thread's real processor is taken as the hardware id.
    #[inline]
    pub fn local(&self) -> ValueGuard<'_, T> {
        self.table.local()
    }

    /// The value of the processor with this index. `None` if there is none: the processor has never been proposed, or has left, or joined
    /// without agreement (Q3).
    ///
    /// Every processor that joined by agreement has a value, and so has a processor from the `AddStart` of this table until after
    /// `AddComplete`.
    #[must_use]
    pub fn get(&self, index: ProcessorIndex) -> Option<ValueGuard<'_, T>> {
        self.table.get(index.get())
    }

    /// The spare value.
    #[must_use]
    pub fn spare(&self) -> &T {
        self.table.spare()
    }

    /// How often [`local`](Self::local) gave the spare value.
    #[must_use]
    pub fn spare_uses(&self) -> u64 {
        self.table.spare_uses()
    }

    /// All values with the indexes of their processors, ascending, and at the end the spare value with `None`.
    ///
    /// The values are visited one after the other while others change. A processor that has a value all the time is visited exactly once.
    /// One that joins or leaves meanwhile is visited at most once. A value that [`freed`](PerProcessorBuilder::freed) is about to
    /// merge into the spare value may be in neither.
    pub fn iter(&self) -> impl Iterator<Item = (Option<ProcessorIndex>, ValueGuard<'_, T>)> {
        let values = self.table.iter().map(|(index, value)| (ProcessorIndex::new(index), value));
        values.chain(std::iter::once_with(|| (None, self.table.spare_guard())))
    }

    /// Folds all values, the spare one included, in the order and with the consistency of [`iter`](Self::iter).
    pub fn fold<A>(&self, first: A, mut fold: impl FnMut(A, &T) -> A) -> A {
        self.iter().fold(first, |folded, (_, value)| fold(folded, &value))
    }

    /// The sum of what a closure reads in each value, the spare one included, with the consistency of [`iter`](Self::iter).
    pub fn sum<S: Sum>(&self, mut read: impl FnMut(&T) -> S) -> S {
        self.iter().map(|(_, value)| read(&value)).sum()
    }

    /// The registration of the table's driver.
    pub const fn registration(&self) -> &Registration {
        &self.registration
    }
}

impl<T: fmt::Debug + Send + Sync + 'static> fmt::Debug for PerProcessor<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.table.fmt(f)
    }
}
