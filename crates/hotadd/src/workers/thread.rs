//! The thread of a worker: how it is created, pinned and named, and the loop that it runs.

use std::cell::Cell;
use std::io;
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};

use hotadd_core::{Errno, HardwareId, Processor};

use crate::hardware::{Mask, Pinning};
use crate::sync::lock;
use crate::thread_name::thread_name;

use super::Shared;
use super::slot::{Slot, Turn};

thread_local! {
    /// The workers to which this thread belongs, and its processor. The address is only compared.
    static CURRENT: Cell<Option<(*const Shared, Processor)>> = const { Cell::new(None) };
}

pub(super) fn current() -> Option<(*const Shared, Processor)> {
    CURRENT.get()
}

/// How threads are made.
#[derive(Debug)]
pub(super) struct Make {
    pub(super) prefix: String,
    pub(super) stack_size: Option<usize>,
}

impl Make {
    /// Creates the thread of a worker.
    pub(super) fn make(
        &self,
        shared: &Arc<Shared>,
        processor: Processor,
        generation: u64,
    ) -> io::Result<()> {
        let mut builder = thread::Builder::new().name(thread_name(&self.prefix, processor.id));
        if let Some(bytes) = self.stack_size {
            builder = builder.stack_size(bytes);
        }
        let workers = Arc::clone(shared);
        let work = move || {
            Worker { shared: workers, processor, generation, pinning: Pinning::default() }.work();
        };
        shared.threads.add(builder.spawn(work)?);
        Ok(())
    }
}

/// The threads that may still run.
#[derive(Debug, Default)]
pub(super) struct Threads(Mutex<Vec<JoinHandle<()>>>);

impl Threads {
    /// Adds a thread, and forgets those that have ended: the list is no longer than the number of threads.
    fn add(&self, thread: JoinHandle<()>) {
        let mut threads = lock(&self.0);
        threads.retain(|thread| !thread.is_finished());
        threads.push(thread);
    }

    /// Waits for all of them.
    pub(super) fn join(&self) {
        let threads = std::mem::take(&mut *lock(&self.0));
        for thread in threads {
            // Every job's panic is contained. What is left are destructors of a job's thread-local data, which abort.
            let _ = thread.join();
        }
    }
}

struct Worker {
    shared: Arc<Shared>,
    processor: Processor,
    /// The generation of its slot. When the slot has another one, this worker ends.
    generation: u64,
    pinning: Pinning,
}

impl Worker {
    fn slot(&self) -> &Slot {
        &self.shared.slots[self.processor.index.as_usize()]
    }

    fn work(&self) {
        CURRENT.set(Some((Arc::as_ptr(&self.shared), self.processor)));
        let (shared, slot) = (&*self.shared, self.slot());
        let mut pass = false;
        loop {
            match slot.turn(self.generation, pass) {
                Turn::Own(job) => {
                    pass = true;
                    self.run(job);
                }
                Turn::Any { last } => match (shared.any.pop(), last) {
                    (Some(job), _) => {
                        pass = false;
                        self.run(job);
                    }
                    (None, _) if pass => pass = false,
                    (None, true) => break,
                    (None, false) => self.sleep(),
                },
                Turn::Drained(others) => {
                    // This worker may have been woken for a job that it does not take any more.
                    shared.wake_one();
                    self.leave(others);
                    slot.wait_drained(self.generation);
                    slot.check_mask();
                }
                Turn::Ended => break,
            }
        }
        shared.wake_one();
        CURRENT.set(None);
    }

    fn run(&self, job: super::Job) {
        // This worker may have been woken for a job for any processor and have taken another one.
        self.shared.wake_one();
        self.pin_if_asked();
        self.shared.tally.run(job);
    }

    fn sleep(&self) {
        let (shared, index) = (&*self.shared, self.processor.index.get());
        shared.sleepers.enter(index, self.generation);
        if shared.any.is_empty() {
            self.slot().sleep(self.generation);
        }
        shared.sleepers.leave(index, self.generation);
        self.pin_if_asked();
    }

    fn pin_if_asked(&self) {
        if self.slot().must_check_mask() && self.shared.pins {
            let pinned = self.pinning.pin(Mask::of([self.processor.id]));
            let errno = pinned.err().map(|errno| Errno::from_raw(errno.raw_os_error()));
            self.slot().set_unpinned(self.generation, errno);
        }
    }

    /// Leaves the processor, which the platform cannot stop before.
    fn leave(&self, others: Vec<HardwareId>) {
        if self.shared.pins {
            self.pinning.unpin();
            // If the kernel refuses, the platform reports that a thread stays on the processor (EBUSY).
            let _ = Mask::of(others).adopt();
        }
    }
}
