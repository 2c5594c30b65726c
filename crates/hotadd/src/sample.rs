//! [`Sample`]: a typical driver, with a block of memory and a worker for each processor.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use hotadd_core::{Driver, HardwareId, Notice, Removal, Status, Veto};

use crate::cpulist::CpuList;

/// Bytes that the sample allocates for each processor.
const BLOCK: usize = 64 * 1024;

/// The maximum number of workers of all samples in a process. With more, the test would be of the machine, not of the driver:
/// the runtime aborts when a new thread finds no memory for its stacks.
const MOST_WORKERS: usize = 4096;

/// The current number of workers.
static WORKERS: AtomicUsize = AtomicUsize::new(0);

/// A typical driver: it allocates a block for each processor before the processor is used, keeps a worker on each, and frees
/// both when the processor does not join or leaves.
///
/// `hotadd run --driver sample` uses it. It can be configured to veto and to be slow.
///
/// ```
/// use hotadd::hardware::Simulated;
/// use hotadd::{HardwareId, Partition, Sample};
///
/// let partition = Partition::simulated(&Simulated::new(1, 1)?)?;
/// let _sample = partition.register("sample", Sample::new().veto("1".parse()?))?;
/// assert!(partition.add(HardwareId(1)).is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Default)]
pub struct Sample {
    veto: CpuList,
    delay: Duration,
    /// By processor index.
    workers: Vec<Option<Worker>>,
}

impl Sample {
    /// A sample that agrees to every processor at once.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Refuses these processors.
    #[must_use]
    pub fn veto(mut self, list: CpuList) -> Self {
        self.veto = list;
        self
    }

    /// Delays each answer about an add or a remove by this time.
    #[must_use]
    pub const fn delay(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }

    fn give(&mut self, notice: &Notice) -> Result<(), Veto> {
        let processor = notice.processor();
        let at = processor.index.as_usize();
        if self.workers.len() <= at {
            self.workers.resize_with(at + 1, || None);
        }
        self.workers[at] = Some(Worker::start(processor.id)?);
        Ok(())
    }

    fn take(&mut self, notice: &Notice) {
        let at = notice.processor().index.as_usize();
        // Dropping a worker ends its thread and frees its block.
        drop(self.workers.get_mut(at).and_then(Option::take));
    }
}

impl Driver for Sample {
    fn add_start(&mut self, notice: &Notice) -> Result<(), Veto> {
        let processor = notice.processor();
        // The delay is the purpose here; it does not wait for anything.
        std::thread::sleep(self.delay);
        if self.veto.contains(processor.id) {
            return Err(Veto::new(
                Status::INSUFFICIENT_RESOURCES,
                format!("it was told to refuse {processor} (veto={})", self.veto),
            ));
        }
        self.give(notice)
    }

    fn add_complete(&mut self, notice: &Notice) {
        let at = notice.processor().index.as_usize();
        if let Some(Some(worker)) = self.workers.get(at) {
            worker.go();
        }
    }

    fn add_failure(&mut self, notice: &Notice) {
        self.take(notice);
    }

    fn removal(&mut self) -> Option<&mut dyn Removal> {
        Some(self)
    }
}

impl Removal for Sample {
    fn remove_start(&mut self, notice: &Notice) -> Result<(), Veto> {
        std::thread::sleep(self.delay);
        // The worker is bound to the processor, which could not be stopped while the worker runs.
        self.take(notice);
        Ok(())
    }

    fn remove_complete(&mut self, notice: &Notice) {
        // The processor may have vanished, without `remove_start`.
        self.take(notice);
    }

    fn remove_failure(&mut self, notice: &Notice) {
        // Without memory or a thread, the processor has no worker.
        let _ = self.give(notice);
        self.add_complete(notice);
    }
}

/// A thread with its block. It waits for work, and ends when it is dropped.
#[derive(Debug)]
struct Worker {
    work: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
    _place: Place,
}

/// One worker's share of [`MOST_WORKERS`], with the count of all.
#[derive(Debug)]
struct Place(&'static AtomicUsize);

impl Place {
    fn take(workers: &'static AtomicUsize) -> Result<Self, Veto> {
        // Relaxed, here and below: a plain count, which orders nothing.
        if workers.fetch_add(1, Ordering::Relaxed) < MOST_WORKERS {
            return Ok(Self(workers));
        }
        workers.fetch_sub(1, Ordering::Relaxed);
        let reason = format!("the samples have reached their limit of {MOST_WORKERS} workers");
        Err(Veto::new(Status::INSUFFICIENT_RESOURCES, reason))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Worker {
    /// Allocates the block and starts the thread. The thread does not run on the processor yet, because nothing may (A5).
    fn start(id: HardwareId) -> Result<Self, Veto> {
        let place = Place::take(&WORKERS)?;
        let mut block = Vec::new();
        block.try_reserve_exact(BLOCK)?;
        let (work, orders) = channel();
        let builder = std::thread::Builder::new().name(format!("sample/{id}"));
        let thread = builder.spawn(move || attend(id, block, &orders))?;
        Ok(Self { work: Some(work), thread: Some(thread), _place: place })
    }

    /// The processor has joined: the worker moves to it and uses its block.
    fn go(&self) {
        if let Some(work) = &self.work {
            // The worker ends only when this sender is dropped.
            let _ = work.send(());
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        drop(self.work.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn attend(id: HardwareId, mut block: Vec<u8>, orders: &Receiver<()>) {
    while orders.recv().is_ok() {
        settle_on(id);
        block.clear();
        block.resize(BLOCK, 0xA5);
    }
}

/// Moves the thread to the processor if it is a real one. For a simulated processor, or if the affinity is refused, the worker
/// stays where it is, which is harmless.
fn settle_on(id: HardwareId) {
    #[cfg(not(hotadd_loom))]
    if (id.0 as usize) < rustix::thread::CpuSet::MAX_CPU {
        let mut set = rustix::thread::CpuSet::new();
        set.set(id.0 as usize);
        let _ = rustix::thread::sched_setaffinity(None, &set);
    }
    #[cfg(hotadd_loom)]
    let _ = id;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a11_the_worker_beyond_the_limit_is_refused_with_the_limit_and_one_that_ends_makes_room() {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let take = || Place::take(&COUNT);
        let mut places: Vec<_> =
            (0..MOST_WORKERS).map(|_| take().expect("up to the limit")).collect();
        for _ in 0..2 {
            let veto = take().expect_err("it is beyond the limit");
            assert_eq!(veto.status(), Status::INSUFFICIENT_RESOURCES);
            assert!(veto.to_string().contains("limit of 4096 workers"), "A11: {veto}");
        }
        drop(places.pop());
        places.push(take().expect("there is room for one: what was refused has taken none"));
        take().expect_err("and for no other");
        drop(places);
        assert_eq!(COUNT.load(Ordering::Relaxed), 0, "every place is given back");
    }
}
