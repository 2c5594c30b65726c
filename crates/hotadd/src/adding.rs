//! [`Adding`]: processors are added one by one, on a thread of its own.
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
// std's locks, also under loom: a thread that adds is in no loom model.
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::thread;
use std::time::Instant;

use hotadd_core::{ActiveSet, HardwareId};

use crate::error::Error;
use crate::outcome::Change;

/// A partition to which processors can be added.
pub(crate) trait Adds: Send + Sync {
    fn active(&self) -> Arc<ActiveSet>;
    fn add(&self, id: HardwareId) -> Result<Change, Error>;
}

/// Adds the processors that it is given, one by one, on the thread `hotadd-adder`. It does not keep the partition alive, and its
/// thread ends with the partition. Dropping it begins no further add, and does not wait.
#[derive(Debug)]
pub(crate) struct Adding(Arc<Queue>);

/// Gives processors to an [`Adding`]. Dropping it ends the adding.
pub(crate) struct Source(Arc<Queue>);

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

impl Adding {
    /// Starts the thread. It adds nothing until [`begin`](Self::begin) is called.
    pub(crate) fn idle(partition: Weak<dyn Adds>) -> Result<Self, Error> {
        let queue = Arc::new(Queue::default());
        let queued = Arc::clone(&queue);
        let add_all = move || {
            while let Some(id) = queued.next() {
                // Upgraded for one add only; otherwise the wait for the next processor would keep the partition alive.
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
        Ok(Self(queue))
    }

    /// Adds the processors that it was given, and from now on each that it is given.
    pub(crate) fn begin(&self) {
        self.0.lock().begun = true;
        self.0.changed.notify_all();
    }

    /// A processor that already waits is not queued again.
    pub(crate) fn add(&self, ids: impl IntoIterator<Item = HardwareId>) {
        self.0.push(ids);
    }

    /// When the add in progress began; `None` if there is none.
    pub(crate) fn since(&self) -> Option<Instant> {
        self.0.lock().adding
    }

    /// Begins no further add. Returns the processors that it would have added next.
    pub(crate) fn end(&self) -> VecDeque<HardwareId> {
        self.0.end()
    }

    /// For an observer, which is dropped with the partition: the adding ends then.
    pub(crate) fn source(&self) -> Source {
        Source(Arc::clone(&self.0))
    }
}

impl Source {
    pub(crate) fn add(&self, id: HardwareId) {
        self.0.push([id]);
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

impl Drop for Source {
    fn drop(&mut self) {
        self.0.end();
    }
}

impl Drop for Adding {
    fn drop(&mut self) {
        self.0.end();
    }
}
