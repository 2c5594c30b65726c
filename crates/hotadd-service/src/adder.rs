//! [`Adder`]: adds processors as soon as they appear, with everybody's consent, and tries none of them twice.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::Instant;

use hotadd::{EventKind, HardwareId, Observation, Partition};

use crate::lock;
use crate::service::ServiceError;

/// Adds each processor that appears, one by one, in the order in which they do. One that is refused, or fails to start, stays out
/// until somebody asks for it (A4). What came of each, the partition's events say.
///
/// Dropping it ends that, and waits for nobody: an add that is under way goes on, and those behind it are not begun.
#[derive(Debug)]
pub struct Adder {
    queue: Arc<Queue>,
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
    /// From inside a callback of the partition (D3), or if there is no thread.
    pub fn start(partition: &Partition) -> Result<Self, ServiceError> {
        let adder = Self::listen(partition)?;
        adder.begin();
        Ok(adder)
    }

    /// Takes down what appears from now on, and adds nothing before it is told to [begin](Self::begin).
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub fn listen(partition: &Partition) -> Result<Self, ServiceError> {
        let queue = Arc::new(Queue::default());
        let (queued, adding) = (Arc::clone(&queue), partition.clone());
        let add_all = move || {
            while let Some(id) = queued.next() {
                // Observers are told why not; it is not tried again.
                let _ = adding.add(id);
            }
        };
        let thread = thread::Builder::new().name("hotadd-adder".to_owned());
        thread.spawn(add_all)?;
        let appeared = Arc::clone(&queue);
        // On a thread of its own, as adding from inside an event would wait for itself.
        let observation = partition.observe(move |event| {
            if let (EventKind::Appeared, Some(id)) = (event.kind, event.id) {
                appeared.push([id]);
            }
        });
        // Without it the thread has nothing to wait for.
        let observation = observation.inspect_err(|_| queue.end())?;
        Ok(Self { queue, observation: Some(observation) })
    }

    /// Adds what has appeared, and from now on each as it does.
    pub fn begin(&self) {
        lock(&self.queue.state).begun = true;
        self.queue.changed.notify_all();
    }

    /// Adds these too, behind those that have appeared. One that waits already is not taken down twice.
    pub fn add(&self, ids: impl IntoIterator<Item = HardwareId>) {
        self.queue.push(ids);
    }

    /// Since when it has been adding the one that it is at, if it is at one.
    #[must_use]
    pub fn adding_since(&self) -> Option<Instant> {
        lock(&self.queue.state).adding
    }

    /// Begins no further add, as dropping it does.
    pub fn end(&self) {
        self.queue.end();
    }
}

impl Queue {
    fn push(&self, ids: impl IntoIterator<Item = HardwareId>) {
        let mut state = lock(&self.state);
        for id in ids {
            if !state.waiting.contains(&id) {
                state.waiting.push_back(id);
            }
        }
        self.changed.notify_all();
    }

    /// The next one to add, when there is one. `None` when it has ended.
    fn next(&self) -> Option<HardwareId> {
        let mut state = lock(&self.state);
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

    fn end(&self) {
        lock(&self.state).ended = true;
        self.changed.notify_all();
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
