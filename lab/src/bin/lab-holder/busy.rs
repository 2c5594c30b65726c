//! The busy threads: each checks all the time where it runs, and whether that processor is in the partition.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread;
use std::time::Duration;

use hotadd::{CpuList, HardwareId, Partition, PerProcessor};

use crate::masks;
use crate::tally::{Sample, Tally};

/// How many samples a thread takes before it publishes its counts.
const BATCH: u64 = 1000;

/// What all threads use.
pub(crate) struct Shared {
    pub(crate) partition: Partition,
    pub(crate) table: PerProcessor<AtomicU64>,
    /// The processors that all drivers have agreed to and that are not yet in the set: one bit each.
    pub(crate) agreed: Arc<AtomicU64>,
}

/// The bit of a processor. There are no more than 64 in these guests.
pub(crate) fn bit(id: u32) -> u64 {
    1u64.checked_shl(id).unwrap_or(0)
}

/// The active processors, as a list.
pub(crate) fn set(partition: &Partition) -> CpuList {
    partition.active().iter().map(|processor| processor.id).collect()
}

/// Gives the calling thread the lowest priority. It never waits, and in an emulated machine all others would be slow beside it.
pub(crate) fn be_nice() {
    if let Err(error) = rustix::process::nice(19) {
        println!("error: nice: {error}");
    }
}

/// Starts a thread, which begins to sample once the partition exists.
pub(crate) fn begin(
    shared: Arc<OnceLock<Shared>>,
    pin: Option<CpuList>,
) -> io::Result<Arc<Mutex<Tally>>> {
    let tally: Arc<Mutex<Tally>> = Arc::default();
    let counted = Arc::clone(&tally);
    let run = move || {
        be_nice();
        if let Some(pin) = pin {
            match masks::set_one(None, &pin) {
                Ok(()) => println!("pinned {}", rustix::thread::gettid()),
                Err(error) => println!("error: pinning to {pin}: {error}"),
            }
        }
        while shared.get().is_none() {
            thread::sleep(Duration::from_millis(1));
        }
        let Some(shared) = shared.get() else { return };
        let mut own = Tally::default();
        loop {
            let sample = sample(shared);
            own.count(sample);
            // Seldom, so that a report does not wait for it; but at once for a sample that must not be counted late.
            if own.samples() >= BATCH || !matches!(sample, Sample::Inside(_)) {
                counted.lock().unwrap_or_else(PoisonError::into_inner).add(&own.take());
            }
        }
    };
    thread::Builder::new().name("busy".into()).spawn(run)?;
    Ok(tally)
}

/// Where this thread runs, judged by the set in force at that moment. If the set has changed meanwhile, it is unknown which of
/// the two was in force.
fn sample(shared: &Shared) -> Sample {
    let before = shared.partition.active();
    let agreed = shared.agreed.load(Ordering::SeqCst);
    let id = u32::try_from(rustix::thread::sched_getcpu()).unwrap_or(u32::MAX);
    let processor = before.by_id(HardwareId(id)).filter(|known| before.contains(known.index));
    let slot = processor.map(|processor| shared.table.get(processor.index));
    // Last, since the slot of a processor that leaves is gone at once.
    let still_agreed = shared.agreed.load(Ordering::SeqCst);
    let after = shared.partition.active();
    if before.epoch() != after.epoch() || (agreed ^ still_agreed) & bit(id) != 0 {
        return Sample::Unknown;
    }
    match slot {
        None if agreed & bit(id) != 0 => Sample::Starting,
        None => Sample::Outside(id),
        Some(Some(slot)) => {
            slot.fetch_add(1, Ordering::Relaxed);
            Sample::Inside(id)
        }
        Some(None) => Sample::Slotless,
    }
}
