//! [`Adder`]: adds processors as soon as they appear if all parties agree, and tries each only once.
//!
//! Processors that are plugged in together are a batch of one transaction each, which is the default of A9. Three other ways were
//! considered:
//!
//! - **One atomic batch.** All parties would be asked about all processors before the first start. But one veto would keep out all
//!   of them, which A9 excludes unless somebody asks for an atomic batch. To try the others again, the parties would have to be
//!   told first that processors about which nobody objected were not added, and then be asked about them a second time.
//! - **One batch without the vetoed processors.** AddStart tells a processor's index, which is valid until the end of the add (A5)
//!   and dense in the order of activation. If an earlier processor is refused or does not start, each later one has an index that
//!   its parties were told wrongly.
//! - **Asking about the next processor while the kernel brings up the last one.** The same holds for the index. In addition, two
//!   adds would be in progress (A7), and AddStart of the second could come before AddComplete of the first, in which the party
//!   prepares what the second needs.
//!
//! So the adds follow one another, and the time between two of them is kept short. The kernel's bring-up of a processor takes
//! longer than the events of the next ones. These are received meanwhile by another thread, and the next processor is already
//! queued when an add ends.

use std::collections::VecDeque;
// std's locks, also under loom: an adder has its own thread, which no loom model has.
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Instant;

use hotadd_core::HardwareId;

use crate::error::Error;
use crate::event::EventKind;
use crate::observation::Observation;
use crate::partition::Partition;
use crate::weak::WeakPartition;

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
    queue: Arc<Queue>,
    /// Reports processors that appear, if the adder observes the partition itself.
    observation: Option<Observation>,
}

/// The processors to be added, shared with the thread that adds them.
#[derive(Debug, Default)]
struct Queue {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// Each processor once, so there are never more entries than processors.
    waiting: VecDeque<HardwareId>,
    /// When the add in progress began.
    adding: Option<Instant>,
    begun: bool,
    ended: bool,
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
        let mut adder = Self::idle(WeakPartition::of(partition))?;
        let appeared = EndsQueue(Arc::clone(&adder.queue));
        // On its own thread: an add from inside an event would wait for itself.
        adder.observation = Some(partition.observe(move |event| {
            if let (EventKind::Appeared, Some(id)) = (event.kind, event.id) {
                appeared.0.push([id]);
            }
        })?);
        Ok(adder)
    }

    /// Starts the thread without observing the partition.
    pub(crate) fn idle(partition: WeakPartition) -> Result<Self, Error> {
        let queue = Arc::new(Queue::default());
        let queued = Arc::clone(&queue);
        let add_all = move || {
            while let Some(id) = queued.next() {
                // Upgraded for one add only; otherwise the adder's wait would keep the partition alive.
                let Some(partition) = partition.upgrade() else { return };
                let active = partition.active();
                if !active.by_id(id).is_some_and(|p| active.contains(p.index)) {
                    // The observers are told the reason; the add is not repeated.
                    let _ = partition.add(id);
                }
            }
        };
        let thread = thread::Builder::new().name("hotadd-adder".to_owned()).spawn(add_all);
        thread.map_err(|error| Error::no_thread("adding what appears", &error))?;
        Ok(Self { queue, observation: None })
    }

    /// Adds the processors that have appeared, and from now on each that appears.
    pub fn begin(&self) {
        self.queue.lock().begun = true;
        self.queue.changed.notify_all();
    }

    /// Also adds these processors, after those that have appeared. A processor that already waits is not queued again.
    pub fn add(&self, ids: impl IntoIterator<Item = HardwareId>) {
        self.queue.push(ids);
    }

    /// When the add in progress began; `None` if there is none.
    #[must_use]
    pub fn adding_since(&self) -> Option<Instant> {
        self.queue.lock().adding
    }

    /// Begins no further add, like dropping.
    pub fn end(&self) {
        self.queue.end();
    }

    /// Ends the adder, and returns the processors that it would have added next.
    pub(crate) fn into_waiting(self) -> VecDeque<HardwareId> {
        self.queue.end()
    }
}

impl Queue {
    /// No code panics while it holds this lock.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, ids: impl IntoIterator<Item = HardwareId>) {
        let mut state = self.lock();
        for id in ids {
            if !state.waiting.contains(&id) {
                state.waiting.push_back(id);
            }
        }
        self.changed.notify_all();
    }

    /// Waits for the next processor to add. `None` when the adder has ended.
    fn next(&self) -> Option<HardwareId> {
        let mut state = self.lock();
        state.adding = None;
        loop {
            if state.ended {
                return None;
            }
            if let Some(id) = state.begun.then(|| state.waiting.pop_front()).flatten() {
                state.adding = Some(Instant::now());
                return Some(id);
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Ends the queue. Returns the processors whose add has not begun.
    fn end(&self) -> VecDeque<HardwareId> {
        let mut state = self.lock();
        state.ended = true;
        self.changed.notify_all();
        std::mem::take(&mut state.waiting)
    }
}

/// The observer's handle of the queue. It is dropped with the partition, and then the queue ends.
struct EndsQueue(Arc<Queue>);

impl Drop for EndsQueue {
    fn drop(&mut self) {
        self.0.end();
    }
}

impl Drop for Adder {
    fn drop(&mut self) {
        self.queue.end();
        if let Some(observation) = self.observation.take() {
            observation.end_soon();
        }
    }
}
