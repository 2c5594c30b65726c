//! A driver that acts by a script and records every call.

use std::panic::resume_unwind;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::panicking;

use hotadd::hardware::Simulated;
use hotadd::{
    Batch, Driver, Error, Event, EventKind, HardwareId, Notice, Partition, PartyInfo, Registration,
    Removal, Veto,
};

use crate::history::{self, Deed, Moment, Reentry, SLOTS, Script};
use crate::journal::{Entry, Told, View};
use crate::reference::Processor;

/// What the drivers of one history share with the test.
#[derive(Default)]
pub(crate) struct Shared {
    pub(crate) journal: Mutex<Vec<Entry>>,
    pub(crate) slots: Mutex<[Option<Registration>; SLOTS]>,
    /// The parties whose calls an observer was told of.
    pub(crate) observed: Mutex<Vec<usize>>,
    /// How often the driver of each party was dropped.
    pub(crate) drops: Mutex<Vec<u32>>,
}

impl Shared {
    /// Takes the registration out of its slot and deregisters it.
    pub(crate) fn deregister(&self, slot: usize) -> Option<bool> {
        let registration = lock(&self.slots)[slot].take()?;
        match registration.deregister() {
            Ok(()) => Some(true),
            Err(Error::NotRegistered(_)) => Some(false),
            Err(other) => panic!("deregistering failed: {other}"),
        }
    }

    pub(crate) fn observe(&self, event: &Event) {
        if event.kind == EventKind::Calling {
            let party = event.party.as_ref().expect("somebody is called");
            lock(&self.observed).push(number(party));
        }
    }

    fn write(&self, entry: Entry) {
        lock(&self.journal).push(entry);
    }
}

/// Scripted panics unwind through here. None of the test's own data is left inconsistent by one.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(crate) struct Scripted {
    pub(crate) party: usize,
    pub(crate) slot: usize,
    pub(crate) script: Script,
    pub(crate) calls: u32,
    pub(crate) partition: Partition,
    pub(crate) hardware: Arc<Simulated>,
    pub(crate) shared: Arc<Shared>,
}

impl Scripted {
    /// The whole set as seen inside the call.
    fn view(&self, notice: &Notice) -> View {
        let set = self.partition.active();
        let processor = notice.processor();
        let names = [
            set.by_id(processor.id),
            set.by_index(processor.index),
            set.by_number(processor.number()),
        ];
        assert!(set.epoch() >= notice.epoch(), "the set is at least as new as the notice (Q4)");
        assert_eq!(set.epoch(), self.partition.epoch(), "epoch and count agree with the set");
        assert_eq!(set.count(), self.partition.count(), "epoch and count agree with the set");
        View {
            epoch: set.epoch().0,
            count: set.count() as usize,
            active: set.contains(processor.index),
            named: names == [Some(processor); 3],
        }
    }

    /// The notice, and what the driver sees.
    fn hear(&self, notice: &Notice) -> (Told, View) {
        let told = Told {
            state: notice.state(),
            processor: names(notice.processor()),
            status: notice.status(),
            errno: notice.errno(),
            surprise: notice.is_surprise(),
        };
        (told, self.view(notice))
    }

    /// Performs the scripted actions.
    fn act(&self, moment: Moment, told: Told, view: View, call: u32) -> Result<(), Veto> {
        let (_, id) = told.processor;
        for deed in self.script.deeds(moment, told.state, id, view.count, call) {
            match deed {
                Deed::Answer(status) => return Err(Veto::new(status, "scripted")),
                Deed::Crash(status) => return Err(Veto::crash(status, "scripted")),
                // `panic!` would print a message.
                Deed::Panic => resume_unwind(Box::new("scripted")),
                Deed::Deregister(slot) => self.deregister(slot),
                Deed::Leave => self.deregister(self.slot),
                Deed::Vanish(id) => self.hardware.vanish(id),
                Deed::Intrude(id) => self.hardware.intrude(id),
                Deed::Reenter(reentry) => self.reenter(reentry, id),
            }
        }
        Ok(())
    }

    fn reenter(&self, reentry: Reentry, id: HardwareId) {
        let Self { partition, party, .. } = self;
        let refused = match reentry {
            Reentry::Add => partition.add(id).err(),
            Reentry::Batch => partition.add_batch(&[id], Batch::Atomic).remove(0).1.err(),
            Reentry::Rehearse => partition.rehearse(id).err(),
            Reentry::Remove => partition.remove(id).err(),
            Reentry::Register => partition.register("again", |_: &Notice| Ok(())).err(),
        };
        let status = refused.expect("nothing of this is allowed inside a callback (D3)").status();
        self.shared.write(Entry::Refused { party: *party, reentry, status });
    }

    fn deregister(&self, slot: usize) {
        let was = self.shared.deregister(slot);
        self.shared.write(Entry::Deregistered { party: self.party, slot, was });
    }
}

impl Driver for Scripted {
    fn add_start(&mut self, _: &Notice) -> Result<(), Veto> {
        unreachable!("notify handles every state")
    }

    fn removal(&mut self) -> Option<&mut dyn Removal> {
        match self.script.removal {
            history::Removal::Heard => Some(self),
            history::Removal::Unheard => None,
            history::Removal::Panic => resume_unwind(Box::new("scripted")),
        }
    }

    fn begin(&mut self, notice: &Notice) {
        let (told, view) = self.hear(notice);
        self.shared.write(Entry::Begin { party: self.party, told, view });
        // An answer cannot be given yet.
        let _ = self.act(Moment::Begin, told, view, self.calls + 1);
    }

    fn notify(&mut self, notice: &Notice) -> Result<(), Veto> {
        self.calls += 1;
        let (told, view) = self.hear(notice);
        self.shared.write(Entry::Call { party: self.party, told, view });
        self.act(Moment::Notify, told, view, self.calls)
    }
}

impl Removal for Scripted {
    fn remove_start(&mut self, _: &Notice) -> Result<(), Veto> {
        unreachable!("notify handles every state")
    }
}

impl Drop for Scripted {
    fn drop(&mut self) {
        lock(&self.shared.drops)[self.party] += 1;
        if self.script.bad_drop && !panicking() {
            resume_unwind(Box::new("scripted"));
        }
    }
}

pub(crate) fn names(processor: hotadd::Processor) -> Processor {
    (processor.index.as_usize(), processor.id)
}

pub(crate) fn number(party: &PartyInfo) -> usize {
    party.name[1..].parse().expect("parties are named p and their number")
}
