//! [`Slot`]: the place of one processor's worker: its phase, and the jobs for its processor.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hotadd_core::{Errno, HardwareId, ProcessorIndex};

use crate::sync::lock;

use super::jobs::Job;
use super::refusal::{Rejected, Rejection};

/// The place of one processor's worker. It exists from the beginning; the worker comes and goes.
#[derive(Default)]
pub(super) struct Slot {
    state: Mutex<State>,
    /// Wakes the worker: a job, a call, or another phase.
    wake: Condvar,
    /// Wakes the driver: the worker has drained.
    drained: Condvar,
    /// The partition may have changed the worker's mask.
    check_mask: AtomicBool,
}

#[derive(Default)]
struct State {
    phase: Phase,
    /// Grows whenever the worker of this slot ends, so that a thread finds out that it is the former worker.
    generation: u64,
    jobs: VecDeque<Job>,
    /// The worker was woken for a job for any processor.
    called: bool,
    /// The other processors of the set, on which a worker waits that has drained.
    others: Vec<HardwareId>,
    unpinned: Option<Errno>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Phase {
    /// There is no worker.
    #[default]
    Out,
    /// The thread exists and waits for AddComplete.
    Prepared,
    Running,
    /// RemoveStart: the worker finishes the jobs for its processor.
    Draining,
    /// They are finished. The worker waits for the outcome.
    Drained,
    /// The workers are dropped: the worker finishes all jobs and ends.
    Finishing,
}

/// What a worker does next.
pub(super) enum Turn {
    /// A job for its processor.
    Own(Job),
    /// It may take a job for any processor. If there is none, it ends (`last`) or sleeps.
    Any { last: bool },
    /// It moves to these processors, and calls [`Slot::wait_drained`].
    Drained(Vec<HardwareId>),
    /// It ends.
    Ended,
}

impl Slot {
    fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    /// AddStart: there will be a worker. Returns its generation, or `None` if there is one already: a partition in another process
    /// replays after the connection was lost.
    pub(super) fn prepare(&self) -> Option<u64> {
        let mut state = self.lock();
        (state.phase == Phase::Out).then(|| {
            state.phase = Phase::Prepared;
            state.unpinned = None;
            state.generation
        })
    }

    /// AddComplete, or RemoveFailure: the worker takes jobs.
    pub(super) fn run(&self) {
        let mut state = self.lock();
        if matches!(state.phase, Phase::Prepared | Phase::Draining | Phase::Drained) {
            state.phase = Phase::Running;
        }
        drop(state);
        self.check_mask();
    }

    /// Makes the worker check its mask before its next job.
    pub(super) fn check_mask(&self) {
        // With the lock, so that a worker that is about to sleep is not missed. Relaxed: a worker reads it under the lock, or
        // before a job that it has taken under the lock.
        let state = self.lock();
        self.check_mask.store(true, Ordering::Relaxed);
        drop(state);
        self.wake.notify_all();
    }

    /// Whether the worker must check its mask now.
    pub(super) fn must_check_mask(&self) -> bool {
        // The load avoids a write for each job.
        self.check_mask.load(Ordering::Relaxed) && self.check_mask.swap(false, Ordering::Relaxed)
    }

    /// RemoveStart: waits until the worker has finished the jobs for its processor. If it does not in time, it goes on, and the
    /// error is the number of waiting jobs.
    pub(super) fn drain(&self, limit: Duration, others: Vec<HardwareId>) -> Result<(), usize> {
        let mut state = self.lock();
        if state.phase != Phase::Running {
            return Ok(());
        }
        (state.phase, state.others) = (Phase::Draining, others);
        self.wake.notify_all();
        let drains = |state: &mut State| state.phase == Phase::Draining;
        let waited = self.drained.wait_timeout_while(state, limit, drains);
        let (mut state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        if state.phase != Phase::Draining {
            return Ok(());
        }
        state.phase = Phase::Running;
        self.wake.notify_all();
        Err(state.jobs.len())
    }

    /// The processor has left or has not joined: the worker ends. Returns the jobs that were waiting for it.
    pub(super) fn retire(&self) -> VecDeque<Job> {
        let mut state = self.lock();
        if state.phase == Phase::Finishing {
            return VecDeque::new();
        }
        state.phase = Phase::Out;
        state.generation += 1;
        self.wake.notify_all();
        std::mem::take(&mut state.jobs)
    }

    /// The workers are dropped.
    pub(super) fn finish(&self) {
        let mut state = self.lock();
        if state.phase != Phase::Out {
            state.phase = Phase::Finishing;
        }
        self.wake.notify_all();
        self.drained.notify_all();
    }

    /// Queues a job for this processor. Under the lock, so that no job comes after the worker has drained.
    pub(super) fn push<F: FnOnce() + Send + 'static>(
        &self,
        index: ProcessorIndex,
        job: F,
    ) -> Result<(), Rejected<F>> {
        let mut state = self.lock();
        let why = match state.phase {
            Phase::Running => {
                state.jobs.push_back(Box::new(job));
                drop(state);
                self.wake.notify_all();
                return Ok(());
            }
            Phase::Draining | Phase::Drained => Rejection::Leaving { index },
            Phase::Out | Phase::Prepared | Phase::Finishing => Rejection::NotActive { index },
        };
        drop(state);
        Err(Rejected::new(job, why))
    }

    /// Wakes the worker for a job for any processor.
    pub(super) fn call(&self) {
        self.lock().called = true;
        self.wake.notify_all();
    }

    /// What the worker of this generation does next. Waits while its processor has not joined. `pass`: the last job was for this
    /// processor, so a job for any processor is next, if there is one.
    pub(super) fn turn(&self, generation: u64, pass: bool) -> Turn {
        let prepared =
            |state: &mut State| state.generation == generation && state.phase == Phase::Prepared;
        let waited = self.wake.wait_while(self.lock(), prepared);
        let mut state = waited.unwrap_or_else(PoisonError::into_inner);
        if state.generation != generation {
            return Turn::Ended;
        }
        let last = state.phase == Phase::Finishing;
        let shares = last || state.phase == Phase::Running;
        if shares && pass {
            return Turn::Any { last: last && state.jobs.is_empty() };
        }
        match state.jobs.pop_front() {
            Some(job) => Turn::Own(job),
            None if shares => Turn::Any { last },
            None => Turn::Drained(std::mem::take(&mut state.others)),
        }
    }

    /// Sleeps until there is something to do.
    pub(super) fn sleep(&self, generation: u64) {
        let sleeps = |state: &mut State| {
            state.generation == generation
                && state.phase == Phase::Running
                && state.jobs.is_empty()
                && !state.called
                && !self.check_mask.load(Ordering::Relaxed)
        };
        let waited = self.wake.wait_while(self.lock(), sleeps);
        let mut state = waited.unwrap_or_else(PoisonError::into_inner);
        if state.generation == generation {
            state.called = false;
        }
    }

    /// The worker has finished its jobs and left the processor. Waits for the outcome of the removal.
    pub(super) fn wait_drained(&self, generation: u64) {
        let mut state = self.lock();
        if state.generation == generation && state.phase == Phase::Draining {
            state.phase = Phase::Drained;
            self.drained.notify_all();
        }
        let drained =
            |state: &mut State| state.generation == generation && state.phase == Phase::Drained;
        drop(self.wake.wait_while(state, drained).unwrap_or_else(PoisonError::into_inner));
    }

    /// Records whether the worker is pinned.
    pub(super) fn set_unpinned(&self, generation: u64, unpinned: Option<Errno>) {
        let mut state = self.lock();
        if state.generation == generation {
            state.unpinned = unpinned;
        }
    }

    pub(super) fn unpinned(&self) -> Option<Errno> {
        self.lock().unpinned
    }
}
