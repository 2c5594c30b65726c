//! The reference model: the contract as a program, with one plain function for a clause where possible. It
//! does not model threads, locks, snapshots or other parts of the implementation.

use std::collections::{BTreeMap, BTreeSet};

use hotadd::{Action, Batch, Errno, HardwareId, State};

use crate::history::{Machine, Removal, SLOTS, Script, Step, World};
use crate::journal::{Entry, Failure, Outcome, Told};

/// A processor: its index and its hardware id.
pub(crate) type Processor = (usize, HardwareId);

#[derive(Debug)]
pub(crate) struct Model {
    /// Every processor that was ever active, at its index: dense, in order of first activation, permanent (X3).
    pub(crate) known: Vec<HardwareId>,
    pub(crate) active: BTreeSet<usize>,
    /// Processors that joined without agreement (Q3).
    pub(crate) unagreed: BTreeSet<usize>,
    /// Grows with every change of the active set (Q2).
    pub(crate) epoch: u64,
    pub(crate) machines: BTreeMap<HardwareId, Machine>,
    /// Every party that ever tried to register.
    pub(crate) parties: Vec<Party>,
    /// The registration in each slot.
    pub(crate) slots: [Option<usize>; SLOTS],
    pub(crate) journal: Vec<Entry>,
    /// The kinds of events in the calls, to be counted.
    pub(crate) remarks: Vec<String>,
    /// Names of processors that are being added (A5).
    pub(crate) proposed: Vec<Processor>,
    /// One of them was switched by others (Q4).
    pub(crate) touched: bool,
    /// The first of them that was started by others.
    pub(crate) brought_in: Option<Processor>,
    /// Changes by others that the drivers were not told of yet.
    pub(crate) untold: Vec<Untold>,
}

/// A change that no party was asked about.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Untold {
    Left(Processor),
    Came(Processor),
}

impl Untold {
    pub(crate) fn processor(self) -> Processor {
        let (Self::Left(processor) | Self::Came(processor)) = self;
        processor
    }
}

#[derive(Debug)]
pub(crate) struct Party {
    pub(crate) script: Script,
    pub(crate) registered: bool,
    pub(crate) slot: usize,
    /// Crashed or deregistered: never called again (D1, L3).
    pub(crate) gone: bool,
    /// It crashed when it began, which counts when its turn comes (L3).
    pub(crate) broken: bool,
    /// It crashed (L3).
    pub(crate) crashed: bool,
    pub(crate) calls: u32,
    /// The indexes of active processors that it was not told of (X4).
    pub(crate) unheard: BTreeSet<usize>,
}

impl Model {
    pub(crate) fn new(world: &World) -> Self {
        let machines: BTreeMap<_, _> = world.machines().map(|m| (m.id, m)).collect();
        let known: Vec<_> = machines.values().filter(|m| m.running).map(|m| m.id).collect();
        Self {
            active: (0..known.len()).collect(),
            known,
            unagreed: BTreeSet::new(),
            epoch: 1,
            machines,
            parties: Vec::new(),
            slots: [None; SLOTS],
            journal: Vec::new(),
            remarks: Vec::new(),
            proposed: Vec::new(),
            touched: false,
            brought_in: None,
            untold: Vec::new(),
        }
    }

    pub(crate) fn step(&mut self, step: &Step) -> Outcome {
        match step {
            Step::Register(slot, script) => Outcome::Registered(self.register(*slot, script)),
            Step::Deregister(slot) => Outcome::Deregistered(self.deregister(*slot)),
            Step::Add(id) => Outcome::Changed(self.add(&[*id])),
            Step::Batch(Batch::Each, ids) => {
                // A9: one transaction for each.
                Outcome::Changed(ids.iter().flat_map(|id| self.add(&[*id])).collect())
            }
            Step::Batch(Batch::Atomic, ids) => Outcome::Changed(self.add(ids)),
            Step::Spare(_) => unreachable!("resolved"),
            Step::Rehearse(id) => Outcome::Rehearsed(self.rehearse(*id)),
            Step::Remove(id) => Outcome::Changed(vec![(*id, self.remove(*id))]),
            event => {
                self.event(event);
                self.settle();
                Outcome::Done
            }
        }
    }

    /// A change of the hardware.
    fn event(&mut self, step: &Step) {
        match *step {
            Step::FailStart(id, errno) => self.machine(id, |m| m.fail_start = Some(errno)),
            Step::FailStop(id, errno) => self.machine(id, |m| m.fail_stop = Some(errno)),
            Step::Heal(id) => self.machine(id, |m| (m.fail_start, m.fail_stop) = (None, None)),
            Step::Vanish(id) => self.machine(id, |m| m.running = false),
            Step::Intrude(id) => self.machine(id, |m| m.running = true),
            _ => unreachable!("a request, not an event"),
        }
    }

    // Registering and deregistering.

    fn register(&mut self, slot: usize, script: &Script) -> Result<(), Failure> {
        let party = self.parties.len();
        let script = script.clone();
        self.parties.push(Party {
            script,
            registered: false,
            slot,
            gone: false,
            broken: false,
            crashed: false,
            calls: 0,
            unheard: BTreeSet::new(),
        });
        let Script { removal, replay, .. } = self.parties[party].script;
        let told = match (removal, replay) {
            (Removal::Panic, _) => Err(Failure::Crashed { party }),
            (_, true) => self.replay(party),
            // R2: without ADD_EXISTING it hears of later ones only. X4: so it does not hear the end of the others.
            (_, false) => {
                let untold = self.untold.iter().map(|untold| untold.processor().0);
                self.parties[party].unheard = self.active.iter().copied().chain(untold).collect();
                Ok(())
            }
        };
        self.parties[party].registered = told.is_ok();
        self.settle();
        if told.is_ok() {
            self.slots[slot] = Some(party);
        }
        told
    }

    /// R3, R4. One party alone, so none begins in advance.
    fn replay(&mut self, party: usize) -> Result<(), Failure> {
        let active: Vec<Processor> = self.active.iter().map(|&i| (i, self.known[i])).collect();
        let mut agreed = Vec::new();
        for &processor in &active {
            if let Some(Err(status)) = self.call(party, Told::new(State::AddStart, processor)) {
                for processor in agreed {
                    let told = Told { status, ..Told::new(State::AddFailure, processor) };
                    let _ = self.call(party, told);
                }
                return Err(Failure::Vetoed { action: Action::Add, processor, party, status });
            }
            agreed.push(processor);
        }
        for processor in active {
            let _ = self.call(party, Told::new(State::AddComplete, processor));
        }
        // L3: one that crashed when all was agreed is not registered.
        if self.parties[party].gone { Err(Failure::Crashed { party }) } else { Ok(()) }
    }

    /// D1, D2. `None` if the slot has no registration, otherwise whether it was still registered.
    pub(crate) fn deregister(&mut self, slot: usize) -> Option<bool> {
        let party = self.slots[slot].take()?;
        let was = self.parties[party].registered;
        self.part(party);
        Some(was)
    }

    pub(crate) fn part(&mut self, party: usize) {
        self.parties[party].gone = true;
        self.parties[party].registered = false;
    }

    /// A1: in registration order, lower levels first; within a level, first those that are called one by one,
    /// then those that are asked at once.
    pub(crate) fn calling_order(&self) -> Vec<usize> {
        let registered = |n: &usize| self.parties[*n].registered;
        let mut order: Vec<usize> = (0..self.parties.len()).filter(registered).collect();
        let place = |n: usize| (self.parties[n].script.level, self.parties[n].script.at_once, n);
        order.sort_by_key(|&n| place(n));
        order
    }

    // The active set.

    /// X3, Q2, Q3.
    pub(crate) fn join(&mut self, processors: &[Processor], agreed: bool) {
        if processors.is_empty() {
            return;
        }
        for &(index, id) in processors {
            if index == self.known.len() {
                self.known.push(id);
            }
            self.active.insert(index);
            if !agreed {
                self.unagreed.insert(index);
            }
        }
        self.proposed.retain(|processor| !processors.contains(processor));
        self.epoch += 1;
    }

    pub(crate) fn active_processor(&self, id: HardwareId) -> Option<Processor> {
        self.active.iter().map(|&i| (i, self.known[i])).find(|(_, known)| *known == id)
    }

    pub(crate) fn is_active(&self, id: HardwareId) -> bool {
        self.active_processor(id).is_some()
    }

    // The platform.

    pub(crate) fn machine(&mut self, id: HardwareId, change: impl FnOnce(&mut Machine)) {
        if let Some(machine) = self.machines.get_mut(&id) {
            change(machine);
        }
    }

    pub(crate) fn start(&mut self, id: HardwareId) -> Result<(), Errno> {
        self.machines[&id].fail_start.map_or(Ok(()), Err)?;
        self.machine(id, |m| m.running = true);
        Ok(())
    }

    pub(crate) fn stop(&mut self, id: HardwareId) -> Result<(), Errno> {
        self.machines[&id].fail_stop.map_or(Ok(()), Err)?;
        self.machine(id, |m| m.running = false);
        Ok(())
    }
}
