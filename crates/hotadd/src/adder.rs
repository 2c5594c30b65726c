//! [`Adder`]: adds processors as soon as they appear if all parties agree, and tries each only once.

use std::sync::Arc;
use std::time::Instant;

use hotadd_core::HardwareId;

use crate::adding::Adding;
use crate::error::Error;
use crate::event::EventKind;
use crate::observation::Observation;
use crate::partition::Partition;

/// Adds each processor that appears, one by one, in the order of appearance (H2). A processor that is refused or fails to start
/// stays out until somebody asks for it (A4). The partition's events report the results. A processor that is already active at
/// its turn is skipped.
///
/// It has its own thread, `hotadd-adder`. It does not keep the partition alive, and its thread ends with the partition.
/// All methods may be called from any thread, also from inside callbacks of the partition.
///
/// A partition with [`Follow::Ask`](crate::Follow::Ask) does not need an `Adder`. It is for a program that decides when adding
/// begins. It is told of nothing while the partition has [`Follow::Manual`](crate::Follow::Manual).
///
/// Dropping it stops the adding without waiting: an add in progress continues, and no further add begins.
#[derive(Debug)]
#[must_use = "dropping an Adder ends it at once; keep it for as long as processors are to be added"]
pub struct Adder {
    adding: Adding,
    /// Reports processors that appear. `None` while it is dropped.
    observation: Option<Observation>,
}

impl Adder {
    /// Begins to add each processor that appears from now on.
    ///
    /// # Errors
    /// As [`listen`](Self::listen).
    pub fn start(partition: &Partition) -> Result<Self, Error> {
        let adder = Self::listen(partition)?;
        adder.begin();
        Ok(adder)
    }

    /// Records the processors that appear from now on. Adds nothing until [`begin`](Self::begin) is called.
    ///
    /// # Errors
    /// [`Error::InsideCallback`] (D3), [`Error::NoThread`].
    pub fn listen(partition: &Partition) -> Result<Self, Error> {
        let adding = Adding::idle(Arc::downgrade(partition.backend()) as _)?;
        let appeared = adding.source();
        // On its own thread: an add from inside an event would wait for itself.
        let observation = partition.observe(move |event| {
            if let (EventKind::Appeared, Some(id)) = (event.kind, event.id) {
                appeared.add(id);
            }
        })?;
        Ok(Self { adding, observation: Some(observation) })
    }

    /// Adds the processors that have appeared, and from now on each that appears.
    pub fn begin(&self) {
        self.adding.begin();
    }

    /// Also adds these processors, after those that have appeared. A processor that already waits is not queued again.
    pub fn add(&self, ids: impl IntoIterator<Item = HardwareId>) {
        self.adding.add(ids);
    }

    /// When the add in progress began; `None` if there is none.
    #[must_use]
    pub fn adding_since(&self) -> Option<Instant> {
        self.adding.since()
    }

    /// Begins no further add, like dropping.
    pub fn end(&self) {
        self.adding.end();
    }
}

impl Drop for Adder {
    fn drop(&mut self) {
        self.adding.end();
        if let Some(observation) = self.observation.take() {
            observation.end_soon();
        }
    }
}
