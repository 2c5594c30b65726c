//! The bad drivers. Each has a table with one entry for each processor, and does one thing wrong.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use hotadd::{Driver, Notice, State, Status, Veto};

/// Counts the entries of all drivers that share it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Table(Arc<AtomicU64>);

impl Table {
    pub(crate) fn entries(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A kind of driver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Zoo {
    Good,
    RefusesAll,
    RefusesEvenActive,
    RefusesBigSets,
    ErrorInComplete,
    ErrorInFailure,
    PanicsInStart,
    PanicsInComplete,
    PanicsInFailure,
    PanicsWhenMade,
    KeepsAfterFailure,
    KeepsAfterVeto,
    KeepsAfterRefusedLoad,
    KeepsAfterUnload,
    Slow,
    Hangs,
}

impl Zoo {
    pub(crate) fn driver(self, table: &Table) -> Animal {
        assert_ne!(self, Self::PanicsWhenMade, "no block");
        Animal { zoo: self, table: table.clone(), indexes: BTreeSet::new() }
    }
}

/// A driver.
pub(crate) struct Animal {
    zoo: Zoo,
    table: Table,
    indexes: BTreeSet<u32>,
}

impl Animal {
    fn make(&mut self, index: u32) {
        if self.indexes.insert(index) {
            self.table.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn free(&mut self, index: u32) {
        if self.indexes.remove(&index) {
            self.table.0.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

impl Driver for Animal {
    fn add_start(&mut self, _: &Notice) -> Result<(), Veto> {
        unreachable!("notify calls no other method")
    }

    /// As a C callback does.
    fn notify(&mut self, notice: &Notice) -> Result<(), Veto> {
        let index = notice.processor().index.get();
        let refuse = || Err(Veto::new(Status::INSUFFICIENT_RESOURCES, "no room"));
        let is_late = notice.state() == State::AddStart && !notice.is_replay();
        match (self.zoo, notice.state()) {
            (Zoo::RefusesAll, _) if is_late => return refuse(),
            (Zoo::RefusesEvenActive, State::AddStart) => return refuse(),
            (Zoo::RefusesBigSets, State::AddStart) if index >= 60 => return refuse(),
            (Zoo::KeepsAfterVeto, _) if is_late && index % 2 == 1 => {
                self.table.0.fetch_add(1, Ordering::Relaxed);
                return refuse();
            }
            (Zoo::KeepsAfterRefusedLoad, State::AddStart) if index >= 60 => {
                self.table.0.fetch_add(1, Ordering::Relaxed);
                return refuse();
            }
            (Zoo::ErrorInComplete, State::AddComplete)
            | (Zoo::ErrorInFailure, State::AddFailure) => {
                self.free(index);
                return refuse();
            }
            (Zoo::PanicsInStart, State::AddStart)
            | (Zoo::PanicsInComplete, State::AddComplete)
            | (Zoo::PanicsInFailure, State::AddFailure) => panic!("no block"),
            (Zoo::Slow, State::AddStart) if is_late => {
                std::thread::sleep(Duration::from_millis(20));
            }
            (Zoo::Hangs, State::AddStart) if is_late => loop {
                std::thread::park();
            },
            (Zoo::KeepsAfterFailure, State::AddFailure) if !notice.is_replay() => {
                self.table.0.fetch_add(1, Ordering::Relaxed);
            }
            _ => {}
        }
        match notice.state() {
            State::AddStart => self.make(index),
            State::AddFailure => self.free(index),
            _ => {}
        }
        Ok(())
    }
}

impl Drop for Animal {
    fn drop(&mut self) {
        if self.zoo != Zoo::KeepsAfterUnload {
            let entries = u64::try_from(self.indexes.len()).unwrap();
            self.table.0.fetch_sub(entries, Ordering::Relaxed);
        }
    }
}
