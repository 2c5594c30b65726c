//! The state of the model: what runs, the partition, the agents' processes, and what is on its way between them.

use std::collections::{BTreeMap, BTreeSet};

use hotadd_core::{
    ActiveSet, Agent, Epoch, HardwareId, Notice, PartyId, Processor, ProcessorIndex, Standing,
    State,
};

use crate::violation::Violation;

/// The state of everything at one moment.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct World {
    /// The hardware ids of the processors that run. They outlive the partition.
    pub(crate) running: BTreeSet<u32>,
    /// Those of them that were switched on by hand and that the current partition did not find at its start.
    pub(crate) by_hand: BTreeSet<u32>,
    /// The partition's process, unless it is down.
    pub(crate) partition: Option<Partition>,
    pub(crate) sides: Vec<Side>,
    pub(crate) connections: BTreeMap<ConnectionId, Connection>,
    /// The optional actions that may still happen.
    pub(crate) budget: Budget,
    /// The first rule that was broken on the way here.
    pub(crate) violation: Option<Violation>,
}

/// How often each optional action may happen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Budget {
    pub(crate) adds: u8,
    pub(crate) removals: u8,
    pub(crate) vetoes: u8,
    /// The platform refuses to start or stop a processor.
    pub(crate) platform: u8,
    /// A connection is lost.
    pub(crate) losses: u8,
    /// The process of an agent ends.
    pub(crate) agent_crashes: u8,
    pub(crate) partition_crashes: u8,
    pub(crate) timeouts: u8,
    /// An agent that is not registered gives up for good.
    pub(crate) give_ups: u8,
    /// A processor is switched on or off by hand.
    pub(crate) switches: u8,
}

/// A set, in a form that can be compared.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct View {
    pub(crate) epoch: Epoch,
    pub(crate) known: Vec<(HardwareId, Standing)>,
    pub(crate) proposed: Vec<Processor>,
}

/// How many different processors the partition can have.
const MAXIMUM: u32 = 8;

impl View {
    pub(crate) fn of(set: &ActiveSet) -> Self {
        Self {
            epoch: set.epoch(),
            known: set.known().map(|(p, standing)| (p.id, standing)).collect(),
            proposed: set.proposed().to_vec(),
        }
    }

    /// The set that a partition finds when it starts now.
    pub(crate) fn found(running: &BTreeSet<u32>) -> Self {
        let ids: Vec<HardwareId> = running.iter().copied().map(HardwareId).collect();
        Self::of(&ActiveSet::first(&ids, MAXIMUM).expect("ids differ"))
    }

    pub(crate) fn set(&self) -> ActiveSet {
        let known = self.known.iter().copied();
        ActiveSet::assemble(self.epoch, MAXIMUM, known, self.proposed.iter().copied())
            .expect("it was a set")
    }

    /// Every known processor, in the order of the indexes.
    fn processors(&self) -> impl Iterator<Item = (Processor, Standing)> + '_ {
        let index = |at: usize| ProcessorIndex::new(at as u32).expect("it is below the maximum");
        let numbered = self.known.iter().enumerate();
        numbered.map(move |(at, (id, how))| (Processor { index: index(at), id: *id }, *how))
    }

    pub(crate) fn active(&self) -> BTreeSet<Processor> {
        self.processors().filter(|(_, how)| *how != Standing::Gone).map(|(p, _)| p).collect()
    }

    /// The active ones that joined without agreement (Q3).
    pub(crate) fn unagreed(&self) -> BTreeSet<Processor> {
        self.processors().filter(|(_, how)| *how == Standing::Unagreed).map(|(p, _)| p).collect()
    }

    /// How many are active.
    pub(crate) fn count(&self) -> usize {
        self.known.iter().filter(|(_, how)| *how != Standing::Gone).count()
    }

    /// Whether this processor is active.
    pub(crate) fn is_active(&self, id: HardwareId) -> bool {
        self.known.iter().any(|(known, how)| *known == id && *how != Standing::Gone)
    }

    /// Whether this processor is active and agreed.
    pub(crate) fn is_agreed(&self, processor: Processor) -> bool {
        self.processors().any(|known| known == (processor, Standing::Active))
    }
}

/// A partition's process.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Partition {
    /// The set that queries see.
    pub(crate) view: View,
    /// The registered members, in the order of registration.
    pub(crate) members: Vec<Member>,
    /// Register calls that wait for their turn.
    pub(crate) waiting: Vec<Member>,
    pub(crate) job: Option<Job>,
    /// What looks have found and the parties have not been told yet (Q4).
    pub(crate) untold: Vec<Untold>,
    /// The agents that the operator named (L4).
    pub(crate) named: BTreeSet<usize>,
    pub(crate) next_party: u64,
}

/// A change that no party was asked about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Untold {
    /// It left (X2).
    Left(Processor),
    /// It joined without agreement (Q3).
    Came(Processor),
}

/// What the partition knows of a party. `life` and `had` are what the properties need in addition.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Member {
    pub(crate) id: PartyId,
    pub(crate) connection: ConnectionId,
    pub(crate) spec: Spec,
    /// It registers with a replay.
    pub(crate) replay: bool,
    /// The partition has noticed that its connection is gone.
    pub(crate) lost: bool,
    /// Which life of the agent's process this is.
    pub(crate) life: u8,
    /// The processors that were active when it registered and have not left since.
    pub(crate) had: BTreeSet<Processor>,
    /// The active processors that it was not told of (X4).
    pub(crate) unheard: BTreeSet<Processor>,
}

/// A call, which its answer names. Two calls that could be confused never have the same key.
pub(crate) type Key = (PartyId, State, Processor);

/// The transaction under way.
///
/// [`Transaction`](hotadd_core::Transaction) is run again from its beginning at every step, with the answers so far.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Job {
    pub(crate) kind: Kind,
    /// The set at its beginning.
    pub(crate) base: View,
    /// The sets before each of its publications.
    pub(crate) published: Vec<View>,
    /// The processor that is being added was switched on by hand (Q4).
    pub(crate) touched: bool,
    /// The calls that were sent.
    pub(crate) sent: BTreeSet<Key>,
    pub(crate) answers: BTreeMap<Key, Answer>,
    /// The platform is to start (or stop) this one.
    pub(crate) acting: Option<Processor>,
    /// Whether the platform succeeded, for each time that it was asked.
    pub(crate) acted: Vec<bool>,
    /// The platform has acted, and the partition has not continued yet.
    pub(crate) going: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    Add(HardwareId),
    Remove(HardwareId),
    Replay(Member),
    Vanished(Processor),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Answer {
    Agreed,
    Vetoed,
    /// No answer in time, or the connection is gone (L3).
    Crashed,
}

/// The connection of an agent: which agent, and which of its connections.
pub(crate) type ConnectionId = (usize, u8);

/// A connection, or what is left of it. Kept until neither side has it open.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Connection {
    /// Whatever is sent from now on is lost. Earlier messages arrive until the receiver notices.
    pub(crate) broken: bool,
    /// The partition has not noticed that it is broken.
    pub(crate) served: bool,
    pub(crate) up: Vec<Up>,
    pub(crate) down: Vec<Down>,
    /// Replies that other threads of the partition have not sent yet. Calls and other replies can overtake them.
    pub(crate) replies: Vec<Down>,
}

/// From an agent to the partition.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Up {
    /// Whether it asks for a replay.
    Register(bool),
    Answer(Key, bool),
}

/// From the partition to an agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Down {
    Call(PartyId, Notice),
    /// Register has succeeded.
    Registered(PartyId, Epoch),
    /// Register has failed.
    Refused,
    Deregistered(PartyId),
}

/// How an agent registers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Spec {
    pub(crate) without_replay: bool,
    pub(crate) hears_removal: bool,
    pub(crate) level: i32,
    /// Whether the operator named it. Nothing is added without it (L4).
    pub(crate) named: bool,
}

impl Spec {
    pub(crate) fn agent(self) -> Agent {
        let agent = Agent::new();
        let agent = if self.without_replay { agent.without_replay() } else { agent };
        if self.hears_removal { agent.hearing_removals() } else { agent }
    }
}

/// The process of an agent with its driver.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Side {
    pub(crate) spec: Spec,
    pub(crate) agent: Agent,
    pub(crate) standing: Registration,
    /// How many connections it has had, and whether it believes that the latest one works.
    pub(crate) connections: u8,
    pub(crate) connected: bool,
    /// The notice that the driver is deciding on.
    pub(crate) asked: Option<(PartyId, Notice)>,
    /// A party that was deregistered before the reply to Register arrived.
    pub(crate) gone: Option<PartyId>,
    /// What the driver was told.
    pub(crate) told: BTreeMap<Processor, Told>,
    pub(crate) life: u8,
}

/// The registration as an agent's process sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Registration {
    Not,
    Pending,
    Registered(PartyId),
    /// For good.
    GivenUp,
}

/// What a driver was last told of a processor, by its own account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Told {
    /// AddStart, and it agreed. `ran`: the processor has run since, at least for a while. `replay`: it was
    /// part of a replay (Q5).
    AddStart { ran: bool, replay: bool },
    /// AddComplete. `left`: the processor has stopped since, whether or not the driver knows.
    AddComplete { left: bool },
    /// RemoveStart, and it agreed.
    RemoveStart,
}

impl Side {
    pub(crate) fn new(spec: Spec, connections: u8, life: u8) -> Self {
        Self {
            spec,
            agent: spec.agent(),
            standing: Registration::Not,
            connections,
            connected: false,
            asked: None,
            gone: None,
            told: BTreeMap::new(),
            life,
        }
    }
}
