//! [`Adder`]: adds processors as soon as they appear, with everybody's consent, and tries none of them twice.

use std::collections::VecDeque;
// std's on purpose, also under loom: an adder has a thread of its own, which no model has.
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Instant;

use hotadd_core::HardwareId;

use crate::error::Error;
use crate::event::EventKind;
use crate::observation::Observation;
use crate::partition::Partition;
use crate::weak::WeakPartition;

/// Adds each processor that appears, one by one, in the order in which they do (H2). One that is refused, or fails to start, stays
/// out until somebody asks for it (A4). What came of each, the partition's events say. One that is active when its turn comes is
/// passed over.
///
/// It has a thread of its own, `hotadd-adder`. It does not keep the partition alive, and its thread ends with the partition.
/// All methods may be called from any thread, also from inside callbacks of the partition.
///
/// A partition with [`Follow::Ask`](crate::Follow::Ask) needs none. An `Adder` is for a program that decides when adding begins. It
/// hears nothing while the partition has [`Follow::Manual`](crate::Follow::Manual).
///
/// Dropping it ends that, and waits for nobody: an add that is under way goes on, and those behind it are not begun.
#[derive(Debug)]
#[must_use = "dropping an Adder ends it at once; keep it for as long as processors are to be added"]
pub struct Adder {
    queue: Arc<Queue>,
    /// What tells it what appears, if it listens itself.
    observation: Option<Observation>,
}

/// Those that are to be added, for the thread that does it.
#[derive(Debug, Default)]
struct Queue {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// Each once: there are never more than processors.
    waiting: VecDeque<HardwareId>,
    /// Since when one of them is being added.
    adding: Option<Instant>,
    begun: bool,
    ended: bool,
}

impl Adder {
    /// Begins with the next one that appears.
    ///
    /// # Errors
    /// As [`listen`](Self::listen).
    pub fn start(partition: &Partition) -> Result<Self, Error> {
        let adder = Self::listen(partition)?;
        adder.begin();
        Ok(adder)
    }

    /// Takes down what appears from now on, and adds nothing before it is told to [begin](Self::begin).
    ///
    /// # Errors
    /// [`Error::InsideCallback`] (D3), [`Error::NoThread`].
    pub fn listen(partition: &Partition) -> Result<Self, Error> {
        let mut adder = Self::idle(WeakPartition::of(partition))?;
        let appeared = EndsQueue(Arc::clone(&adder.queue));
        // On a thread of its own, as adding from inside an event would wait for itself.
        adder.observation = Some(partition.observe(move |event| {
            if let (EventKind::Appeared, Some(id)) = (event.kind, event.id) {
                appeared.0.push([id]);
            }
        })?);
        Ok(adder)
    }

    /// Has a thread, and hears of nothing by itself.
    pub(crate) fn idle(partition: WeakPartition) -> Result<Self, Error> {
        let queue = Arc::new(Queue::default());
        let queued = Arc::clone(&queue);
        let add_all = move || {
            while let Some(id) = queued.next() {
                // For one add only, or the partition would live for as long as its adder waits.
                let Some(partition) = partition.upgrade() else { return };
                let active = partition.active();
                if !active.by_id(id).is_some_and(|p| active.contains(p.index)) {
                    // Observers are told why not; it is not tried again.
                    let _ = partition.add(id);
                }
            }
        };
        let thread = thread::Builder::new().name("hotadd-adder".to_owned()).spawn(add_all);
        thread.map_err(|error| Error::no_thread("adding what appears", &error))?;
        Ok(Self { queue, observation: None })
    }

    /// Adds what has appeared, and from now on each as it does.
    pub fn begin(&self) {
        self.queue.lock().begun = true;
        self.queue.changed.notify_all();
    }

    /// Adds these too, behind those that have appeared. One that waits already is not taken down twice.
    pub fn add(&self, ids: impl IntoIterator<Item = HardwareId>) {
        self.queue.push(ids);
    }

    /// Since when it has been adding the one that it is at, if it is at one.
    #[must_use]
    pub fn adding_since(&self) -> Option<Instant> {
        self.queue.lock().adding
    }

    /// Begins no further add, as dropping it does.
    pub fn end(&self) {
        self.queue.end();
    }

    /// Ends it, and says which it would have added next.
    pub(crate) fn into_waiting(self) -> VecDeque<HardwareId> {
        self.queue.end()
    }
}

impl Queue {
    /// Nothing in here panics with the lock held.
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

    /// The next one to add, when there is one. `None` when it has ended.
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

    /// Returns those that are not begun any more.
    fn end(&self) -> VecDeque<HardwareId> {
        let mut state = self.lock();
        state.ended = true;
        self.changed.notify_all();
        std::mem::take(&mut state.waiting)
    }
}

/// The observer's hold on the queue. It is dropped with the partition, and then there is nothing left to wait for.
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
