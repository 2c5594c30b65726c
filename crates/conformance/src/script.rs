//! What a scenario is run on: a [`Subject`]; and the parties that it calls: [`Script`].

use std::panic::resume_unwind;
use std::sync::{Arc, Mutex, PoisonError};

use hotadd_core::{ActiveSet, HardwareId, Notice, Status, Veto};

use crate::scenario::{Act, Command, Fault, Need, Party, Scenario};

/// Why a request was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The party that refused, or `partition`.
    pub by: String,
    /// The status.
    pub status: Status,
    /// The clause.
    pub clause: &'static str,
}

/// A kind of partition, set up for one scenario.
pub trait Subject {
    /// What this kind of partition can do.
    fn offers(&self, need: Need) -> bool;
    /// Registers a party.
    ///
    /// # Errors
    /// Why it is not registered.
    fn register(&mut self, script: Script, replay: bool) -> Result<(), Refusal>;
    /// Deregisters the party of this name.
    ///
    /// # Errors
    /// Why this is refused.
    fn deregister(&mut self, name: &str) -> Result<(), Refusal>;
    /// Adds processors, and says of each what became of it.
    fn add(&mut self, ids: &[HardwareId], together: bool) -> Vec<Result<(), Refusal>>;
    /// Removes a processor.
    ///
    /// # Errors
    /// Why it is not removed.
    fn remove(&mut self, id: HardwareId) -> Result<(), Refusal>;
    /// Rehearses an add, and says of each party whether it agreed.
    ///
    /// # Errors
    /// Why there is no rehearsal.
    fn rehearse(&mut self, id: HardwareId) -> Result<Vec<(String, bool)>, Refusal>;
    /// Rehearses a removal, and says of each party that was asked whether it agreed.
    ///
    /// # Errors
    /// Why there is no rehearsal.
    fn rehearse_removal(&mut self, id: HardwareId) -> Result<Vec<(String, bool)>, Refusal>;
    /// Writes events into the journal from now on.
    fn observe(&mut self, journal: &Journal);
    /// Has something happen to the hardware, and returns when the partition has dealt with it.
    fn fault(&mut self, fault: Fault, id: HardwareId);
    /// The active set.
    fn active(&self) -> ActiveSet;
    /// Called at the end, to compare the set with the machine where this is possible.
    fn check(&self) {}
}

/// Everything that happened in a scenario, in order.
#[derive(Clone, Debug)]
pub struct Journal {
    ids: Arc<[HardwareId]>,
    lines: Arc<Mutex<Vec<String>>>,
}

impl Journal {
    /// An empty journal for processors of these hardware ids.
    pub(crate) fn new(ids: Vec<HardwareId>) -> Self {
        Self { ids: ids.into(), lines: Arc::default() }
    }

    /// Appends a line.
    pub fn note(&self, line: String) {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).push(line);
    }

    /// Takes all lines.
    pub(crate) fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.lines.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The number by which scenarios name this processor.
    #[must_use]
    pub fn number(&self, id: HardwareId) -> String {
        let number = self.ids.iter().position(|known| *known == id);
        number.map_or_else(|| "?".to_owned(), |n| n.to_string())
    }

    /// The hardware id of the processor that scenarios name by this number. A number for which the subject has no processor gives an
    /// id that no hardware has.
    #[must_use]
    pub fn id(&self, number: u32) -> HardwareId {
        self.ids.get(number as usize).copied().unwrap_or(HardwareId(60_000 + number))
    }

    /// The active processors by index, then those that are being added: `0 1! +2`. An exclamation mark says that no party agreed to the
    /// processor (Q3).
    #[must_use]
    pub fn set(&self, set: &ActiveSet) -> String {
        let mark = |index| if set.is_agreed(index) { "" } else { "!" };
        let active = set.iter().map(|p| format!("{}{}", self.number(p.id), mark(p.index)));
        let proposed = set.proposed().iter().map(|p| format!("+{}", self.number(p.id)));
        active.chain(proposed).collect::<Vec<_>>().join(" ")
    }

    /// `-> joined 2`, `-> left 2`, or who refused, with which status, by which clause.
    pub(crate) fn outcome(
        &self,
        verb: &str,
        id: HardwareId,
        result: &Result<(), Refusal>,
    ) -> String {
        match result {
            Ok(()) => format!("{verb} {}", self.number(id)),
            Err(Refusal { by, status, clause }) => {
                format!("{}: {by} {status:?} {clause}", self.number(id))
            }
        }
    }
}

/// What a party can do from inside a call.
pub trait Effects: Send + Sync {
    /// Deregisters the party of this name (D3).
    fn deregister(&self, name: &str);
    /// Makes a request.
    ///
    /// # Errors
    /// Why it is refused.
    fn request(&self, command: &Command) -> Result<(), Refusal>;
    /// Has something happen to the hardware.
    fn fault(&self, fault: Fault);
    /// What queries answer.
    fn active(&self) -> ActiveSet;
}

/// A party of a scenario: it writes down every call, and does what the scenario says.
#[derive(Clone, Debug)]
pub struct Script {
    /// What the scenario says of it.
    pub party: Party,
    /// The scenario's journal.
    pub journal: Journal,
}

impl Script {
    pub(crate) fn new(scenario: &Scenario, name: &str, journal: &Journal) -> Self {
        let party = scenario.parties.iter().find(|party| party.name == name);
        let party = party.unwrap_or_else(|| panic!("{}: there is no party {name}", scenario.title));
        Self { party: party.clone(), journal: journal.clone() }
    }

    /// Is called.
    ///
    /// # Errors
    /// The answer that the scenario has it give.
    pub fn hear(&self, notice: &Notice, effects: &dyn Effects) -> Result<(), Veto> {
        let processor = self.journal.number(notice.processor().id);
        let mut line = format!("{} {} {processor}", self.party.name, notice.state());
        if notice.status() != Status::SUCCESS {
            line += &format!(" {:?}", notice.status());
        }
        for (holds, word) in [(notice.is_surprise(), "surprise"), (notice.is_replay(), "replay")] {
            if holds {
                line += &format!(" ({word})");
            }
        }
        if self.party.looks {
            line += &format!(" sees {}", self.journal.set(&effects.active()));
        }
        self.journal.note(line);
        let now = |(state, number, _): &&(_, u32, Act)| {
            *state == notice.state() && number.to_string() == processor
        };
        for (_, _, act) in self.party.acts.iter().filter(now) {
            match act {
                Act::Refuse(status) => return Err(Veto::new(*status, "as the scenario says")),
                // Not a panic, whose message would be printed.
                Act::Crash => resume_unwind(Box::new("as the scenario says")),
                Act::Deregister(name) => effects.deregister(name),
                Act::Fault(fault) => effects.fault(*fault),
                Act::Request(command) => {
                    let answer = effects.request(command);
                    let answer = answer.map_or_else(
                        |why| format!("{:?} {}", why.status, why.clause),
                        |()| "yes".to_owned(),
                    );
                    self.journal.note(format!("{} is answered {answer}", self.party.name));
                }
            }
        }
        Ok(())
    }
}
