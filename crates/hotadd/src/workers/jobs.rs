//! [`Tally`]: the number of unfinished jobs, and the panics of jobs.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex};

use crate::runner::panic_message;
use crate::sync::lock;
use crate::text;

pub(super) type Job = Box<dyn FnOnce() + Send>;

/// The longest message of a panic that is kept, in characters.
const MESSAGE: usize = 256;

#[derive(Debug)]
pub(super) struct Tally {
    limit: usize,
    /// Jobs that are waiting or running.
    pending: AtomicUsize,
    panics: Mutex<(u64, Option<String>)>,
    idle: Mutex<()>,
    became_idle: Condvar,
}

impl Tally {
    pub(super) fn new(limit: usize) -> Self {
        Self {
            limit,
            pending: AtomicUsize::new(0),
            panics: Mutex::default(),
            idle: Mutex::default(),
            became_idle: Condvar::new(),
        }
    }

    /// Counts a job before it is queued. The error is the limit, if it has been reached.
    pub(super) fn begin(&self) -> Result<(), usize> {
        // Relaxed: the queue orders the job itself. A count that is briefly too high, while another thread is rejected, may reject
        // a job at the limit, and never admits one above it.
        if self.pending.fetch_add(1, Ordering::Relaxed) >= self.limit {
            self.end();
            return Err(self.limit);
        }
        Ok(())
    }

    pub(super) fn begin_unlimited(&self) {
        self.pending.fetch_add(1, Ordering::Relaxed);
    }

    /// A job is finished, or was not queued after all.
    pub(super) fn end(&self) {
        // Release: a thread that reads 0 in `wait` sees what all jobs did. Acquire: so does a thread that the last job wakes.
        if self.pending.fetch_sub(1, Ordering::AcqRel) == 1 {
            // With the lock: a thread that has just read a number above 0 waits already, and is not missed.
            let _idle = lock(&self.idle);
            self.became_idle.notify_all();
        }
    }

    pub(super) fn pending(&self) -> usize {
        self.pending.load(Ordering::Acquire)
    }

    pub(super) fn wait(&self) {
        let mut idle = lock(&self.idle);
        while self.pending() > 0 {
            idle = self.became_idle.wait(idle).unwrap_or_else(std::sync::PoisonError::into_inner);
        }
    }

    /// Runs a job, contains its panic, and counts it as finished.
    pub(super) fn run(&self, job: Job) {
        if let Err(panic) = catch_unwind(AssertUnwindSafe(job)) {
            let mut panics = lock(&self.panics);
            panics.0 += 1;
            let message = || text::cut(&text::clean(panic_message(&*panic)), MESSAGE);
            panics.1.get_or_insert_with(message);
            drop(panics);
            // A panic's payload may have any type, also one whose drop panics.
            std::mem::forget(panic);
        }
        self.end();
    }

    /// The number of panics, and the message of the first one.
    pub(super) fn panics(&self) -> (u64, Option<String>) {
        lock(&self.panics).clone()
    }
}
