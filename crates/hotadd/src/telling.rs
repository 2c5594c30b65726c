//! [`Telling`]: the observers, whom two threads may have something to tell: the one inside the gate, and one that looks at the
//! hardware meanwhile (Q4).

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use hotadd_core::PartyId;

use crate::event::Event;
use crate::gate::{Gate, Guard, Inside};
use crate::observers::Observers;
use crate::sync::{AtomicBool, Ordering};

#[derive(Default)]
pub(crate) struct Telling {
    observers: Gate<Observers>,
    /// Whether there are any. Changes only inside the partition's gate.
    any: AtomicBool,
    /// What looks have found and nobody was told yet, in order. std's lock, also under loom: it is held for a moment only.
    unsaid: Mutex<VecDeque<Event>>,
    /// The party that is being called, while there are observers.
    called: Mutex<Option<PartyId>>,
    /// That call is over.
    returned: Condvar,
}

impl Telling {
    /// Whether somebody observes.
    pub(crate) fn is_observed(&self) -> bool {
        self.any.load(Ordering::Relaxed)
    }

    /// Whether this thread is in the middle of telling an observer.
    pub(crate) fn is_inside(&self) -> bool {
        self.observers.is_inside()
    }

    /// Changes who is told. From inside the partition's gate.
    pub(crate) fn change<R>(&self, what: impl FnOnce(&mut Observers) -> R) -> Result<R, Inside> {
        let mut observers = self.observers.enter()?;
        let result = what(&mut observers);
        self.any.store(!observers.is_empty(), Ordering::Relaxed);
        Ok(result)
    }

    /// Tells everybody, behind what is unsaid.
    pub(crate) fn tell(&self, event: &Event) {
        match self.observers.enter() {
            Ok(mut observers) => {
                self.say_all(&mut observers);
                observers.tell(event);
                self.say_all(&mut observers);
            }
            // From inside an observer: behind what it is being told.
            Err(Inside) => self.push(event.clone()),
        }
    }

    /// Notes what is to be told, and tells nobody.
    pub(crate) fn push(&self, event: Event) {
        lock(&self.unsaid).push_back(event);
    }

    /// Tells what is unsaid; from inside an observer, when that returns.
    pub(crate) fn flush(&self) {
        if lock(&self.unsaid).is_empty() {
            return;
        }
        if let Ok(mut observers) = self.observers.enter() {
            self.say_all(&mut observers);
        }
    }

    fn say_all(&self, observers: &mut Guard<'_, Observers>) {
        loop {
            let event = lock(&self.unsaid).pop_front();
            let Some(event) = event else { return };
            observers.tell(&event);
        }
    }

    /// A party is about to be called, until what this returns is dropped. Who deregisters it on another thread has done so by now, or
    /// [waits](Self::wait_for).
    pub(crate) fn calls(&self, party: PartyId) -> Call<'_> {
        *lock(&self.called) = Some(party);
        Call(self)
    }

    /// Waits until this party is not being called. For an observer on a thread that is not inside the partition's gate (D1).
    pub(crate) fn wait_for(&self, party: PartyId) {
        let called = lock(&self.called);
        let waited = self.returned.wait_while(called, |called| *called == Some(party));
        drop(waited.unwrap_or_else(PoisonError::into_inner));
    }
}

/// A party is being called.
#[must_use]
pub(crate) struct Call<'a>(&'a Telling);

impl Drop for Call<'_> {
    fn drop(&mut self) {
        *lock(&self.0.called) = None;
        self.0.returned.notify_all();
    }
}

/// Nothing in here panics with a lock held.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
