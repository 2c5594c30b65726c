//! `PerProcessor` and `Counter`: a value for every processor before anything can run on it, until nobody reads it any more.
#![cfg(not(hotadd_loom))]

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hotadd::hardware::{Hardware, NotAdmitted, Nudge, Simulated, Survey};
use hotadd::{
    Counter, Driver, Errno, Error, EventKind, HardwareId, Notice, Partition, PerProcessor,
    PlatformError, ProcessorIndex, Status, Veto,
};

/// A value is freed when no thread of the process reads, so these tests come one after the other.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn index(n: u32) -> ProcessorIndex {
    ProcessorIndex::new(n).unwrap()
}

fn partition(active: u32, spare: u32) -> (Arc<Simulated>, Partition) {
    let hardware = Simulated::new(active, spare).unwrap();
    let partition = Partition::simulated(&hardware).unwrap();
    (hardware, partition)
}

/// A value that tells when it is dropped.
struct Counted(Arc<AtomicUsize>, u64);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// When a processor has joined, checks that the table has its value.
struct Looker(Arc<PerProcessor<usize>>, Arc<AtomicUsize>);

impl Driver for Looker {
    fn add_start(&mut self, notice: &Notice) -> Result<(), Veto> {
        let made = self.0.get(notice.processor().index).is_some();
        if made { Ok(()) } else { Err("the table has no value yet".into()) }
    }

    fn add_complete(&mut self, notice: &Notice) {
        let value = self.0.get(notice.processor().index);
        self.1.fetch_add(value.map_or(1 << 20, |value| *value), Ordering::Relaxed);
    }
}

#[test]
fn a_processors_value_exists_before_the_processor_is_started() {
    let _alone = alone();
    let (_, partition) = partition(2, 2);
    let table =
        PerProcessor::new(&partition, "table", |p| Ok(p.map_or(0, |p| 100 + p.index.as_usize())));
    let table = Arc::new(table.unwrap());
    let sum = Arc::new(AtomicUsize::new(0));
    let looker = Looker(Arc::clone(&table), Arc::clone(&sum));
    let _looker = partition.register("looker", looker).unwrap();
    partition.add(HardwareId(2)).unwrap();
    assert_eq!(sum.load(Ordering::Relaxed), 100 + 101 + 102, "each exactly once (R5)");
    assert_eq!(table.sum(|value| *value), 100 + 101 + 102, "the spare value is 0");
    let indexes: Vec<_> = table.iter().map(|(index, value)| (index, *value)).collect();
    let expected = [(Some(index(0)), 100), (Some(index(1)), 101), (Some(index(2)), 102), (None, 0)];
    assert_eq!(indexes, expected);
    assert_eq!(table.fold(0, |most, value| most.max(*value)), 102);
}

#[test]
fn r4_a_table_that_cannot_be_filled_is_not_created() {
    let _alone = alone();
    let (_, partition) = partition(3, 0);
    let dropped = Arc::new(AtomicUsize::new(0));
    let error = PerProcessor::new(&partition, "table", {
        let dropped = Arc::clone(&dropped);
        move |p| match p.map(|p| p.index.get()) {
            Some(2) => Err(Veto::from(Status::INSUFFICIENT_RESOURCES)),
            _ => Ok(Counted(Arc::clone(&dropped), 0)),
        }
    });
    assert!(matches!(error, Err(Error::NotJoining { .. })), "{:?}", error.err());
    assert_eq!(dropped.load(Ordering::Relaxed), 3, "two values and the spare one are dropped");
}

#[test]
fn r4_a_table_without_a_spare_value_is_not_created_and_says_why() {
    let _alone = alone();
    let (_, partition) = partition(1, 0);
    let made = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&made);
    let error = PerProcessor::<()>::new(&partition, "table", move |p| {
        count.fetch_add(1, Ordering::Relaxed);
        assert_eq!(p, None, "the spare value is made first");
        Err(Veto::from(Errno::ENOMEM))
    });
    let error = error.map(drop).unwrap_err();
    assert_eq!((error.clause(), error.status()), ("R4", Status::INSUFFICIENT_RESOURCES));
    assert!(error.to_string().starts_with("table cannot make its spare value"), "{error}");
    assert_eq!(made.load(Ordering::Relaxed), 1);
}

#[test]
fn a3_a_processor_without_a_value_does_not_join() {
    let _alone = alone();
    let (_, partition) = partition(1, 1);
    let table = PerProcessor::new(&partition, "table", |p| match p.map(|p| p.index.get()) {
        Some(1) => Err(Veto::from(Errno::ENOMEM)),
        _ => Ok(()),
    });
    let table = table.unwrap();
    let error = partition.add(HardwareId(1)).unwrap_err();
    assert_eq!(error.status(), Status::INSUFFICIENT_RESOURCES);
    assert!(table.get(index(1)).is_none());
}

/// A table whose values are numbered in the order in which they are made, and the count of dropped ones.
fn numbered(partition: &Partition, keep: bool) -> (PerProcessor<Counted>, Arc<AtomicUsize>) {
    let dropped = Arc::new(AtomicUsize::new(0));
    let (count, mut made) = (Arc::clone(&dropped), 0);
    let builder = PerProcessor::builder(partition, "table");
    let builder = if keep { builder.keep() } else { builder };
    let table = builder.build(move |_| {
        made += 1;
        Ok(Counted(Arc::clone(&count), made - 1))
    });
    (table.unwrap(), dropped)
}

#[test]
fn x1_the_value_of_a_processor_that_left_is_freed_and_made_again() {
    let _alone = alone();
    let (_, partition) = partition(1, 1);
    let (table, dropped) = numbered(&partition, false);
    partition.add(HardwareId(1)).unwrap();
    assert_eq!(table.get(index(1)).unwrap().1, 2, "after the spare value and that of index 0");
    partition.remove(HardwareId(1)).unwrap();
    assert!(table.get(index(1)).is_none());
    assert_eq!(dropped.load(Ordering::Relaxed), 1, "nobody reads it");
    partition.add(HardwareId(1)).unwrap();
    assert_eq!(table.get(index(1)).unwrap().1, 3);
    drop(table);
    assert_eq!(dropped.load(Ordering::Relaxed), 4, "all that were made");
}

#[test]
fn x2_the_value_of_a_processor_that_vanished_is_freed() {
    let _alone = alone();
    let (hardware, partition) = partition(1, 1);
    let (table, dropped) = numbered(&partition, false);
    partition.add(HardwareId(1)).unwrap();
    hardware.vanish(HardwareId(1));
    assert!(table.get(index(1)).is_none());
    assert_eq!(dropped.load(Ordering::Relaxed), 1);
}

#[test]
fn a4_the_value_of_a_processor_that_failed_to_start_is_freed() {
    let _alone = alone();
    let (hardware, partition) = partition(1, 1);
    let (table, dropped) = numbered(&partition, false);
    hardware.fail_start(HardwareId(1), Errno::EIO);
    partition.add(HardwareId(1)).unwrap_err();
    assert!(table.get(index(1)).is_none());
    assert_eq!(dropped.load(Ordering::Relaxed), 1);
}

#[test]
fn a_value_that_is_read_is_freed_when_the_reader_ends() {
    let _alone = alone();
    let (_, partition) = partition(1, 1);
    let (table, dropped) = numbered(&partition, false);
    partition.add(HardwareId(1)).unwrap();
    let guard = table.get(index(1)).unwrap();
    partition.remove(HardwareId(1)).unwrap();
    assert!(table.get(index(1)).is_none(), "nobody can find it any more");
    assert_eq!(dropped.load(Ordering::Relaxed), 0, "it is being read");
    assert_eq!(guard.1, 2);
    drop(guard);
    assert_eq!(dropped.load(Ordering::Relaxed), 1);
}

#[test]
fn x3_a_kept_value_survives_the_processors_absence_and_a_failed_start() {
    let _alone = alone();
    let (hardware, partition) = partition(1, 1);
    let (table, dropped) = numbered(&partition, true);
    hardware.fail_start(HardwareId(1), Errno::EIO);
    partition.add(HardwareId(1)).unwrap_err();
    hardware.heal(HardwareId(1));
    partition.add(HardwareId(1)).unwrap();
    partition.remove(HardwareId(1)).unwrap();
    assert_eq!(table.get(index(1)).unwrap().1, 2, "it can be read while the processor is away");
    partition.add(HardwareId(1)).unwrap();
    assert_eq!(table.get(index(1)).unwrap().1, 2, "made once for each index");
    assert_eq!(dropped.load(Ordering::Relaxed), 0);
}

#[test]
fn what_becomes_of_a_value_is_told_with_its_processor_and_the_spare_value() {
    let _alone = alone();
    let (_, partition) = partition(1, 2);
    let freed = Arc::new(Mutex::new(Vec::new()));
    let list = Arc::clone(&freed);
    let table = PerProcessor::builder(&partition, "table")
        .freed(move |processor, value: AtomicU64, spare| {
            list.lock().unwrap().push((processor.index.get(), processor.id));
            spare.fetch_add(value.into_inner(), Ordering::Relaxed);
        })
        .build(|_| Ok(AtomicU64::new(0)))
        .unwrap();
    for id in [2, 1] {
        let index = partition.add(HardwareId(id)).unwrap().processor.index;
        table.get(index).unwrap().store(u64::from(id) * 10, Ordering::Relaxed);
    }
    partition.remove(HardwareId(2)).unwrap();
    partition.remove(HardwareId(1)).unwrap();
    assert_eq!(*freed.lock().unwrap(), [(1, HardwareId(2)), (2, HardwareId(1))]);
    assert_eq!(table.sum(|value| value.load(Ordering::Relaxed)), 30, "nothing is lost");
    drop(table);
    assert_eq!(freed.lock().unwrap().len(), 2, "values of active processors are only dropped");
}

#[test]
fn d1_dropping_the_table_deregisters_it() {
    let _alone = alone();
    let (_, partition) = partition(1, 1);
    let refuses = PerProcessor::builder(&partition, "table").level(3).build(|p| {
        match p.map(|p| p.index.get()) {
            Some(1) => Err(Veto::from("no")),
            _ => Ok(()),
        }
    });
    let table = refuses.unwrap();
    let party = table.registration().party();
    assert_eq!((party.name.as_str(), party.level.0), ("table", 3));
    partition.add(HardwareId(1)).unwrap_err();
    drop(table);
    partition.add(HardwareId(1)).unwrap();
}

#[test]
fn l3_a_table_whose_driver_crashed_goes_on_with_what_it_has() {
    let _alone = alone();
    let (_, partition) = partition(1, 2);
    let table = PerProcessor::new(&partition, "table", |p| {
        assert_ne!(p.map(|p| p.id), Some(HardwareId(1)), "a fault of the table's author");
        Ok(())
    });
    let table = table.unwrap();
    partition.add(HardwareId(1)).unwrap_err();
    assert!(!table.registration().is_registered());
    partition.add(HardwareId(2)).unwrap();
    assert!(table.get(index(0)).is_some());
    let _ = table.local();
}

#[test]
fn nothing_that_a_counter_counted_is_lost_when_a_processor_leaves() {
    let _alone = alone();
    // All processors that this machine has, so that the threads count on some of them.
    let all = u32::try_from(std::thread::available_parallelism().unwrap().get()).unwrap();
    let (_, partition) = partition(1, all);
    let counter = Counter::new(&partition, "counter").unwrap();
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| (0..200_000).for_each(|_| counter.add(2)));
        }
        for id in 1..=all {
            partition.add(HardwareId(id)).unwrap();
        }
        for id in 1..=all {
            partition.remove(HardwareId(id)).unwrap();
        }
    });
    assert_eq!(counter.sum(), 1_200_000);
}

/// Simulated processors under another name, so that they count as the machine's own.
#[derive(Debug)]
struct Real(Arc<Simulated>);

impl Hardware for Real {
    fn name(&self) -> &'static str {
        "real"
    }

    fn active(&self) -> Result<Vec<HardwareId>, PlatformError> {
        self.0.active()
    }

    fn maximum(&self) -> u32 {
        self.0.maximum()
    }

    fn candidates(&self) -> Result<Vec<HardwareId>, PlatformError> {
        self.0.candidates()
    }

    fn admits(&self, id: HardwareId) -> Result<(), NotAdmitted> {
        self.0.admits(id)
    }

    fn start(&self, id: HardwareId) -> Result<(), PlatformError> {
        self.0.start(id)
    }

    fn stop(&self, id: HardwareId) -> Result<(), PlatformError> {
        self.0.stop(id)
    }

    fn survey(&self, expected: &[HardwareId]) -> Survey {
        self.0.survey(expected)
    }

    fn watch(self: Arc<Self>, nudge: Nudge) {
        Arc::clone(&self.0).watch(nudge);
    }
}

/// Pins this thread to the processor that it is on, and returns its number.
fn pin() -> u32 {
    let here = rustix::thread::sched_getcpu();
    let mut mask = rustix::thread::CpuSet::new();
    mask.set(here);
    rustix::thread::sched_setaffinity(None, &mask).unwrap();
    u32::try_from(here).unwrap()
}

#[test]
fn h5_a_thread_outside_of_the_set_gets_the_spare_value_and_is_reported_once() {
    let _alone = alone();
    let here = HardwareId(pin());
    let elsewhere = HardwareId(1000);
    let simulated = Simulated::with_ids([elsewhere], [here]).unwrap();
    let partition = Partition::from_hardware(Arc::new(Real(Arc::clone(&simulated)))).unwrap();
    let reports = Arc::new(Mutex::new(Vec::new()));
    let list = Arc::clone(&reports);
    let observation = partition.observe(move |event| {
        if event.kind == EventKind::Breach {
            list.lock().unwrap().push((event.clause, event.id, event.reason.clone()));
        }
    });
    let _observation = observation.unwrap();
    let table = PerProcessor::new(&partition, "table", |p| Ok(p.map(|p| p.id))).unwrap();
    let counter = Counter::new(&partition, "counter").unwrap();

    assert_eq!(partition.current(), None);
    assert_eq!(*table.local(), None, "the spare value");
    assert_eq!(*table.local(), None);
    counter.add(5);
    assert_eq!((table.spare_uses(), counter.spare_uses(), counter.sum()), (2, 1, 5));
    assert!(reports.lock().unwrap().is_empty(), "a reader does not wait for observers");

    let joined = partition.add(here).unwrap().processor;
    let reports = std::mem::take(&mut *reports.lock().unwrap());
    let [(clause, id, Some(reason)), (_, _, Some(other))] = &reports[..] else {
        panic!("one report of each: {reports:?}");
    };
    assert_eq!((*clause, *id), (Some("H5"), Some(here)));
    let expected = format!(
        "a thread ran on processor {here}, which is not in the partition; table has no value for it and \
         gave the spare value"
    );
    assert_eq!(*reason, expected);
    assert!(other.contains("counter"), "{other}");

    assert_eq!(partition.current(), Some(joined));
    assert_eq!(*table.local(), Some(here), "its own value");
    counter.add(5);
    assert_eq!((table.spare_uses(), counter.spare_uses(), counter.sum()), (2, 1, 10));
}

#[test]
fn q3_a_thread_on_a_processor_that_joined_without_agreement_gets_the_spare_value() {
    let _alone = alone();
    let here = HardwareId(pin());
    let simulated = Simulated::with_ids([HardwareId(1000)], [here]).unwrap();
    let partition = Partition::from_hardware(Arc::new(Real(Arc::clone(&simulated)))).unwrap();
    let table = PerProcessor::new(&partition, "table", |p| Ok(p.map(|p| p.id))).unwrap();
    simulated.intrude(here);
    assert_eq!(partition.current().map(|p| p.id), Some(here), "it is in the set");
    assert_eq!(*table.local(), None, "the spare value");
    partition.remove(here).unwrap();
    partition.add(here).unwrap();
    assert_eq!(*table.local(), Some(here), "it has joined by agreement");
}
