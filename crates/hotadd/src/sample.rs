//! [`Sample`]: a driver that does what drivers do: a block of memory and a worker for each processor.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use hotadd_core::{Driver, HardwareId, Notice, Removal, Status, Veto};

use crate::cpulist::CpuList;

/// Bytes that the sample allocates for each processor.
const BLOCK: usize = 64 * 1024;

/// Workers that all samples of a process have together, at most. Beyond that it is not the driver but the machine that would
/// be tested: the runtime aborts when a new thread finds no room for its stacks.
const MOST_WORKERS: usize = 4096;

/// How many there are.
static WORKERS: AtomicUsize = AtomicUsize::new(0);

/// A driver that does what drivers do: it allocates a block for each processor before the processor is used, keeps a worker
/// on each, and gives both back when the processor does not join or leaves.
///
/// It is the `sample` of `hotadd run --driver sample`, and can be told to veto and to be slow.
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

    /// Takes this long over its answer when a processor is added or removed.
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
        // Dropping a worker ends its thread and gives its block back.
        drop(self.workers.get_mut(at).and_then(Option::take));
    }
}

impl Driver for Sample {
    fn add_start(&mut self, notice: &Notice) -> Result<(), Veto> {
        let processor = notice.processor();
        // Slowness is what is asked for here, not a way to wait for something.
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
        // The worker is bound to the processor, which could not be stopped under it.
        self.take(notice);
        Ok(())
    }

    fn remove_complete(&mut self, notice: &Notice) {
        // It may have left without asking.
        self.take(notice);
    }

    fn remove_failure(&mut self, notice: &Notice) {
        // Without memory or a thread the processor does without its worker.
        let _ = self.give(notice);
        self.add_complete(notice);
    }
}

/// A thread with its block. It waits for work and ends when it is dropped.
#[derive(Debug)]
struct Worker {
    work: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
    _place: Place,
}

/// One worker's part of [`MOST_WORKERS`].
#[derive(Debug)]
struct Place;

impl Place {
    fn take() -> Result<Self, Veto> {
        // Relaxed, here and below: a count by itself, which orders nothing.
        if WORKERS.fetch_add(1, Ordering::Relaxed) < MOST_WORKERS {
            return Ok(Self);
        }
        WORKERS.fetch_sub(1, Ordering::Relaxed);
        let reason = format!("the samples have their limit of {MOST_WORKERS} workers");
        Err(Veto::new(Status::INSUFFICIENT_RESOURCES, reason))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        WORKERS.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Worker {
    /// Allocates the block and starts the thread, which does not run on the processor yet: nothing may (A5).
    fn start(id: HardwareId) -> Result<Self, Veto> {
        let place = Place::take()?;
        let mut block = Vec::new();
        block.try_reserve_exact(BLOCK)?;
        let (work, orders) = channel();
        let builder = std::thread::Builder::new().name(format!("sample/{id}"));
        let thread = builder.spawn(move || attend(id, block, &orders))?;
        Ok(Self { work: Some(work), thread: Some(thread), _place: place })
    }

    /// The processor has joined: have the worker go there and use its block.
    fn go(&self) {
        if let Some(work) = &self.work {
            // The worker only ends when this sender is dropped.
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

/// Goes to the processor, if it is a real one. A simulated one cannot be gone to, and an affinity that is refused leaves the
/// worker where it is, which does no harm.
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
