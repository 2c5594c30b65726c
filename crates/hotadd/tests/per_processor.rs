//! `PerProcessor`: a table with a value for every processor before anything can run on it.
#![cfg(not(hotadd_loom))]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use hotadd::hardware::Simulated;
use hotadd::{
    Driver, Errno, Error, HardwareId, Notice, Partition, PerProcessor, ProcessorIndex, Status, Veto,
};

fn index(n: u32) -> ProcessorIndex {
    ProcessorIndex::new(n).unwrap()
}

/// When a processor has joined, checks that the table has its value.
struct Looker(Arc<PerProcessor<usize>>, Arc<AtomicUsize>);

impl Driver for Looker {
    fn add_start(&mut self, notice: &Notice) -> Result<(), Veto> {
        let made = self.0.get(notice.processor().index).is_some();
        if made { Ok(()) } else { Err("the table has no value yet".into()) }
    }

    fn add_complete(&mut self, notice: &Notice) {
        self.1.fetch_add(self.0[notice.processor().index], Ordering::Relaxed);
    }
}

#[test]
fn a_processors_value_exists_before_the_processor_is_started() {
    let partition = Partition::simulated(&Simulated::new(2, 2).unwrap()).unwrap();
    let table = PerProcessor::new(&partition, "table", |p| Ok(100 + p.index.as_usize())).unwrap();
    let sum = Arc::new(AtomicUsize::new(0));
    let looker = Looker(Arc::new(table), Arc::clone(&sum));
    let _looker = partition.register("looker", looker).unwrap();
    partition.add(HardwareId(2)).unwrap();
    assert_eq!(sum.load(Ordering::Relaxed), 100 + 101 + 102, "each exactly once (R5)");
}

#[test]
fn r4_a_table_that_cannot_be_filled_is_not_created() {
    let partition = Partition::simulated(&Simulated::new(3, 0).unwrap()).unwrap();
    let error = PerProcessor::new(&partition, "table", |p| match p.index.get() {
        2 => Err(Veto::from(Status::INSUFFICIENT_RESOURCES)),
        n => Ok(n),
    });
    assert!(matches!(error, Err(Error::NotJoining { .. })), "{:?}", error.err());
}

#[test]
fn a3_a_processor_without_a_value_does_not_join() {
    let partition = Partition::simulated(&Simulated::new(1, 1).unwrap()).unwrap();
    let table = PerProcessor::new(&partition, "table", |p| match p.index.get() {
        0 => Ok(()),
        _ => Err(Veto::from(Errno::ENOMEM)),
    });
    let table = table.unwrap();
    let error = partition.add(HardwareId(1)).unwrap_err();
    assert_eq!(error.status(), Status::INSUFFICIENT_RESOURCES);
    assert!(table.get(index(1)).is_none());
}

#[test]
fn x3_a_value_survives_the_processors_absence_and_a_failed_start() {
    let hardware = Simulated::new(1, 1).unwrap();
    let partition = Partition::simulated(&hardware).unwrap();
    let made = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&made);
    let table =
        PerProcessor::new(&partition, "table", move |_| Ok(count.fetch_add(1, Ordering::Relaxed)));
    let table = table.unwrap();
    hardware.fail_start(HardwareId(1), Errno::EIO);
    partition.add(HardwareId(1)).unwrap_err();
    hardware.heal(HardwareId(1));
    partition.add(HardwareId(1)).unwrap();
    partition.remove(HardwareId(1)).unwrap();
    partition.add(HardwareId(1)).unwrap();
    assert_eq!(made.load(Ordering::Relaxed), 2, "made once for each index");
    assert_eq!(table[index(1)], 1);
}

#[test]
fn d1_dropping_the_table_deregisters_it() {
    let partition = Partition::simulated(&Simulated::new(1, 1).unwrap()).unwrap();
    let refuses = PerProcessor::new(&partition, "table", |p| match p.index.get() {
        0 => Ok(()),
        _ => Err(Veto::from("no")),
    });
    let table = refuses.unwrap();
    assert_eq!(table.registration().party().name, "table");
    partition.add(HardwareId(1)).unwrap_err();
    drop(table);
    partition.add(HardwareId(1)).unwrap();
}
