//! [`Telling`]: the observers. Two threads may call them: the thread inside the gate, and a thread that checks the hardware
//! meanwhile (Q4).

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
    /// Whether there are observers. Changes only inside the partition's gate.
    any: AtomicBool,
    /// Findings of checks that were not reported yet, in order. std's lock, also under loom: it is held only briefly.
    unsaid: Mutex<VecDeque<Event>>,
    called: Mutex<Called>,
    /// Signals that the call is over.
    returned: Condvar,
}

#[derive(Default)]
struct Called {
    /// The party that is being called, while there are observers.
    party: Option<PartyId>,
    /// How many threads wait until it is not. If none does, the end of a call needs no system call.
    waiting: usize,
}

impl Telling {
    /// Whether there are observers.
    pub(crate) fn is_observed(&self) -> bool {
        self.any.load(Ordering::Relaxed)
    }

    /// Whether this thread is inside an observer.
    pub(crate) fn is_inside(&self) -> bool {
        self.observers.is_inside()
    }

    /// Changes the observers. Called from inside the partition's gate.
    pub(crate) fn change<R>(&self, what: impl FnOnce(&mut Observers) -> R) -> Result<R, Inside> {
        let mut observers = self.observers.enter()?;
        let result = what(&mut observers);
        self.any.store(!observers.is_empty(), Ordering::Relaxed);
        Ok(result)
    }

    /// Tells all observers an event, after the queued ones.
    pub(crate) fn tell(&self, event: &Event) {
        match self.observers.enter() {
            Ok(mut observers) => {
                self.say_all(&mut observers);
                observers.tell(event);
                self.say_all(&mut observers);
            }
            // From inside an observer: queued behind the event that it is being told.
            Err(Inside) => self.push(event.clone()),
        }
    }

    /// Queues an event without telling it.
    pub(crate) fn push(&self, event: Event) {
        lock(&self.unsaid).push_back(event);
    }

    /// Tells the queued events. From inside an observer, they are told when it returns.
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

    /// A party is being called until the returned value is dropped. Another thread that deregisters the party has done so by now,
    /// or [waits](Self::wait_for).
    pub(crate) fn calls(&self, party: PartyId) -> Call<'_> {
        lock(&self.called).party = Some(party);
        Call(self)
    }

    /// Waits until this party is not being called. For an observer on a thread that is not inside the partition's gate (D1).
    pub(crate) fn wait_for(&self, party: PartyId) {
        let mut called = lock(&self.called);
        called.waiting += 1;
        let waited = self.returned.wait_while(called, |called| called.party == Some(party));
        waited.unwrap_or_else(PoisonError::into_inner).waiting -= 1;
    }
}

/// Marks that a party is being called.
#[must_use]
pub(crate) struct Call<'a>(&'a Telling);

impl Drop for Call<'_> {
    fn drop(&mut self) {
        let mut called = lock(&self.0.called);
        called.party = None;
        if called.waiting > 0 {
            self.0.returned.notify_all();
        }
    }
}

/// No code panics while it holds one of these locks.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
