//! A cache of free blocks for each CPU, as allocators keep them. It crashes when a CPU joins that it has no cache for, unless it is asked
//! first.
//!
//! ```console
//! $ cargo run --release -p hotadd --example percpu_cache -- --unprepared    # counts the processors once, at the start
//! $ cargo run --release -p hotadd --example percpu_cache                    # has a cache before a processor joins
//! $ cargo run --release -p hotadd --example percpu_cache -- --most 1        # has memory for one cache only
//! ```
//! The process begins on its first processor, and works until its standard input is closed. Widen its mask in another terminal
//! (`taskset -ap 3 PID`), as a container's manager does: the first one ends with a panic, the second one goes on with two processors, and
//! the third one refuses the second processor and goes on with one.

use std::error::Error;
use std::io::Read;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use hotadd::hardware::{Affinity, Tree};
use hotadd::{CpuList, Event, EventKind, Follow, Partition, PerProcessor, Processor, Status, Veto};
use rustix::thread::{CpuSet, sched_getcpu, sched_setaffinity};

/// The size of a block, in bytes.
const BLOCK: usize = 64;
/// How many blocks a cache holds.
const BLOCKS: usize = 1024;
/// How many threads take and return blocks.
const THREADS: usize = 4;

/// The free blocks of one CPU. The lock is hardly ever contended: the threads of one CPU run one after the other.
struct Cache(Mutex<Vec<Block>>);

/// A block stays where it is.
struct Block(Box<[u8; BLOCK]>);

impl Cache {
    /// A full cache. Fails if there is no memory for it.
    fn new() -> Result<Self, Veto> {
        let mut free = Vec::new();
        free.try_reserve_exact(BLOCKS)?;
        free.resize_with(BLOCKS, || Block(Box::new([0; BLOCK])));
        Ok(Self(Mutex::new(free)))
    }

    /// Takes a block, uses it, and returns it.
    fn use_block(&self) {
        let mut free = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(mut block) = free.pop() {
            block.0[0] = block.0[0].wrapping_add(1);
            free.push(block);
        }
    }
}

/// Where a thread finds the cache of its CPU.
enum Caches {
    /// A table whose size was right when the program started.
    Counted(Vec<Cache>),
    /// A table that has a slot for every processor before it joins.
    Asked(PerProcessor<Cache>),
}

impl Caches {
    fn use_block(&self) {
        match self {
            // The bug: the number of this CPU may be larger than the number of CPUs at the start.
            Self::Counted(caches) => caches[sched_getcpu()].use_block(),
            Self::Asked(caches) => caches.local().use_block(),
        }
    }
}

pub(crate) fn main() -> Result<ExitCode, Box<dyn Error>> {
    let mut unprepared = false;
    let mut most = usize::MAX;
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--unprepared" => unprepared = true,
            "--most" => most = arguments.next().ok_or("--most needs a number")?.parse()?,
            other => return Err(format!("{other} is not an option: --unprepared, --most N").into()),
        }
    }
    run(unprepared, most)
}

/// Works until standard input is closed or a thread crashes.
pub(crate) fn run(unprepared: bool, most: usize) -> Result<ExitCode, Box<dyn Error>> {
    let first =
        Affinity::available()?.ids().first().copied().ok_or("this process has no processor")?;
    let start: CpuList = [first].into_iter().collect();

    let (caches, _partition) = if unprepared {
        let mut mask = CpuSet::new();
        let count = first.0 as usize + 1;
        mask.set(count - 1);
        // Threads inherit it.
        sched_setaffinity(None, &mask)?;
        let caches = (0..count).map(|_| Cache::new()).collect::<Result<_, _>>()?;
        println!("process {}: a table of {count} caches", std::process::id());
        (Caches::Counted(caches), None)
    } else {
        // `Partition::process()`, but it begins on one processor.
        let affinity = Arc::new(Affinity::new(Tree::Current, Some(&start))?);
        let partition = Partition::from_hardware_following(affinity, Follow::Ask)?;
        partition.observe(tell)?.detach();
        let made = AtomicUsize::new(0);
        let make = move |processor: Option<Processor>| {
            // The spare cache is for threads that are found outside of the set. It does not count here.
            if processor.is_some() && made.load(Ordering::Relaxed) >= most {
                let reason = format!("there is memory for {most} caches");
                return Err(Veto::new(Status::INSUFFICIENT_RESOURCES, reason));
            }
            let cache = Cache::new()?;
            made.fetch_add(usize::from(processor.is_some()), Ordering::Relaxed);
            Ok(cache)
        };
        let caches = PerProcessor::new(&partition, "caches", make)?;
        println!(
            "process {}: a cache for each of {} processors",
            std::process::id(),
            partition.count()
        );
        (Caches::Asked(caches), Some(partition))
    };
    work(caches)
}

/// Says which processors joined, and which were refused.
fn tell(event: &Event) {
    let Some(id) = event.id else { return };
    match (event.kind, &event.reason) {
        (EventKind::Joined, _) => println!("processor {id} joined: it has a cache"),
        (EventKind::Refused, Some(reason)) => println!("processor {id} was refused: {reason}"),
        _ => {}
    }
}

/// Tells all threads to end, also when its own thread crashes.
struct EndAll(Arc<AtomicBool>);

impl Drop for EndAll {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn work(caches: Caches) -> Result<ExitCode, Box<dyn Error>> {
    let (caches, ends) = (Arc::new(caches), Arc::new(AtomicBool::new(false)));
    let threads: Vec<_> = (0..THREADS)
        .map(|_| {
            let (caches, end_all) = (Arc::clone(&caches), EndAll(Arc::clone(&ends)));
            thread::spawn(move || {
                while !end_all.0.load(Ordering::Relaxed) {
                    (0..1000).for_each(|_| caches.use_block());
                    thread::sleep(Duration::from_micros(100));
                }
            })
        })
        .collect();
    let end_all = EndAll(ends);
    thread::spawn(move || {
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        drop(end_all);
    });
    let crashed = threads.into_iter().map(thread::JoinHandle::join).filter(Result::is_err).count();
    if crashed > 0 {
        println!("{crashed} threads crashed");
        return Ok(ExitCode::FAILURE);
    }
    println!("worked to the end");
    Ok(ExitCode::SUCCESS)
}
