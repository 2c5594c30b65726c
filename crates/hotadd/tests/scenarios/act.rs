//! Playing a scenario: one [`Play`] has a stage, a cast and a journal in which processors go by their ordinals.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use hotadd::{
    Batch, Driver, Errno, Error, HardwareId, Notice, Registration, Removal, State, Status, Veto,
};

use crate::Stage;
use crate::scenario::{Act, Role, Scenario};

type Journal = Arc<Mutex<Vec<String>>>;

/// A driver as the table describes it.
struct Actor {
    role: Role,
    ids: Arc<[HardwareId]>,
    journal: Journal,
}

fn ordinal(ids: &[HardwareId], id: HardwareId) -> String {
    ids.iter().position(|known| *known == id).map_or_else(|| format!("id {id}"), |n| n.to_string())
}

impl Actor {
    fn told(&self, notice: &Notice) -> Result<(), Veto> {
        let processor = ordinal(&self.ids, notice.processor().id);
        let mut line = format!("{} {} {processor}", self.role.name, notice.state());
        if notice.status() != Status::SUCCESS {
            line += &format!(" {:?}", notice.status());
        }
        if notice.is_surprise() {
            line += " surprise";
        }
        self.journal.lock().expect("nobody panics here").push(line);
        let refuses =
            |(state, n): &(State, u32)| *state == notice.state() && processor == n.to_string();
        if self.role.crashes.iter().any(refuses) {
            std::panic::resume_unwind(Box::new("as the table says"));
        }
        if self.role.refuses.iter().any(refuses) {
            return Err(Veto::new(Status::INSUFFICIENT_RESOURCES, "as the table says"));
        }
        Ok(())
    }
}

impl Driver for Actor {
    fn add_start(&mut self, notice: &Notice) -> Result<(), Veto> {
        self.told(notice)
    }
    fn add_complete(&mut self, notice: &Notice) {
        let _ = self.told(notice);
    }
    fn add_failure(&mut self, notice: &Notice) {
        let _ = self.told(notice);
    }
    fn removal(&mut self) -> Option<&mut dyn Removal> {
        if self.role.removal { Some(self) } else { None }
    }
}

impl Removal for Actor {
    fn remove_start(&mut self, notice: &Notice) -> Result<(), Veto> {
        self.told(notice)
    }
    fn remove_complete(&mut self, notice: &Notice) {
        let _ = self.told(notice);
    }
    fn remove_failure(&mut self, notice: &Notice) {
        let _ = self.told(notice);
    }
}

pub(crate) struct Play<'s> {
    stage: Stage,
    scenario: &'s Scenario,
    ids: Arc<[HardwareId]>,
    journal: Journal,
    cast: BTreeMap<&'static str, Registration>,
}

impl<'s> Play<'s> {
    pub(crate) fn new(stage: Stage, scenario: &'s Scenario) -> Self {
        let ids = Arc::from(stage.ids.as_slice());
        Self { stage, scenario, ids, journal: Journal::default(), cast: BTreeMap::new() }
    }

    /// Plays all acts, and gives the journal: every call, the outcome of every act, and the active set at the end.
    pub(crate) fn run(mut self) -> Vec<String> {
        for act in self.scenario.acts {
            self.act(act);
        }
        let active = self.stage.partition.active();
        let listed: String =
            active.iter().map(|p| format!(" {}", ordinal(&self.ids, p.id))).collect();
        self.note(format!("= active{listed}"));
        if let Some(witness) = &self.stage.witness {
            assert_eq!(witness.may_run_on(), active.iter().map(|p| p.id).collect());
        }
        drop(self.cast);
        let journal = self.journal.lock().expect("nobody panics here");
        journal.clone()
    }

    fn note(&self, line: String) {
        self.journal.lock().expect("nobody panics here").push(line);
    }

    /// `-> joined 2`, `-> left 2`, or who or what refused and why.
    fn outcome(&self, verb: &str, id: HardwareId, result: Result<(), Error>) {
        let processor = ordinal(&self.ids, id);
        self.note(match result {
            Ok(()) => format!("-> {verb} {processor}"),
            Err(error) => {
                let culprit = error.party().map_or("partition", |p| p.name.as_str());
                format!("-> {processor}: {culprit} {:?} {}", error.status(), error.clause())
            }
        });
    }

    fn id(&self, ordinal: u32) -> HardwareId {
        // One that the stage does not have is one that no hardware has.
        self.stage.ids.get(ordinal as usize).copied().unwrap_or(HardwareId(60_000 + ordinal))
    }

    fn act(&mut self, act: &Act) {
        let partition = &self.stage.partition;
        match *act {
            Act::Register(name) => self.register(name, false),
            Act::RegisterLater(name) => self.register(name, true),
            Act::Deregister(name) => {
                let registration = self.cast.remove(name).expect("the table registers it first");
                let answer = registration.deregister().map_err(|e| e.status());
                self.note(format!("-> {name} gone {answer:?}"));
            }
            Act::Add(n) => {
                let result = partition.add(self.id(n)).map(|_| ());
                self.outcome("joined", self.id(n), result);
            }
            Act::Remove(n) => {
                let result = partition.remove(self.id(n)).map(|_| ());
                self.outcome("left", self.id(n), result);
            }
            Act::Rehearse(n) => match partition.rehearse(self.id(n)) {
                Ok(rehearsal) => {
                    let say = |a: &hotadd::Answer| {
                        let word = if a.answer.is_ok() { "yes" } else { "no" };
                        format!(" {} {word}", a.party)
                    };
                    let said: String = rehearsal.answers.iter().map(say).collect();
                    self.note(format!("-> rehearsed {n}:{said}"));
                }
                Err(error) => self.outcome("rehearsed", self.id(n), Err(error)),
            },
            Act::Each(all) => self.batch(all, Batch::Each),
            Act::Atomic(all) => self.batch(all, Batch::Atomic),
            Act::FailStart(n) => self.fault(|h, id| h.fail_start(id, Errno::EIO), n),
            Act::FailStop(n) => self.fault(|h, id| h.fail_stop(id, Errno::EBUSY), n),
            Act::Vanish(n) => self.fault(hotadd::hardware::Simulated::vanish, n),
            Act::Intrude(n) => self.fault(hotadd::hardware::Simulated::intrude, n),
        }
    }

    fn register(&mut self, name: &'static str, later: bool) {
        let role = self.scenario.cast.iter().find(|role| role.name == name);
        let role = *role.expect("the table has a role of that name");
        let party = self.stage.partition.registration(name).level(role.level);
        let party = if later { party.without_replay() } else { party };
        let (ids, journal) = (Arc::clone(&self.ids), Arc::clone(&self.journal));
        match party.register(Actor { role, ids, journal }) {
            Ok(registration) => {
                self.note(format!("-> {name} registered"));
                self.cast.insert(name, registration);
            }
            Err(error) => self.note(format!("-> {name} not registered: {:?}", error.status())),
        }
    }

    fn batch(&self, all: &[u32], batch: Batch) {
        let ids: Vec<_> = all.iter().map(|n| self.id(*n)).collect();
        for (id, result) in self.stage.partition.add_batch(&ids, batch) {
            self.outcome("joined", id, result.map(|_| ()));
        }
    }

    fn fault(&self, make: impl Fn(&hotadd::hardware::Simulated, HardwareId), n: u32) {
        let hardware = self.stage.faults.as_ref();
        make(hardware.expect("a stage without faults skips this scenario"), self.id(n));
    }
}
