//! [`Workers`]: one pinned thread for each active processor, made before the processor joins.

mod builder;
mod driver;
mod jobs;
mod refusal;
mod sleepers;
mod slot;
mod thread;

use std::fmt;
use std::sync::{Arc, mpsc};

use hotadd_core::{Errno, Processor, ProcessorIndex};

use crate::error::Error;
use crate::partition::Partition;
use crate::registration::Registration;

use self::jobs::{Job, Tally};
use self::sleepers::Sleepers;
use self::slot::Slot;

pub use self::builder::WorkersBuilder;
pub use self::refusal::{Rejected, Rejection, WouldDeadlock};

/// One pinned thread for each active processor. It runs jobs for its processor, and jobs for any processor.
///
/// The workers are a driver of the partition. The life of a worker follows its processor:
/// - **AddStart**: its thread is created. If it cannot be created, the processor is refused (A3).
/// - **AddComplete**: it is pinned to its processor and takes jobs. In AddFailure it ends.
/// - **RemoveStart**: it takes no more jobs for any processor, and [`submit_to`](Self::submit_to) is rejected. RemoveStart waits until
///   it has finished the jobs for its processor, by default for at most one second
///   ([`WorkersBuilder::drain_limit`]). A job that takes longer keeps the processor in the partition: the removal is refused, and
///   the worker goes on. When the jobs are finished, the worker leaves the processor, so that the platform can stop it.
/// - **RemoveComplete**: its thread ends. In RemoveFailure the worker goes on.
/// - **A processor that vanishes** (X2): its waiting jobs are run by the other workers. A job that is running is finished by its
///   thread, where the kernel has moved it.
///
/// A processor that joined without agreement (Q3) has no worker, because no driver is told of it.
///
/// # Jobs
/// - A job for any processor is never lost and never run twice, whichever processors leave. All workers take these jobs from one
///   queue, so a worker that leaves holds none.
/// - A job that panics is contained and counted ([`report`](Self::report)).
/// - A job may call every method of the partition, and may submit more jobs. A job that adds, removes or registers waits for the
///   transaction in progress. If that is the removal of the job's own processor, the removal is refused after the drain limit,
///   and the job goes on. Adding never waits for a job.
/// - The number of unfinished jobs is limited ([`WorkersBuilder::job_limit`]).
///
/// # Pinning
/// A worker's thread has an affinity mask of its own, which contains only its processor. The partition does not change such a mask
/// (H3), also if it equals the set of a partition with one processor. A partition in another process, such as that of
/// `hotadd run`, cannot tell such a mask from the set's. Then the kernel may run the worker on the second processor between its
/// start and AddComplete. A job that starts after AddComplete runs on the worker's own processor.
///
/// A thread that a job creates inherits the worker's mask. While it exists, the processor cannot be removed: it would continue to
/// work.
///
/// Workers for simulated processors are not pinned: they only stand for them. If the kernel does not permit a mask, the worker runs
/// unpinned, and [`report`](Self::report) names it.
///
/// # Names
/// Thread names are `NAME/ID` with the hardware id of the processor. `NAME` is shortened, so that the whole has at most 15 bytes, as
/// `top -H` and `/proc` show it.
///
/// # Dropping
/// Dropping finishes all submitted jobs and waits for the threads. Inside a job of these workers or inside a callback of the
/// partition it does not wait, because that would deadlock (D3). The jobs are finished then, too.
///
/// ```
/// use std::sync::Arc;
/// use std::sync::atomic::{AtomicU32, Ordering};
///
/// use hotadd::hardware::Simulated;
/// use hotadd::{HardwareId, Partition, Workers};
///
/// let partition = Partition::simulated(&Simulated::new(2, 1)?)?;
/// let workers = Workers::new(&partition, "render")?;
///
/// let joined = partition.add(HardwareId(2))?.processor;
/// let sum = Arc::new(AtomicU32::new(0));
/// let add = |n| {
///     let sum = Arc::clone(&sum);
///     move || {
///         sum.fetch_add(n, Ordering::Relaxed);
///     }
/// };
/// workers.submit(add(1))?; // runs on any processor
/// workers.submit_to(joined.index, add(2))?; // runs on processor 2
/// workers.wait_until_idle()?;
/// assert_eq!(sum.load(Ordering::Relaxed), 3);
///
/// let ids: Vec<u32> = workers.run_on_each(|processor| processor.id.0)?.into_iter().map(|(_, id)| id).collect();
/// assert_eq!(ids, [0, 1, 2]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Workers {
    shared: Arc<Shared>,
    partition: Partition,
    /// `None` only while this is dropped.
    registration: Option<Registration>,
}

/// What the handle, the driver and the threads share.
struct Shared {
    /// One for each index that the partition can give.
    slots: Box<[Slot]>,
    /// Jobs for any processor.
    any: crossbeam_queue::SegQueue<Job>,
    sleepers: Sleepers,
    tally: Tally,
    threads: thread::Threads,
    /// Whether workers are pinned: the processors exist.
    pins: bool,
}

impl Workers {
    /// Makes a worker for each active processor, and for each later one before it joins. `name` names the party and the threads.
    ///
    /// # Errors
    /// As [`Partition::register`]. In particular [`Error::NotJoining`] if a thread could not be created.
    pub fn new(partition: &Partition, name: &str) -> Result<Self, Error> {
        Self::builder(partition, name).start()
    }

    /// Begins workers with options.
    pub const fn builder<'a>(partition: &'a Partition, name: &'a str) -> WorkersBuilder<'a> {
        WorkersBuilder::new(partition, name)
    }

    /// Submits a job to any processor. Any worker that is free takes it, in the order of submission. May be called from any thread,
    /// also inside jobs and callbacks. Never waits.
    ///
    /// # Errors
    /// [`Rejection::Full`], with the job.
    pub fn submit<F: FnOnce() + Send + 'static>(&self, job: F) -> Result<(), Rejected<F>> {
        if let Err(limit) = self.shared.tally.begin() {
            return Err(Rejected::new(job, Rejection::Full { limit }));
        }
        self.shared.push(Box::new(job));
        Ok(())
    }

    /// Submits a job to the worker of one processor. Jobs for one processor are run in the order of submission. May be called from
    /// any thread, also inside jobs and callbacks. Never waits for a job.
    ///
    /// If the processor vanishes before the job is run (X2), another worker runs it. [`Workers::current`] tells the job.
    ///
    /// # Errors
    /// [`Rejection::NotActive`], [`Rejection::Leaving`] or [`Rejection::Full`], with the job.
    pub fn submit_to<F: FnOnce() + Send + 'static>(
        &self,
        index: ProcessorIndex,
        job: F,
    ) -> Result<(), Rejected<F>> {
        let Some(slot) = self.shared.slots.get(index.as_usize()) else {
            return Err(Rejected::new(job, Rejection::NotActive { index }));
        };
        if let Err(limit) = self.shared.tally.begin() {
            return Err(Rejected::new(job, Rejection::Full { limit }));
        }
        slot.push(index, job).inspect_err(|_| self.shared.tally.end())
    }

    /// Runs `job` once on each active processor, and returns the results, ascending by index. Waits for them.
    ///
    /// A processor is missing in the result if it has no worker, leaves meanwhile, or if its job panicked. The job of a processor
    /// that vanishes meanwhile (X2) is run by another worker.
    ///
    /// # Errors
    /// [`WouldDeadlock`] inside a job of these workers, and inside a callback of the partition.
    pub fn run_on_each<R: Send + 'static>(
        &self,
        job: impl Fn(Processor) -> R + Send + Sync + 'static,
    ) -> Result<Vec<(Processor, R)>, WouldDeadlock> {
        self.may_wait()?;
        let job = Arc::new(job);
        let (sender, results) = mpsc::channel();
        for processor in self.partition.active().iter() {
            let (job, sender) = (Arc::clone(&job), sender.clone());
            // These jobs are not limited: there is at most one for each processor and waiting thread.
            self.shared.tally.begin_unlimited();
            let job = move || drop(sender.send((processor, job(processor))));
            let slot = &self.shared.slots[processor.index.as_usize()];
            if slot.push(processor.index, job).is_err() {
                self.shared.tally.end();
            }
        }
        drop(sender);
        // Ends when every job has been run or dropped.
        let mut results: Vec<_> = results.into_iter().collect();
        results.sort_unstable_by_key(|(processor, _)| processor.index);
        Ok(results)
    }

    /// Waits until no job is waiting or running. Jobs that are submitted meanwhile are waited for as well.
    ///
    /// # Errors
    /// [`WouldDeadlock`] inside a job of these workers, and inside a callback of the partition.
    pub fn wait_until_idle(&self) -> Result<(), WouldDeadlock> {
        self.may_wait()?;
        self.shared.tally.wait();
        Ok(())
    }

    /// The number of jobs that are waiting or running. May be out of date when this returns.
    #[must_use]
    pub fn pending(&self) -> usize {
        self.shared.tally.pending()
    }

    /// The processor of the worker on whose thread this is called. `None` on every other thread.
    #[must_use]
    pub fn current() -> Option<Processor> {
        thread::current().map(|(_, processor)| processor)
    }

    /// What went wrong since the workers were made.
    #[must_use]
    pub fn report(&self) -> WorkersReport {
        let (panicked, first_panic) = self.shared.tally.panics();
        let active = self.partition.active();
        let errno =
            |processor: &Processor| self.shared.slots[processor.index.as_usize()].unpinned();
        let unpinned = active.iter().filter_map(|p| Some((p, errno(&p)?))).collect();
        WorkersReport { panicked, first_panic, unpinned }
    }

    /// The registration of the workers' driver.
    pub fn registration(&self) -> &Registration {
        let Some(registration) = &self.registration else { unreachable!("taken only by drop") };
        registration
    }

    fn may_wait(&self) -> Result<(), WouldDeadlock> {
        match () {
            () if self.shared.is_own_thread() => Err(WouldDeadlock::InsideJob),
            () if self.partition.backend().is_inside() => Err(WouldDeadlock::InsideCallback),
            () => Ok(()),
        }
    }
}

/// What went wrong with the workers. Made by [`Workers::report`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct WorkersReport {
    /// The number of jobs that panicked.
    pub panicked: u64,
    /// The message of the first of them, at most 256 characters.
    pub first_panic: Option<String>,
    /// The active processors whose workers could not be pinned, and the kernel's error.
    pub unpinned: Vec<(Processor, Errno)>,
}

impl Shared {
    /// Queues a job that is counted already, and wakes a worker for it.
    fn push(&self, job: Job) {
        self.any.push(job);
        self.wake_one();
    }

    /// Wakes a sleeping worker, if there is a job for any of them and one sleeps.
    fn wake_one(&self) {
        if !self.any.is_empty()
            && let Some(index) = self.sleepers.take()
        {
            self.slots[index as usize].call();
        }
    }

    /// Whether the calling thread is one of these workers.
    fn is_own_thread(&self) -> bool {
        thread::current().is_some_and(|(workers, _)| std::ptr::eq(workers, self))
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        let may_wait = self.may_wait().is_ok();
        // From here on no callback makes a thread.
        drop(self.registration.take());
        self.shared.slots.iter().for_each(Slot::finish);
        if !may_wait {
            return;
        }
        self.shared.threads.join();
        // If all processors have vanished, no worker is left.
        while let Some(job) = self.shared.any.pop() {
            self.shared.tally.run(job);
        }
    }
}

impl fmt::Debug for Workers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Workers")
            .field("pending", &self.pending())
            .field("report", &self.report())
            .finish_non_exhaustive()
    }
}
