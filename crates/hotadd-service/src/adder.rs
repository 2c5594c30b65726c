//! [`Adder`]: adds processors as soon as they appear, with everybody's consent, and tries none of them twice.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::thread;

use hotadd::{EventKind, HardwareId, Observation, Partition};

use crate::service::ServiceError;

/// Adds each processor that appears, one by one, in the order in which they do. One that is refused, or fails to start, stays out
/// until somebody asks for it (A4). What came of each, the partition's events say.
///
/// Dropping it ends that, and waits for nobody: an add that is under way goes on, and those behind it are not begun.
#[derive(Debug)]
pub struct Adder {
    queue: Sender<HardwareId>,
    ended: Arc<AtomicBool>,
    observation: Option<Observation>,
}

impl Adder {
    /// Begins with the next one that appears.
    ///
    /// # Errors
    /// From inside a callback of the partition (D3), or if there is no thread.
    pub fn start(partition: &Partition) -> Result<Self, ServiceError> {
        let (queue, queued) = channel();
        let ended = Arc::new(AtomicBool::new(false));
        let (over, adding) = (Arc::clone(&ended), partition.clone());
        let add_all = move || {
            for id in queued {
                // Relaxed: it guards no memory, and one add more or less is nobody's loss.
                if over.load(Ordering::Relaxed) {
                    return;
                }
                // Observers are told why not; it is not tried again.
                let _ = adding.add(id);
            }
        };
        let thread = thread::Builder::new().name("hotadd-adder".to_owned());
        thread.spawn(add_all)?;
        let appeared = queue.clone();
        // On a thread of its own, as adding from inside an event would wait for itself.
        let observation = partition.observe(move |event| {
            if let (EventKind::Appeared, Some(id)) = (event.kind, event.id) {
                // Nobody adds any more: it has ended.
                let _ = appeared.send(id);
            }
        })?;
        Ok(Self { queue, ended, observation: Some(observation) })
    }

    /// Adds these too, behind those that have appeared.
    pub fn add(&self, ids: impl IntoIterator<Item = HardwareId>) {
        for id in ids {
            // If the thread is gone, so is everything.
            let _ = self.queue.send(id);
        }
    }
}

impl Drop for Adder {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
        if let Some(observation) = self.observation.take() {
            observation.end_soon();
        }
    }
}
