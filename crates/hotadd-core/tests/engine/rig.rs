//! A [`Rig`]: a registry of members, a platform that always succeeds, and a journal of every step.
//!
//! One line a step: `a AddStart 4` (a party is told of hardware id 4); `start 4`, `stop 4`; `publish e2: 0 1 4` (epoch and active
//! ids) and `publish e1: 0 1 +4` (4 has names, but is not active).

use std::cell::Cell;
use std::collections::BTreeMap;
use std::rc::Rc;

use hotadd_core::{
    ActiveSet, HardwareId, Level, Notice, Party, PartyId, Processor, Registry, State, Status, Step,
    Transaction, Veto,
};

/// A party. It agrees, unless the rig has a veto of it.
#[derive(Clone, Debug)]
pub(crate) struct Member {
    pub(crate) name: &'static str,
    pub(crate) level: i32,
    pub(crate) id: u64,
    pub(crate) departed: Rc<Cell<bool>>,
}

impl Party for Member {
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
        true
    }
    fn heard_of(&self, _: Processor) -> bool {
        true
    }
}

pub(crate) struct Rig {
    pub(crate) registry: Registry<Member>,
    pub(crate) set: ActiveSet,
    pub(crate) journal: Vec<String>,
    vetoes: BTreeMap<(&'static str, State, u32), Status>,
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
        let set = ActiveSet::first(&ids(active), maximum).expect("a first set");
        Self { registry: Registry::new(16), set, journal: Vec::new(), vetoes: BTreeMap::new() }
    }

    /// Registers parties at level 0.
    pub(crate) fn with(mut self, names: &[&'static str]) -> Self {
        names.iter().for_each(|name| self.join(name));
        self
    }

    pub(crate) fn join(&mut self, name: &'static str) {
        let id = self.registry.parties().len() as u64 + 1;
        self.registry.insert(Member { name, level: 0, id, departed: Rc::default() });
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

    /// These have left without a remove: the set loses them, and the parties are told.
    pub(crate) fn vanish(&mut self, gone: &[u32]) -> Transaction {
        let (set, lost) = self.set.lose(&ids(gone)).expect("one of them is active");
        self.journal.push(published(&set));
        self.set = set;
        self.run(Transaction::vanished(&self.set, &lost))
    }

    /// Runs a transaction over all registered parties.
    pub(crate) fn run(&mut self, mut transaction: Transaction) -> Transaction {
        let mut parties = self.registry.parties().to_vec();
        let departures = parties.iter().any(Party::departed);
        loop {
            match transaction.step() {
                Step::Publish => {
                    self.set = transaction.publish(&self.set);
                    self.journal.push(published(&self.set));
                }
                Step::Call(_) => {
                    transaction.call(
                        &mut parties,
                        || departures,
                        |member, notice| self.told(member.name, notice),
                    );
                }
                Step::Start(p) => {
                    self.journal.push(format!("start {}", p.id));
                    transaction.acted(Ok(()));
                }
                Step::Stop(p) => {
                    self.journal.push(format!("stop {}", p.id));
                    transaction.acted(Ok(()));
                }
                Step::Done => return transaction,
            }
        }
    }

    fn told(&mut self, name: &'static str, notice: &Notice) -> Result<(), Veto> {
        let (state, id) = (notice.state(), notice.processor().id.0);
        let surprise = if notice.is_surprise() { " surprise" } else { "" };
        self.journal.push(format!("{name} {state} {id}{surprise}"));
        let veto = self.vetoes.get(&(name, state, id));
        veto.map_or(Ok(()), |status| Err(Veto::new(*status, "as the test says")))
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
