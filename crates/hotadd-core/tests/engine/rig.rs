//! A [`Rig`]: a registry of dolls, a platform that fails on demand, and a journal of every step.
//!
//! One line a step: `a AddStart 4` (a party is told of hardware id 4), followed by the status where it is not success;
//! `start 4`, `start 4 fails`, `stop 4`; `publish e2: 0 1 4` (epoch and active ids) and `publish e1: 0 1 +4` (4 has names,
//! but is not active).

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::rc::Rc;

use hotadd_core::{
    ActiveSet, Errno, HardwareId, Level, Notice, Party, PartyId, PlatformError, Processor,
    Registry, State, Status, Step, Transaction, Veto,
};

/// A party that does as the rig's script says.
#[derive(Clone, Debug)]
pub(crate) struct Doll {
    pub(crate) name: &'static str,
    pub(crate) level: i32,
    pub(crate) id: u64,
    pub(crate) removal: bool,
    /// The active processors that it was not told of.
    pub(crate) unheard: Vec<u32>,
    pub(crate) departed: Rc<Cell<bool>>,
}

impl Party for Doll {
    fn id(&self) -> PartyId {
        PartyId(self.id)
    }
    fn level(&self) -> Level {
        Level(self.level)
    }
    fn departed(&self) -> bool {
        self.departed.get()
    }
    fn hears_removal(&self) -> bool {
        self.removal
    }
    fn heard_of(&self, processor: Processor) -> bool {
        !self.unheard.contains(&processor.id.0)
    }
}

/// The moment at which a doll does something out of the ordinary.
pub(crate) type Cue = (&'static str, State, u32);

pub(crate) struct Rig {
    pub(crate) registry: Registry<Doll>,
    pub(crate) set: ActiveSet,
    pub(crate) journal: Vec<String>,
    /// Answers other than agreement.
    pub(crate) vetoes: BTreeMap<Cue, Status>,
    /// For each call of the journal whether it was of a replay.
    pub(crate) replays: Vec<bool>,
    /// Calls that unwind.
    pub(crate) crashes: BTreeSet<Cue>,
    /// Calls in which somebody, named second, is deregistered.
    pub(crate) departures: BTreeMap<Cue, &'static str>,
    pub(crate) fail_start: BTreeMap<u32, Errno>,
    pub(crate) fail_stop: BTreeMap<u32, Errno>,
    next: u64,
}

pub(crate) fn ids(ids: &[u32]) -> Vec<HardwareId> {
    ids.iter().copied().map(HardwareId).collect()
}

impl Rig {
    /// Processors 0 to `active` are active; the partition knows at most 8.
    pub(crate) fn new(active: u32) -> Self {
        Self::with_ids(&(0..active).collect::<Vec<_>>(), 8)
    }

    pub(crate) fn with_ids(active: &[u32], maximum: u32) -> Self {
        Self {
            registry: Registry::new(16),
            set: ActiveSet::first(&ids(active), maximum).expect("a first set"),
            journal: Vec::new(),
            vetoes: BTreeMap::new(),
            replays: Vec::new(),
            crashes: BTreeSet::new(),
            departures: BTreeMap::new(),
            fail_start: BTreeMap::new(),
            fail_stop: BTreeMap::new(),
            next: 1,
        }
    }

    /// Registers parties at level 0 that hear of removals.
    pub(crate) fn with(mut self, names: &[&'static str]) -> Self {
        for name in names {
            self.join(name, 0, true);
        }
        self
    }

    pub(crate) fn join(&mut self, name: &'static str, level: i32, removal: bool) {
        let doll = self.doll(name, level, removal);
        self.registry.insert(doll);
    }

    pub(crate) fn doll(&mut self, name: &'static str, level: i32, removal: bool) -> Doll {
        let id = self.next;
        self.next += 1;
        Doll { name, level, id, removal, unheard: Vec::new(), departed: Rc::default() }
    }

    pub(crate) fn veto(&mut self, name: &'static str, state: State, id: u32, status: Status) {
        self.vetoes.insert((name, state, id), status);
    }

    pub(crate) fn add(&mut self, wanted: &[u32]) -> Transaction {
        let transaction = Transaction::add(&self.set, &ids(wanted)).expect("can be added");
        self.run(transaction)
    }

    pub(crate) fn rehearse(&mut self, id: u32) -> Transaction {
        let transaction = Transaction::rehearse(&self.set, HardwareId(id)).expect("can be added");
        self.run(transaction)
    }

    pub(crate) fn remove(&mut self, id: u32) -> Transaction {
        let transaction = Transaction::remove(&self.set, HardwareId(id)).expect("is active");
        self.run(transaction)
    }

    /// These have left without asking: the set loses them, and everybody is told.
    pub(crate) fn vanish(&mut self, gone: &[u32]) -> Transaction {
        let (set, lost) = self.set.lose(&ids(gone)).expect("one of them is active");
        self.journal.push(published(&set));
        self.set = set;
        self.run(Transaction::vanished(&self.set, &lost))
    }

    /// Runs a transaction over everybody registered, and sweeps out who departed.
    pub(crate) fn run(&mut self, transaction: Transaction) -> Transaction {
        let mut parties = self.registry.parties().to_vec();
        let transaction = self.run_over(transaction, &mut parties);
        self.registry.sweep();
        transaction
    }

    /// Replays the active set to one party, which joins the registry if it agreed.
    pub(crate) fn replay(&mut self, doll: Doll) -> Transaction {
        let transaction = Transaction::replay(&self.set);
        let mut parties = [doll.clone()];
        let transaction = self.run_over(transaction, &mut parties);
        if transaction.is_agreed() && !doll.departed() {
            self.registry.insert(doll);
        }
        transaction
    }

    fn run_over(&mut self, mut transaction: Transaction, parties: &mut [Doll]) -> Transaction {
        loop {
            match transaction.step() {
                Step::Publish => {
                    self.set = transaction.publish(&self.set);
                    self.journal.push(published(&self.set));
                }
                Step::Call(_) => self.call(&mut transaction, parties),
                Step::Start(p) => {
                    let result = self.act("start", p.id, self.fail_start.get(&p.id.0).copied());
                    transaction.acted(result);
                }
                Step::Stop(p) => {
                    let result = self.act("stop", p.id, self.fail_stop.get(&p.id.0).copied());
                    transaction.acted(result);
                }
                Step::Done => return transaction,
            }
        }
    }

    fn call(&mut self, transaction: &mut Transaction, parties: &mut [Doll]) {
        let everybody = parties.to_vec();
        loop {
            let pass = catch_unwind(AssertUnwindSafe(|| {
                let departures = || everybody.iter().any(Party::departed);
                transaction.call(parties, departures, |doll, notice| {
                    self.told(doll.name, notice, &everybody)
                });
            }));
            if pass.is_ok() {
                return;
            }
            let veto = Veto::new(Status::DRIVER_INTERNAL_ERROR, "it crashed");
            let position = transaction.crashed(parties.len(), veto).expect("somebody was called");
            self.journal.push(format!("{} crashed", parties[position].name));
            parties[position].departed.set(true);
        }
    }

    fn told(&mut self, name: &'static str, notice: &Notice, all: &[Doll]) -> Result<(), Veto> {
        let cue = (name, notice.state(), notice.processor().id.0);
        let mut line = format!("{name} {} {}", cue.1, cue.2);
        if notice.status() != Status::SUCCESS {
            line += &format!(" {:?}", notice.status());
        }
        if let Some(errno) = notice.errno() {
            line += &format!(" {errno}");
        }
        if notice.is_surprise() {
            line += " surprise";
        }
        self.journal.push(line);
        self.replays.push(notice.is_replay());
        if let Some(leaver) = self.departures.get(&cue) {
            let doll = all.iter().find(|d| d.name == *leaver).expect("it is registered");
            doll.departed.set(true);
        }
        if self.crashes.contains(&cue) {
            // Not a panic: the hook would print it.
            resume_unwind(Box::new(()));
        }
        self.vetoes.get(&cue).map_or(Ok(()), |status| Err(Veto::new(*status, "as the script says")))
    }

    fn act(
        &mut self,
        act: &str,
        id: HardwareId,
        errno: Option<Errno>,
    ) -> Result<(), PlatformError> {
        let fails = if errno.is_some() { " fails" } else { "" };
        self.journal.push(format!("{act} {id}{fails}"));
        errno.map_or(Ok(()), |errno| Err(errno.into()))
    }

    /// Compares the journal with what was to happen, and empties it.
    #[track_caller]
    pub(crate) fn expect(&mut self, promise: &str, lines: &[&str]) {
        assert_eq!(self.journal, lines, "{promise}");
        self.journal.clear();
    }

    /// The hardware ids of the active processors, by index.
    pub(crate) fn active(&self) -> Vec<u32> {
        self.set.iter().map(|p| p.id.0).collect()
    }
}

fn published(set: &ActiveSet) -> String {
    let active: String = set.iter().map(|p| format!(" {}", p.id)).collect();
    let proposed: String = set.proposed().iter().map(|p| format!(" +{}", p.id)).collect();
    format!("publish e{}:{active}{proposed}", set.epoch())
}
