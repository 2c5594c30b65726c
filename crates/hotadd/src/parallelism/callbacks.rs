//! [`Callbacks`]: who is told when the number changes.
//!
//! Two threads may change the number: the thread that runs a transaction, and the thread that watches quotas. Neither waits for
//! the other, because a callback may wait for the thread that runs the transaction. So a thread that finds another one calling
//! leaves the news to it.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::{self, ThreadId};

use super::Limits;
use crate::observers::Ended;
use crate::sync::{AtomicBool, Ordering, lock};

type Callback = Box<dyn FnMut(&Limits) + Send>;

#[derive(Default)]
pub(super) struct Callbacks {
    state: Mutex<State>,
    /// Signals that no callback is being called.
    idle: Condvar,
    /// No callback is called any more. Relaxed: a callback on this thread has set it, or the thread that sets it waits until no
    /// callback is being called.
    closed: AtomicBool,
}

#[derive(Default)]
struct State {
    /// Empty while they are being called.
    callbacks: Vec<(Ended, Callback)>,
    /// The thread that calls them.
    calling: Option<ThreadId>,
    /// The number has changed since that thread read it.
    again: bool,
    /// The epoch of the number that was told last.
    told: u64,
}

impl Callbacks {
    pub(super) fn push(&self, callback: Callback) -> Ended {
        let ended = Ended::default();
        lock(&self.state).callbacks.push((Arc::clone(&ended), callback));
        ended
    }

    /// Tells all callbacks the number that `newest` returns, unless they know it. If another thread is calling them, or this one
    /// does so further up its stack, that call is repeated with the newest number.
    pub(super) fn tell(&self, newest: impl Fn() -> Limits) {
        let mut state = lock(&self.state);
        if state.calling.is_some() {
            state.again = true;
            return;
        }
        state.calling = Some(thread::current().id());
        loop {
            state.again = false;
            let mut callbacks = std::mem::take(&mut state.callbacks);
            let told = state.told;
            drop(state);
            let limits = newest();
            let mut ended = Vec::new();
            if limits.epoch != told {
                // One that panics is dropped.
                ended.extend(callbacks.extract_if(.., |(ended, callback)| {
                    self.is_over(ended)
                        || catch_unwind(AssertUnwindSafe(|| callback(&limits)))
                            .map_err(std::mem::forget)
                            .is_err()
                }));
            }
            ended.extend(callbacks.extract_if(.., |(ended, _)| self.is_over(ended)));
            drop_all(ended);
            state = lock(&self.state);
            state.told = limits.epoch;
            // Those that were added meanwhile come after.
            callbacks.append(&mut state.callbacks);
            state.callbacks = callbacks;
            if state.again {
                continue;
            }
            state.calling = None;
            drop(state);
            self.idle.notify_all();
            return;
        }
    }

    fn is_over(&self, ended: &Ended) -> bool {
        ended.load(Ordering::Relaxed) || self.closed.load(Ordering::Relaxed)
    }

    /// No callback is called from now on, and all are dropped. Waits as [`sweep`](Self::sweep).
    pub(super) fn close(&self) {
        self.closed.store(true, Ordering::Relaxed);
        self.sweep();
    }

    /// Drops the callbacks that have ended. Waits until none is being called. Does not wait inside a callback: then they are
    /// dropped when it returns.
    pub(super) fn sweep(&self) {
        let this = thread::current().id();
        let other_calls = |state: &mut State| state.calling.is_some_and(|calling| calling != this);
        let state = self.idle.wait_while(lock(&self.state), other_calls);
        let mut state = state.unwrap_or_else(PoisonError::into_inner);
        let over = state.callbacks.extract_if(.., |(ended, _)| self.is_over(ended)).collect();
        drop(state);
        drop_all(over);
    }
}

/// A drop runs foreign code, so no lock is held. A panic in it concerns nobody else.
fn drop_all(callbacks: Vec<(Ended, Callback)>) {
    for callback in callbacks {
        let _ = catch_unwind(AssertUnwindSafe(|| drop(callback))).map_err(std::mem::forget);
    }
}
