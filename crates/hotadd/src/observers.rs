//! [`Observers`]: who hears of everything that happens in a partition.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use crate::event::Event;
use crate::sync::{AtomicBool, Ordering};

pub(crate) type Observer = Box<dyn FnMut(&Event) + Send>;

/// Whether an observer has heard enough. Its handle and the list both have it; once true it stays true.
pub(crate) type Ended = Arc<AtomicBool>;

/// The observers of a partition, in the order in which they came.
#[derive(Default)]
pub(crate) struct Observers(Vec<(Ended, Observer)>);

impl Observers {
    pub(crate) fn push(&mut self, observer: Observer) -> Ended {
        let ended = Ended::default();
        self.0.push((Arc::clone(&ended), observer));
        ended
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// Tells all of them. One that has ended is dropped, and so is one that panics: it must not take the transaction with it.
    pub(crate) fn tell(&mut self, event: &Event) {
        let over = |(ended, observer): &mut (Ended, Observer)| {
            // Relaxed, here and below: what it decides on this thread was set on it, by a callback, or before this
            // thread came to be inside the partition, which orders the two.
            ended.load(Ordering::Relaxed)
                || catch_unwind(AssertUnwindSafe(|| observer(event)))
                    .map_err(std::mem::forget)
                    .is_err()
        };
        bury(self.0.extract_if(.., over).collect());
    }

    /// Takes out those that have ended. To be dropped where anything may be called: a drop is somebody else's code.
    pub(crate) fn take_ended(&mut self) -> Self {
        Self(self.0.extract_if(.., |(ended, _)| ended.load(Ordering::Relaxed)).collect())
    }
}

impl Drop for Observers {
    fn drop(&mut self) {
        bury(std::mem::take(&mut self.0));
    }
}

/// Drops observers. A drop that panics must not be taken for a driver's, or for that of whoever is here by chance.
fn bury(observers: Vec<(Ended, Observer)>) {
    for observer in observers {
        let _ = catch_unwind(AssertUnwindSafe(|| drop(observer))).map_err(std::mem::forget);
    }
}
