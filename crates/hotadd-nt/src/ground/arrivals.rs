//! The processors that have joined, for those who are told of them later.

use std::collections::VecDeque;

use hotadd::{Epoch, Event, EventKind, HardwareId};
use parking_lot::{Condvar, Mutex};

/// A processor that has joined, after all parties were told.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Arrival {
    pub(crate) id: HardwareId,
    /// The epoch of the active set when it had joined.
    pub(crate) epoch: Epoch,
}

/// `None` as long as nobody waits for arrivals.
static QUEUE: Mutex<Option<VecDeque<Arrival>>> = Mutex::new(None);

static MORE: Condvar = Condvar::new();

/// Records what the partition reports.
pub(crate) fn observe(event: &Event) {
    let (EventKind::Joined, Some(processor)) = (event.kind, event.processor) else { return };
    let mut queue = QUEUE.lock();
    let Some(queue) = queue.as_mut() else { return };
    let arrival = Arrival { id: processor.id, epoch: event.epoch };
    // A processor waits in the queue once, so the queue is no longer than the list of processors.
    match queue.iter_mut().find(|other| other.id == arrival.id) {
        Some(other) => *other = arrival,
        None => queue.push_back(arrival),
    }
    MORE.notify_one();
}

/// From now on arrivals are kept for [`next`].
pub(crate) fn keep() {
    QUEUE.lock().get_or_insert_default();
}

/// Waits for the next arrival.
pub(crate) fn next() -> Arrival {
    let mut queue = QUEUE.lock();
    loop {
        if let Some(arrival) = queue.get_or_insert_default().pop_front() {
            return arrival;
        }
        MORE.wait(&mut queue);
    }
}
