//! [`PerProcessor`]: one value for each processor, made before the processor joins.

use std::fmt;
use std::sync::{Arc, OnceLock};

use hotadd_core::{Notice, Processor, ProcessorIndex, State, Veto};

use crate::error::Error;
use crate::partition::Partition;
use crate::registration::Registration;

/// One value for each processor, made before the processor joins. A per-processor table that always has a slot.
///
/// The value of a processor exists before any thread can run on it, because the table is itself a driver. The table makes the
/// value when it is asked about the processor, and refuses the processor if it cannot. Values are found by processor index,
/// without a lock. They live as long as the table: a processor that leaves keeps its value, and has the same value when it
/// comes back (X3).
///
/// ```
/// use std::sync::atomic::{AtomicU64, Ordering};
///
/// use hotadd::hardware::Simulated;
/// use hotadd::{HardwareId, Partition, PerProcessor};
///
/// let partition = Partition::simulated(&Simulated::new(2, 1)?)?;
/// let counters = PerProcessor::new(&partition, "counters", |_| Ok(AtomicU64::new(0)))?;
///
/// let joined = partition.add(HardwareId(2))?.processor;
/// counters[joined.index].fetch_add(1, Ordering::Relaxed);
/// assert_eq!(counters.iter().count(), 3);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct PerProcessor<T> {
    slots: Arc<[OnceLock<T>]>,
    registration: Registration,
}

impl<T: Send + Sync + 'static> PerProcessor<T> {
    /// Makes a value for each active processor now, and for each later processor before it joins.
    ///
    /// `make` is called until it succeeds once for an index, on the thread that adds the processor (A1). It is part of a
    /// transaction, so the rules for callbacks apply to it (D3).
    ///
    /// # Errors
    /// As [`Partition::register`]. In particular [`Error::NotJoining`] if `make` failed for an active processor.
    pub fn new(
        partition: &Partition,
        name: &str,
        mut make: impl FnMut(Processor) -> Result<T, Veto> + Send + 'static,
    ) -> Result<Self, Error> {
        let maximum = partition.active().maximum() as usize;
        let slots: Arc<[OnceLock<T>]> = (0..maximum).map(|_| OnceLock::new()).collect();
        let table = Arc::clone(&slots);
        let driver = move |notice: &Notice| {
            if notice.state() == State::AddStart {
                let processor = notice.processor();
                let slot = &table[processor.index.as_usize()];
                if slot.get().is_none() {
                    // Nothing else fills the slot: calls to a driver come one at a time (A7).
                    let _ = slot.set(make(processor)?);
                }
            }
            Ok(())
        };
        let registration = partition.register(name, driver)?;
        Ok(Self { slots, registration })
    }

    /// The value of the processor with this index. `None` if the table was never asked about the processor.
    ///
    /// Every active processor has a value, and so has a processor whose `AddComplete` is in progress.
    #[must_use]
    pub fn get(&self, index: ProcessorIndex) -> Option<&T> {
        self.slots.get(index.as_usize())?.get()
    }

    /// All values, ascending by index: those of active processors, and those made earlier for others.
    pub fn iter(&self) -> impl Iterator<Item = (ProcessorIndex, &T)> {
        let all = self.slots.iter().enumerate();
        all.filter_map(|(at, slot)| {
            let index = ProcessorIndex::new(u32::try_from(at).ok()?)?;
            Some((index, slot.get()?))
        })
    }

    /// The registration of the table's driver.
    pub const fn registration(&self) -> &Registration {
        &self.registration
    }
}

impl<T: Send + Sync + 'static> std::ops::Index<ProcessorIndex> for PerProcessor<T> {
    type Output = T;

    /// # Panics
    /// If the table was never asked about the processor. It has always been asked about an active one.
    fn index(&self, index: ProcessorIndex) -> &T {
        match self.get(index) {
            Some(value) => value,
            None => panic!("no processor with index {index} has been proposed to this partition"),
        }
    }
}

impl<T: fmt::Debug + Send + Sync + 'static> fmt::Debug for PerProcessor<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}
