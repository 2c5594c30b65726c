//! The model: which actions are possible next, and their results.

use std::sync::Arc;

use hotadd_core::HardwareId;
use stateright::{Model, Property};

use crate::properties;
use crate::violation::Events;
use crate::world::{Budget, Connection, ConnectionId, Key, Kind, Registration, Side, Spec, World};

/// A partition, its agents, and what may happen to them.
#[derive(Clone, Debug)]
pub(crate) struct Protocol {
    pub(crate) name: &'static str,
    pub(crate) agents: Vec<Spec>,
    /// How many of them are registered at the beginning.
    pub(crate) registered: usize,
    /// The hardware ids of the processors that run at the beginning.
    pub(crate) running: Vec<u32>,
    pub(crate) addable: Vec<u32>,
    /// The processors that may be switched by hand.
    pub(crate) switchable: Vec<u32>,
    pub(crate) budget: Budget,
    pub(crate) events: Arc<Events>,
}

/// Something that can happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    Add(u32),
    Remove(u32),
    /// The platform starts or stops the requested processor, or fails to.
    Act(bool),
    /// The partition does not have it started, although all parties agreed.
    Object,
    /// The partition continues after that.
    GoOn,
    /// A processor is switched on or off by hand.
    Switch(u32),
    /// The next message of an agent reaches the partition.
    Up(ConnectionId),
    /// The next message of the partition reaches an agent.
    Down(usize),
    /// A reply of the partition is sent.
    Reply(ConnectionId, usize),
    /// A driver answers a Start.
    Answer(usize, bool),
    Connect(usize),
    GiveUp(usize),
    Break(ConnectionId),
    AgentNotices(usize),
    PartitionNotices(ConnectionId),
    Timeout(Key),
    CrashAgent(usize),
    CrashPartition,
    RestartPartition,
}

impl Action {
    /// Whether this action need not happen. Every other action happens sooner or later.
    fn is_optional(self) -> bool {
        match self {
            Self::Add(_)
            | Self::Remove(_)
            | Self::Switch(_)
            | Self::Break(_)
            | Self::GiveUp(_)
            | Self::Timeout(_)
            | Self::CrashAgent(_)
            | Self::CrashPartition => true,
            Self::Act(ok) | Self::Answer(_, ok) => !ok,
            _ => false,
        }
    }
}

impl Protocol {
    /// Whether no mandatory action is left.
    pub(crate) fn is_quiet(&self, world: &World) -> bool {
        let sends =
            |connection: &Connection| !connection.up.is_empty() || !connection.replies.is_empty();
        if world.violation.is_some() || world.connections.values().any(sends) {
            // This is true of most worlds. The test is cheap and avoids enumerating all their actions.
            return false;
        }
        let mut actions = Vec::new();
        self.actions(world, &mut actions);
        actions.iter().all(|action| action.is_optional())
    }

    /// Performs the mandatory actions one after the other until none is left.
    fn calm(&self, mut world: World) -> World {
        loop {
            let mut actions = Vec::new();
            self.actions(&world, &mut actions);
            let Some(action) = actions.into_iter().find(|action| !action.is_optional()) else {
                return world;
            };
            world = self.next_state(&world, action).expect("every action leads somewhere");
        }
    }
}

impl Model for Protocol {
    type State = World;
    type Action = Action;

    fn init_states(&self) -> Vec<World> {
        let running = self.running.iter().copied().collect();
        let mut world = World {
            partition: None,
            running,
            by_hand: std::collections::BTreeSet::new(),
            sides: Vec::new(),
            connections: std::collections::BTreeMap::new(),
            budget: Budget::default(),
            violation: None,
        };
        for (at, spec) in self.agents.iter().enumerate() {
            if at == self.registered {
                world = self.calm(world);
            }
            world.sides.push(Side::new(*spec, 0, 0));
            if at == 0 {
                world.restart();
            }
            if spec.named
                && let Some(partition) = &mut world.partition
            {
                partition.named.insert(at);
            }
        }
        if self.registered == self.agents.len() {
            world = self.calm(world);
        }
        world.budget = self.budget;
        vec![world]
    }

    fn actions(&self, world: &World, actions: &mut Vec<Action>) {
        if world.violation.is_some() || properties::registers_without_end(world) {
            // The violation has been found; its consequences do not matter.
            return;
        }
        let budget = world.budget;
        let mut may = |left: u8, action| {
            if left > 0 {
                actions.push(action);
            }
        };
        match &world.partition {
            None => may(1, Action::RestartPartition),
            Some(partition) => {
                for &id in &self.addable {
                    let adds = partition.admits(&Kind::Add(HardwareId(id)));
                    may(budget.adds * u8::from(adds), Action::Add(id));
                    let removes = partition.admits(&Kind::Remove(HardwareId(id)));
                    may(budget.removals * u8::from(removes), Action::Remove(id));
                }
                match &partition.job {
                    Some(job) if job.acting.is_some() => {
                        if partition.objects(&self.events) {
                            may(1, Action::Object);
                        } else {
                            may(1, Action::Act(true));
                            let fails = budget.platform * u8::from(!partition.is_gone());
                            may(fails, Action::Act(false));
                        }
                    }
                    Some(job) => may(job.going.into(), Action::GoOn),
                    None => {}
                }
                for key in partition.unanswered() {
                    may(budget.timeouts, Action::Timeout(key));
                }
                may(budget.partition_crashes, Action::CrashPartition);
            }
        }
        for &id in &self.switchable {
            // A processor that is not switched keeps its state.
            may(budget.switches, Action::Switch(id));
        }
        for (&id, connection) in &world.connections {
            if connection.served {
                may(u8::from(!connection.up.is_empty()), Action::Up(id));
                for which in 0..connection.replies.len() {
                    may(1, Action::Reply(id, which));
                }
                may(connection.broken.into(), Action::PartitionNotices(id));
            }
            may(budget.losses * u8::from(!connection.broken), Action::Break(id));
        }
        for (at, side) in world.sides.iter().enumerate() {
            let connection =
                world.connections.get(&(at, side.connections)).filter(|_| side.connected);
            if side.asked.is_some() {
                may(1, Action::Answer(at, true));
                may(budget.vetoes, Action::Answer(at, false));
            } else {
                may(
                    u8::from(connection.is_some_and(|connection| !connection.down.is_empty())),
                    Action::Down(at),
                );
                if side.standing == Registration::Not {
                    let up = world.partition.is_some() || side.connected;
                    may(up.into(), Action::Connect(at));
                    may(budget.give_ups, Action::GiveUp(at));
                }
            }
            may(
                u8::from(connection.is_some_and(|connection| connection.broken)),
                Action::AgentNotices(at),
            );
            let lives = side.standing != Registration::GivenUp;
            may(budget.agent_crashes * u8::from(lives), Action::CrashAgent(at));
        }
    }

    fn next_state(&self, world: &World, action: Action) -> Option<World> {
        let mut world = world.clone();
        world.take(action, &self.events);
        Some(world)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        properties::all()
    }
}
