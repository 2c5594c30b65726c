//! [`PerProcessorBuilder`]: the options of a [`PerProcessor`].

use std::fmt;
use std::sync::Arc;

use hotadd_core::{Processor, Veto};
use hotadd_percpu::Table;

use super::PerProcessor;
use super::filler::{Filler, TableOwner};
use super::spare::SpareReports;
use crate::error::Error;
use crate::partition::Partition;
use crate::text;

pub(super) type Freed<T> = Box<dyn Fn(Processor, T, &T) + Send + Sync>;

/// The builder of a [`PerProcessor`]. Made by [`PerProcessor::builder`].
#[must_use = "no table is made until `build` is called"]
pub struct PerProcessorBuilder<'a, T> {
    partition: &'a Partition,
    name: &'a str,
    level: i32,
    keep: bool,
    freed: Option<Freed<T>>,
}

impl<'a, T: Send + Sync + 'static> PerProcessorBuilder<'a, T> {
    pub(super) const fn new(partition: &'a Partition, name: &'a str) -> Self {
        Self { partition, name, level: 0, keep: false, freed: None }
    }

    /// Sets the level. Lower levels are asked first and unwound last. The default is 0.
    ///
    /// The table of another driver that uses it in `add_start` must have a lower level, or be registered earlier.
    pub const fn level(mut self, level: i32) -> Self {
        self.level = level;
        self
    }

    /// Keeps the value of a processor that left, or that failed to start, until the table is dropped. A processor that comes back has
    /// the same index (X3) and finds the same value.
    pub const fn keep(mut self) -> Self {
        self.keep = true;
        self
    }

    /// Sets what becomes of a value when its processor has left, or failed to start, and nobody reads the value. The default is to drop
    /// it. The closure gets the processor, the value, and the spare value, into which it may merge what must not be lost:
    ///
    /// ```
    /// use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
    ///
    /// use hotadd::hardware::Simulated;
    /// use hotadd::{HardwareId, Partition, PerProcessor};
    ///
    /// let partition = Partition::simulated(&Simulated::new(1, 1)?)?;
    /// let bytes = PerProcessor::builder(&partition, "bytes")
    ///     .freed(|_, left: AtomicU64, spare| _ = spare.fetch_add(left.into_inner(), Relaxed))
    ///     .build(|_| Ok(AtomicU64::new(0)))?;
    /// let joined = partition.add(HardwareId(1))?.processor;
    /// bytes.get(joined.index).ok_or("no value")?.fetch_add(512, Relaxed);
    /// partition.remove(HardwareId(1))?;
    /// assert_eq!(bytes.sum(|one| one.load(Relaxed)), 512);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// It is called on the [thread that drops the value](PerProcessor#where-values-are-dropped), and must not wait. A panic in it is
    /// caught and changes nothing else. It is not called for values whose processors are active when the table is dropped.
    pub fn freed(mut self, freed: impl Fn(Processor, T, &T) + Send + Sync + 'static) -> Self {
        self.freed = Some(Box::new(freed));
        self
    }

    /// Makes the table, as [`PerProcessor::new`].
    ///
    /// # Errors
    /// As [`PerProcessor::new`].
    pub fn build(
        self,
        mut make: impl FnMut(Option<Processor>) -> Result<T, Veto> + Send + 'static,
    ) -> Result<PerProcessor<T>, Error> {
        let Self { partition, name, level, keep, freed } = self;
        let spare = make(None).map_err(|veto| {
            let name = text::clean(name).to_string();
            Error::NoSpare { name, veto }
        })?;
        let maximum = partition.read().maximum() as usize;
        let owner = TableOwner { freed, reports: SpareReports::new(partition, name) };
        let table = Arc::new(Table::new(maximum, spare, owner));
        let filler = Filler::new(Arc::clone(&table), keep, make);
        let registration = partition.registration(name).level(level).register(filler)?;
        Ok(PerProcessor { registration, table })
    }
}

impl<T> fmt::Debug for PerProcessorBuilder<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PerProcessorBuilder")
            .field("name", &self.name)
            .field("level", &self.level)
            .field("keep", &self.keep)
            .finish_non_exhaustive()
    }
}
