//! [`Observers`]: the observers of a partition, which are told of every event.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use crate::event::Event;
use crate::sync::{AtomicBool, Ordering};

pub(crate) type Observer = Box<dyn FnMut(&Event) + Send>;

/// Whether an observer has ended. Its handle and the list share this flag. Once true it stays true.
pub(crate) type Ended = Arc<AtomicBool>;

/// The observers of a partition, in the order in which they were added.
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

    /// Tells all observers. An ended observer is dropped, and so is one that panics: a panic must not end the transaction.
    pub(crate) fn tell(&mut self, event: &Event) {
        let over = |(ended, observer): &mut (Ended, Observer)| {
            // Relaxed, here and below: the flag that decides on this thread was set on this thread, by a callback, or before this
            // thread entered the partition, which orders the two.
            ended.load(Ordering::Relaxed)
                || catch_unwind(AssertUnwindSafe(|| observer(event)))
                    .map_err(std::mem::forget)
                    .is_err()
        };
        drop_observers(self.0.extract_if(.., over).collect());
    }

    /// Takes out the ended observers. The caller must drop them where foreign code may run: a drop runs foreign code.
    pub(crate) fn take_ended(&mut self) -> Self {
        Self(self.0.extract_if(.., |(ended, _)| ended.load(Ordering::Relaxed)).collect())
    }
}

impl Drop for Observers {
    fn drop(&mut self) {
        drop_observers(std::mem::take(&mut self.0));
    }
}

/// Drops observers. A panic in a drop is contained, so that it is not attributed to a driver or to an unrelated caller.
fn drop_observers(observers: Vec<(Ended, Observer)>) {
    for observer in observers {
        let _ = catch_unwind(AssertUnwindSafe(|| drop(observer))).map_err(std::mem::forget);
    }
}
