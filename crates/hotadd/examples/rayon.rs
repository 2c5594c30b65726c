//! A rayon job that doubles its throughput when a processor joins.
//!
//! ```console
//! $ cargo run --release -p hotadd --features rayon --example rayon
//! ```
//! The process begins on its first processor. After half a second the second one is added, and after half a second more it is
//! removed again. Each line says how many threads the pool has, which processors ran work, and how much work was done for each second.

use std::collections::BTreeSet;
use std::error::Error;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use hotadd::hardware::{Affinity, Tree};
use hotadd::rayon::Pool;
use hotadd::{CpuList, HardwareId, Partition};
use rayon::prelude::*;

/// How long each line measures.
const PHASE: Duration = Duration::from_millis(500);

/// How long a line waits for the kernel to use all processors, on a machine that is busy with other work.
const PATIENCE: Duration = Duration::from_secs(30);

/// The parts of one job. Each takes some microseconds.
const PARTS: u64 = 400;

pub(crate) fn main() -> Result<(), Box<dyn Error>> {
    let available = Affinity::available()?;
    let [first, second, ..] = *available.ids() else {
        return Err("this example needs two processors".into());
    };
    let start: CpuList = [first].into_iter().collect();
    let affinity = Affinity::new(Tree::Current, Some(&start))?;
    let partition = Partition::from_hardware(Arc::new(affinity))?;
    let pool = Pool::new(&partition, "pool")?;

    let alone = measure(&partition, &pool);
    partition.add(second)?;
    println!("processor {second} joined");
    let both = measure(&partition, &pool);
    println!("{:.2} times the throughput", both / alone);
    partition.remove(second)?;
    println!("processor {second} left");
    measure(&partition, &pool);
    Ok(())
}

/// Runs jobs, one after the other, and prints how fast they were. Returns the number of jobs for each second.
fn measure(partition: &Partition, pool: &Pool) -> f64 {
    let began = Instant::now();
    let used = Mutex::new(BTreeSet::new());
    let mut jobs = 0_u32;
    let all_used = || lock(&used).len() >= partition.count() as usize;
    while began.elapsed() < PHASE || (!all_used() && began.elapsed() < PATIENCE) {
        // Each job runs in the pool of its moment, so the next one uses a processor that has joined.
        pool.install(|| (0..PARTS).into_par_iter().for_each(|part| work(part, &used)));
        jobs += 1;
    }
    let rate = f64::from(jobs) / began.elapsed().as_secs_f64();
    let used: CpuList = lock(&used).iter().copied().collect();
    println!("threads: {}, worked on processors {used}: {rate:.1} jobs/s", pool.size());
    rate
}

/// A part of a job: computes, and records the processor that ran it.
fn work(part: u64, used: &Mutex<BTreeSet<HardwareId>>) {
    let sum = (0..4_000).fold(part, |sum, n| std::hint::black_box(sum.rotate_left(5) ^ n));
    std::hint::black_box(sum);
    // One part in ten records, so that the threads do not wait for each other.
    if part.is_multiple_of(10)
        && let Ok(here) = u32::try_from(rustix::thread::sched_getcpu())
    {
        lock(used).insert(HardwareId(here));
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
