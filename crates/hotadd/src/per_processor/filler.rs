//! [`Filler`]: the driver that fills a table before a processor joins, and empties it after the processor has left.

use std::sync::Arc;

use hotadd_core::{Driver, HardwareId, Notice, Processor, ProcessorIndex, Removal, Status, Veto};
use hotadd_percpu::{Owner, PublishError, Table};

use super::builder::Freed;
use super::spare::SpareReports;

pub(super) struct Filler<T: Send + Sync + 'static, M> {
    table: Arc<Table<T>>,
    keep: bool,
    make: M,
}

impl<T: Send + Sync + 'static, M> Filler<T, M> {
    pub(super) const fn new(table: Arc<Table<T>>, keep: bool, make: M) -> Self {
        Self { table, keep, make }
    }

    fn has_left(&self, processor: Processor) {
        if !self.keep {
            self.table.retire(processor.index.get());
        }
    }
}

impl<T, M> Driver for Filler<T, M>
where
    T: Send + Sync + 'static,
    M: FnMut(Option<Processor>) -> Result<T, Veto>,
{
    fn add_start(&mut self, notice: &Notice) -> Result<(), Veto> {
        let processor = notice.processor();
        let index = processor.index.get();
        // It has a value if values are kept, or if the driver is registered again after a lost connection.
        if self.table.get(index).is_some() {
            return Ok(());
        }
        let value = (self.make)(Some(processor))?;
        self.table.publish(index, processor.id.0, value).map_err(|error| veto(&error))
    }

    fn add_failure(&mut self, notice: &Notice) {
        self.has_left(notice.processor());
    }

    fn removal(&mut self) -> Option<&mut dyn Removal> {
        Some(self)
    }
}

impl<T: Send + Sync + 'static, M> Removal for Filler<T, M> {
    fn remove_start(&mut self, _: &Notice) -> Result<(), Veto> {
        Ok(())
    }

    fn remove_complete(&mut self, notice: &Notice) {
        self.has_left(notice.processor());
    }
}

/// The refusal of a processor for which the table has no room.
pub(super) fn veto(error: &PublishError) -> Veto {
    Veto::new(Status::INSUFFICIENT_RESOURCES, error.to_string())
}

/// What becomes of the values, and who hears of threads that find none.
pub(super) struct TableOwner<T> {
    pub(super) freed: Option<Freed<T>>,
    pub(super) reports: SpareReports,
}

impl<T: 'static> Owner<T> for TableOwner<T> {
    fn freed(&self, index: u32, cpu: u32, value: T, spare: &T) {
        let Some(index) = ProcessorIndex::new(index) else { return };
        if let Some(freed) = &self.freed {
            freed(Processor { index, id: HardwareId(cpu) }, value, spare);
        }
    }

    fn missed(&self, cpu: u32) {
        self.reports.missed(cpu);
    }
}
