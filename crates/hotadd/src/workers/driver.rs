//! [`WorkersDriver`]: makes and ends workers as processors come and go.

use std::sync::Arc;
use std::time::Duration;

use hotadd_core::{Driver, HardwareId, Notice, Processor, Removal, Status, Veto};

use super::Shared;
use super::slot::Slot;
use super::thread::{self, Make};

pub(super) struct WorkersDriver {
    shared: Arc<Shared>,
    make: Make,
    drain_limit: Duration,
    /// The processors whose workers run.
    running: Vec<Processor>,
}

impl WorkersDriver {
    pub(super) const fn new(shared: Arc<Shared>, make: Make, drain_limit: Duration) -> Self {
        Self { shared, make, drain_limit, running: Vec::new() }
    }

    fn slot(&self, notice: &Notice) -> &Slot {
        &self.shared.slots[notice.processor().index.as_usize()]
    }

    /// Ends the processor's worker. Other workers run its waiting jobs.
    fn retire(&mut self, notice: &Notice) {
        self.running.retain(|processor| *processor != notice.processor());
        for job in self.slot(notice).retire() {
            self.shared.push(job);
        }
    }
}

impl Driver for WorkersDriver {
    fn add_start(&mut self, notice: &Notice) -> Result<(), Veto> {
        let Some(generation) = self.slot(notice).prepare() else { return Ok(()) };
        let made = self.make.make(&self.shared, notice.processor(), generation);
        made.map_err(|error| {
            self.slot(notice).retire();
            let reason = format!("the thread of its worker could not be created: {error}");
            Veto::new(Veto::from(error).status(), reason)
        })
    }

    fn add_complete(&mut self, notice: &Notice) {
        // The mask of the worker of a single processor equals the set. So a partition of another process, which governs this one
        // too, has widened it.
        if let [only] = *self.running {
            self.shared.slots[only.index.as_usize()].check_mask();
        }
        self.slot(notice).run();
        if !self.running.contains(&notice.processor()) {
            self.running.push(notice.processor());
        }
        // Jobs may have been waiting for a worker.
        self.shared.wake_one();
    }

    fn add_failure(&mut self, notice: &Notice) {
        self.retire(notice);
    }

    fn removal(&mut self) -> Option<&mut dyn Removal> {
        Some(self)
    }
}

impl Removal for WorkersDriver {
    fn remove_start(&mut self, notice: &Notice) -> Result<(), Veto> {
        let processor = notice.processor();
        if self.shared.is_own_thread()
            && thread::current().is_some_and(|(_, current)| current == processor)
        {
            let reason = "a job of this processor's worker requested the removal, and the worker cannot wait for its own job; \
                          request it on another thread";
            return Err(Veto::new(Status::POSSIBLE_DEADLOCK, reason));
        }
        let others: Vec<HardwareId> = self
            .running
            .iter()
            .filter(|other| **other != processor)
            .map(|other| other.id)
            .collect();
        self.slot(notice).drain(self.drain_limit, others).map_err(|waiting| {
            let limit = self.drain_limit;
            let reason = format!(
                "its worker did not finish its jobs within {limit:?} ({waiting} are still waiting); try again \
                 when they are finished"
            );
            Veto::new(Status::DEVICE_BUSY, reason)
        })
    }

    fn remove_complete(&mut self, notice: &Notice) {
        self.retire(notice);
    }

    fn remove_failure(&mut self, notice: &Notice) {
        self.slot(notice).run();
    }
}
