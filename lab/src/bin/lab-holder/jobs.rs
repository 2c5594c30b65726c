//! Workers that have jobs all the time, for any processor and for one, and the check that each job ran exactly once.

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use hotadd::{CpuList, HardwareId, Partition, Rejection, Workers};

use crate::busy::bit;
use crate::data::Counts;

/// The number of jobs after which no more are submitted. More than a test's time is enough for.
const MOST: usize = 1 << 22;

/// The number of unfinished jobs.
const PENDING: usize = 500;

/// How often a job adds to the counts.
const ADDS: u64 = 50;

/// Longer than an emulated processor takes to finish its jobs.
const DRAIN: Duration = Duration::from_secs(60);

pub(crate) struct Jobs {
    workers: Arc<Workers>,
    ran: Arc<Ran>,
    submitter: JoinHandle<Submitted>,
}

/// What the jobs have done.
struct Ran {
    /// How often each job ran.
    times: Box<[AtomicU8]>,
    counts: Arc<Counts>,
    added: AtomicU64,
    /// The processors on which jobs ran whose worker is theirs: one bit each.
    on: AtomicU64,
    /// How many jobs ran on another processor than their worker's.
    elsewhere: AtomicU64,
}

#[derive(Default)]
struct Submitted {
    all: usize,
    /// Accepted for one processor.
    bound: usize,
    /// Rejected because their processor was leaving or had left, and submitted again for any.
    diverted: usize,
}

impl Ran {
    fn run(&self, nth: usize) {
        self.times[nth].fetch_add(1, Ordering::Relaxed);
        let is = here();
        match Workers::current() {
            Some(processor) if processor.id == is => {
                self.on.fetch_or(bit(is.0), Ordering::Relaxed);
            }
            _ => {
                self.elsewhere.fetch_add(1, Ordering::Relaxed);
            }
        }
        self.counts.add(ADDS);
        self.added.fetch_add(ADDS, Ordering::Relaxed);
    }
}

/// The processor that this thread is on.
fn here() -> HardwareId {
    HardwareId(u32::try_from(rustix::thread::sched_getcpu()).unwrap_or(u32::MAX))
}

impl Jobs {
    /// Makes the workers, and starts a thread that submits jobs until the counts are stopped.
    pub(crate) fn begin(
        partition: &Partition,
        counts: &Arc<Counts>,
    ) -> Result<Self, Box<dyn Error>> {
        let workers = Workers::builder(partition, "work").job_limit(PENDING).drain_limit(DRAIN);
        let workers = Arc::new(workers.start()?);
        let ran = Arc::new(Ran {
            times: (0..MOST).map(|_| AtomicU8::new(0)).collect(),
            counts: Arc::clone(counts),
            added: AtomicU64::new(0),
            on: AtomicU64::new(0),
            elsewhere: AtomicU64::new(0),
        });
        let submit = {
            let (workers, partition, ran) =
                (Arc::clone(&workers), partition.clone(), Arc::clone(&ran));
            move || submit(&workers, &partition, &ran)
        };
        let submitter = thread::Builder::new().name("submit".into()).spawn(submit)?;
        Ok(Self { workers, ran, submitter })
    }

    /// Where jobs ran since the last call, and which workers run on their own processor now.
    pub(crate) fn say(&self) -> String {
        let on = self.ran.on.swap(0, Ordering::Relaxed);
        let on: CpuList = (0..64).filter(|id| on & bit(*id) != 0).map(HardwareId).collect();
        let each = self.workers.run_on_each(|processor| processor.id == here());
        let own =
            each.into_iter().flatten().filter(|(_, is)| *is).map(|(processor, _)| processor.id);
        let own: CpuList = own.collect();
        format!("on={on} own={own} elsewhere={}", self.ran.elsewhere.load(Ordering::Relaxed))
    }

    /// Waits for all jobs. Returns what became of them, and how often they have added.
    pub(crate) fn end(self) -> Result<(String, u64), Box<dyn Error>> {
        let Submitted { all, bound, diverted } =
            self.submitter.join().map_err(|_| "the submitting thread panicked")?;
        self.workers.wait_until_idle()?;
        let times = || self.ran.times.iter().map(|times| times.load(Ordering::Relaxed));
        let lost = times().take(all).filter(|times| *times == 0).count();
        let twice = times().filter(|times| *times > 1).count();
        let report = self.workers.report();
        let said = format!(
            "jobs={all} bound={bound} diverted={diverted} lost={lost} twice={twice} elsewhere={} \
             panicked={} unpinned={}",
            self.ran.elsewhere.load(Ordering::Relaxed),
            report.panicked,
            report.unpinned.len(),
        );
        Ok((said, self.ran.added.load(Ordering::Relaxed)))
    }
}

/// Submits jobs, every other one for one processor: for each processor in turn.
fn submit(workers: &Workers, partition: &Partition, ran: &Arc<Ran>) -> Submitted {
    let mut submitted = Submitted::default();
    while submitted.all < MOST && !ran.counts.is_stopped() {
        let nth = submitted.all;
        let job = {
            let ran = Arc::clone(ran);
            move || ran.run(nth)
        };
        let mut rejected = if nth % 2 == 0 {
            workers.submit(job).err()
        } else {
            let set: Vec<_> = partition.active().iter().collect();
            let result = workers.submit_to(set[nth / 2 % set.len()].index, job);
            submitted.bound += usize::from(result.is_ok());
            result.err()
        };
        while let Some(again) = rejected {
            if matches!(again.why(), Rejection::Full { .. }) {
                thread::yield_now();
            } else {
                submitted.diverted += 1;
            }
            rejected = workers.submit(again.into_job()).err();
        }
        submitted.all += 1;
    }
    submitted
}
