//! A [`Partition`] as the subject of scenarios: on any hardware, with parties in this process or behind connections of their own.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex};

use hotadd::{
    ActiveSet, Batch, Driver, Error, Event, EventKind, HardwareId, Notice, Partition, Registration,
    Rehearsal, Removal, Veto,
};

use crate::scenario::{Command, Fault, Need};
use crate::script::{Effects, Journal, Refusal, Script, Subject};

/// How a kind of partition is made for scenarios.
pub struct Setup {
    /// The partition that executes the commands.
    pub partition: Partition,
    /// Gives the partition with which the next party registers: the same one, or a connection to it.
    pub connect: Box<dyn Fn() -> Partition + Send + Sync>,
    /// What it can do besides having processors.
    pub offers: Vec<Need>,
    /// The number of processors it can have.
    pub processors: u32,
    /// Has something happen to the hardware, and returns when the partition has dealt with it.
    pub fault: Arc<dyn Fn(Fault, HardwareId) + Send + Sync>,
    /// Compares the active set with the machine.
    pub check: Box<dyn Fn(&ActiveSet)>,
    /// Whether each party gets a level of its own, ordered by the scenario's levels, then by registration. Parties in other processes
    /// that share a level are asked all at once, and the order of their lines would not be known.
    pub apart: bool,
}

impl fmt::Debug for Setup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Setup").field("partition", &self.partition).finish_non_exhaustive()
    }
}

type Registrations = Arc<Mutex<BTreeMap<String, Registration>>>;

/// A partition that scenarios run on.
#[derive(Debug)]
pub struct OnPartition {
    setup: Setup,
    registrations: Registrations,
    registered: i32,
}

impl OnPartition {
    /// For one scenario.
    #[must_use]
    pub fn new(setup: Setup) -> Self {
        Self { setup, registrations: Registrations::default(), registered: 0 }
    }
}

/// The parties hold the map in which their registrations are, and would keep the partition for ever.
impl Drop for OnPartition {
    fn drop(&mut self) {
        // Out of the lock first: a party that is dropped may lock the map.
        let all = std::mem::take(&mut *self.registrations.lock().expect("no holder panics"));
        drop(all);
    }
}

/// Each party and whether it agreed.
fn answers(rehearsal: Rehearsal) -> Vec<(String, bool)> {
    rehearsal.answers.into_iter().map(|a| (a.party.name, a.answer.is_ok())).collect()
}

fn refusal(error: &Error) -> Refusal {
    let by = match error {
        Error::Vetoed { party, .. } | Error::NotJoining { party, .. } => &party.name,
        _ => "partition",
    };
    Refusal { by: by.to_owned(), status: error.status(), clause: error.clause() }
}

/// Takes the registration out of the map before it is deregistered: callbacks lock the map.
fn deregister(registrations: &Registrations, name: &str) -> Option<Result<(), Error>> {
    let registration = registrations.lock().expect("no holder panics").remove(name)?;
    Some(registration.deregister().map(drop))
}

impl Subject for OnPartition {
    fn offers(&self, need: Need) -> bool {
        match need {
            Need::Processors(n) => n <= self.setup.processors,
            _ => self.setup.offers.contains(&need),
        }
    }

    fn register(&mut self, script: Script, replay: bool) -> Result<(), Refusal> {
        let partition = (self.setup.connect)();
        self.registered += 1;
        let mut level = script.party.level;
        if self.setup.apart {
            level = level * 100 + self.registered;
        }
        let name = script.party.name.clone();
        let builder = partition.registration(&name).level(level);
        let builder = if replay { builder } else { builder.without_replay() };
        let inside = Inside {
            partition: partition.clone(),
            registrations: Arc::clone(&self.registrations),
            fault: Arc::clone(&self.setup.fault),
            journal: script.journal.clone(),
        };
        let registration =
            builder.register(Actor { script, inside }).map_err(|why| refusal(&why))?;
        self.registrations.lock().expect("no holder panics").insert(name, registration);
        Ok(())
    }

    fn deregister(&mut self, name: &str) -> Result<(), Refusal> {
        let result = deregister(&self.registrations, name);
        result.expect("the scenario registers it first").map_err(|why| refusal(&why))
    }

    fn add(&mut self, ids: &[HardwareId], together: bool) -> Vec<Result<(), Refusal>> {
        if let ([id], false) = (ids, together) {
            return vec![self.setup.partition.add(*id).map(drop).map_err(|why| refusal(&why))];
        }
        let batch = if together { Batch::Atomic } else { Batch::Each };
        let results = self.setup.partition.add_batch(ids, batch).into_iter();
        results.map(|(_, result)| result.map(drop).map_err(|why| refusal(&why))).collect()
    }

    fn remove(&mut self, id: HardwareId) -> Result<(), Refusal> {
        self.setup.partition.remove(id).map(drop).map_err(|why| refusal(&why))
    }

    fn rehearse(&mut self, id: HardwareId) -> Result<Vec<(String, bool)>, Refusal> {
        let rehearsal = self.setup.partition.rehearse(id).map_err(|why| refusal(&why))?;
        Ok(answers(rehearsal))
    }

    fn rehearse_removal(&mut self, id: HardwareId) -> Result<Vec<(String, bool)>, Refusal> {
        let rehearsal = self.setup.partition.rehearse_removal(id);
        Ok(answers(rehearsal.map_err(|why| refusal(&why))?))
    }

    fn observe(&mut self, journal: &Journal) {
        let journal = journal.clone();
        let observe = self.setup.partition.observe(move |event| {
            if let Some(line) = line(event, &journal) {
                journal.note(line);
            }
        });
        observe.expect("no callback is running").detach();
    }

    fn fault(&mut self, fault: Fault, id: HardwareId) {
        (self.setup.fault)(fault, id);
    }

    fn active(&self) -> ActiveSet {
        ActiveSet::clone(&self.setup.partition.active())
    }

    fn check(&self) {
        (self.setup.check)(&self.active());
    }
}

/// `! started 1`, `! refused 1 by b (A3)`. Events that only repeat a call, and those of registrations, have no line.
fn line(event: &Event, journal: &Journal) -> Option<String> {
    use EventKind::{
        AddComplete, AddFailure, AddStart, Calling, Deregistered, Registered, RemoveComplete,
        RemoveFailure, RemoveStart, RemoveVeto, Veto,
    };
    if matches!(
        event.kind,
        Calling
            | AddStart
            | Veto
            | AddComplete
            | AddFailure
            | RemoveStart
            | RemoveVeto
            | RemoveComplete
            | RemoveFailure
            | Registered
            | Deregistered
    ) {
        return None;
    }
    let mut line = format!("! {}", event.kind.name());
    if let Some(id) = event.id {
        line += &format!(" {}", journal.number(id));
    }
    if let Some(party) = &event.party {
        line += &format!(" by {}", party.name);
    }
    if let Some(clause) = event.clause {
        line += &format!(" ({clause})");
    }
    for (holds, word) in [(event.surprise, "surprise"), (!event.agreed, "not agreed")] {
        if holds {
            line += &format!(", {word}");
        }
    }
    Some(line)
}

/// What a party can do from inside a call.
#[derive(Clone)]
struct Inside {
    partition: Partition,
    registrations: Registrations,
    fault: Arc<dyn Fn(Fault, HardwareId) + Send + Sync>,
    journal: Journal,
}

impl Effects for Inside {
    fn deregister(&self, name: &str) {
        if let Some(Err(why)) = deregister(&self.registrations, name) {
            self.journal.note(format!(
                "{name} is not deregistered: {:?} {}",
                why.status(),
                why.clause()
            ));
        }
    }

    fn request(&self, command: &Command) -> Result<(), Refusal> {
        let id = |n: &u32| self.journal.id(*n);
        let batch = |all: &[u32], batch| {
            let ids: Vec<_> = all.iter().map(id).collect();
            let mut results = self.partition.add_batch(&ids, batch).into_iter();
            results.try_for_each(|(_, result)| result.map(drop))
        };
        let result = match command {
            Command::Add(n) => self.partition.add(id(n)).map(drop),
            Command::AddEach(all) => batch(all, Batch::Each),
            Command::AddTogether(all) => batch(all, Batch::Atomic),
            Command::Remove(n) => self.partition.remove(id(n)).map(drop),
            Command::Rehearse(n) => self.partition.rehearse(id(n)).map(drop),
            Command::RehearseRemoval(n) => self.partition.rehearse_removal(id(n)).map(drop),
            Command::Register(names, replay) => {
                let builder = self.partition.registration(&names[0]);
                let builder = if *replay { builder } else { builder.without_replay() };
                builder.register(|_: &Notice| Ok(())).map(drop)
            }
            Command::Observe => self.partition.observe(|_| ()).map(drop),
            Command::Deregister(_) | Command::Fault(_) => {
                panic!("an act of its own, not a request")
            }
        };
        result.map_err(|why| refusal(&why))
    }

    fn fault(&self, fault: Fault) {
        let (Fault::Start(n)
        | Fault::Stop(n)
        | Fault::Heal(n)
        | Fault::Vanish(n)
        | Fault::Intrude(n)) = fault;
        (self.fault)(fault, self.journal.id(n));
    }

    fn active(&self) -> ActiveSet {
        ActiveSet::clone(&self.partition.active())
    }
}

struct Actor {
    script: Script,
    inside: Inside,
}

/// One function hears all states, as a C callback does, so that it can answer where no answer is asked for (A6).
impl Driver for Actor {
    fn add_start(&mut self, notice: &Notice) -> Result<(), Veto> {
        self.notify(notice)
    }

    fn notify(&mut self, notice: &Notice) -> Result<(), Veto> {
        self.script.hear(notice, &self.inside)
    }

    fn removal(&mut self) -> Option<&mut dyn Removal> {
        if self.script.party.removal { Some(self) } else { None }
    }
}

impl Removal for Actor {
    fn remove_start(&mut self, notice: &Notice) -> Result<(), Veto> {
        self.notify(notice)
    }
}
