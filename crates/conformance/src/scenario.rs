//! The parts of a scenario: its parties, its commands, and what it needs of a partition.

use hotadd_core::{State, Status};

/// What a party does in one call, after the call is in the journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Act {
    /// Answers with this status. In a state that cannot veto, the answer must change nothing (A6).
    Refuse(Status),
    /// Unwinds (L3).
    Crash,
    /// Deregisters the party of this name, possibly itself (D3).
    Deregister(String),
    /// Makes a request from inside the call, which must be refused (D3).
    Request(Box<Command>),
    /// Has something happen to the hardware meanwhile (Q4, X2).
    Fault(Fault),
}

/// Something that happens to the hardware.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Starting this processor fails with EIO from now on.
    Start(u32),
    /// Stopping this processor fails with EBUSY from now on.
    Stop(u32),
    /// Starting and stopping this processor works again.
    Heal(u32),
    /// The processor stops without being asked for (X2).
    Vanish(u32),
    /// Somebody else starts the processor (Q3).
    Intrude(u32),
}

/// One command of a scenario.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Registers parties in this order, with or without the replay (R2, R3).
    Register(Vec<String>, bool),
    /// Deregisters a party.
    Deregister(String),
    /// Adds one processor.
    Add(u32),
    /// Adds several, each in a transaction of its own (A9).
    AddEach(Vec<u32>),
    /// Adds several in one transaction (A9).
    AddTogether(Vec<u32>),
    /// Removes one processor.
    Remove(u32),
    /// Rehearses an add (A10).
    Rehearse(u32),
    /// Rehearses a removal (A10).
    RehearseRemoval(u32),
    /// From now on the journal has the partition's events, too.
    Observe,
    /// Something happens to the hardware.
    Fault(Fault),
}

/// A party.
#[derive(Clone, Debug)]
pub struct Party {
    /// Its name.
    pub name: String,
    /// Its level.
    pub level: i32,
    /// Whether it asked for removal notices.
    pub removal: bool,
    /// Whether each of its lines says what queries answer inside the call.
    pub looks: bool,
    /// What it does, by state and processor.
    pub acts: Vec<(State, u32, Act)>,
}

/// Something that not every partition can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// This many processors, active and spare ones together.
    Processors(u32),
    /// A platform whose starts and stops fail on demand.
    Failures,
    /// Processors that vanish, or that somebody else starts, on demand.
    Surprises,
    /// The same from inside a call.
    SurprisesInside,
    /// Events.
    Events,
    /// Requests from inside a call, and their refusal.
    Requests,
}

/// One scenario of the table.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// The file it stands in.
    pub file: &'static str,
    /// The clauses and the promise, as the first line has them.
    pub title: String,
    /// Its other lines before the first command, as they are written.
    pub head: Vec<String>,
    /// How many processors are active at the beginning.
    pub active: u32,
    /// How many more can be added.
    pub spare: u32,
    /// The parties.
    pub parties: Vec<Party>,
    /// The commands, as they are written and as they are read, each with the lines that must follow.
    pub steps: Vec<(String, Command, Vec<String>)>,
    /// The active set at the end.
    pub end: String,
}

impl Scenario {
    /// The clauses it shows.
    pub fn clauses(&self) -> impl Iterator<Item = &str> {
        self.title.split_once(':').map_or("", |(clauses, _)| clauses).split_whitespace()
    }

    /// What it needs of a partition.
    #[must_use]
    pub fn needs(&self) -> Vec<Need> {
        let mut needs = vec![Need::Processors(self.active + self.spare)];
        for (_, command, _) in &self.steps {
            match command {
                Command::Observe => needs.push(Need::Events),
                Command::Fault(Fault::Vanish(_) | Fault::Intrude(_)) => needs.push(Need::Surprises),
                Command::Fault(_) => needs.push(Need::Failures),
                _ => {}
            }
        }
        for (_, _, act) in self.parties.iter().flat_map(|party| &party.acts) {
            match act {
                Act::Request(_) => needs.push(Need::Requests),
                Act::Fault(Fault::Vanish(_) | Fault::Intrude(_)) => {
                    needs.push(Need::SurprisesInside);
                }
                Act::Fault(_) => needs.push(Need::Failures),
                _ => {}
            }
        }
        needs
    }
}
