//! [`SpareReports`]: reports that a thread was found on a processor for which a table has no value (H5, Q3).

use std::sync::{Arc, Weak};

use hotadd_core::HardwareId;

use crate::event::{Event, EventKind};
use crate::hardware::SIMULATED;
use crate::inner::Inner;
use crate::partition::Partition;

pub(super) struct SpareReports {
    /// The partition, if it is in this process and its processors exist. It owns the table's driver, and so is not owned by it.
    inner: Option<Weak<Inner>>,
    /// The table's name.
    name: Box<str>,
}

impl SpareReports {
    pub(super) fn new(partition: &Partition, name: &str) -> Self {
        let inner = partition.local().filter(|inner| inner.hardware.name() != SIMULATED);
        Self { inner: inner.map(|inner| Arc::downgrade(&inner)), name: name.into() }
    }

    /// Queues the report. The thread must not wait for an observer, which may wait for the thread.
    pub(super) fn missed(&self, cpu: u32) {
        let Some(inner) = self.inner.as_ref().and_then(Weak::upgrade) else { return };
        if !inner.telling.is_observed() {
            return;
        }
        let id = HardwareId(cpu);
        let set = inner.published.load();
        let (clause, why) = match set.active(id) {
            Some(_) => ("Q3", "was brought in by another process, so that no driver was asked"),
            None => ("H5", "is not in the partition"),
        };
        let mut event = Event::new(EventKind::Breach, set.epoch());
        event.id = Some(id);
        event.processor = set.active(id);
        event.clause = Some(clause);
        let name = &self.name;
        event.reason = Some(format!(
            "a thread ran on processor {id}, which {why}; {name} has no value for it and gave the spare value"
        ));
        inner.telling.push(event);
    }
}
