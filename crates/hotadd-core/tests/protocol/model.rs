//! The model: what can happen next, and what comes of it.

use std::sync::Arc;

use hotadd_core::HardwareId;
use stateright::{Model, Property};

use crate::properties;
use crate::world::{Budget, Key, Kind, Line, LineId, Registration, Side, Spec, World};
use crate::wrong::Sights;

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
    /// Those that somebody may switch by hand.
    pub(crate) switchable: Vec<u32>,
    pub(crate) budget: Budget,
    pub(crate) sights: Arc<Sights>,
}

/// Something that can happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    Add(u32),
    Remove(u32),
    /// The platform starts or stops the processor that it is to, or fails to.
    Act(bool),
    /// The partition does not have it started, although all agreed.
    Object,
    /// The partition goes on after that.
    GoOn,
    /// Somebody switches a processor on or off by hand.
    Switch(u32),
    /// The next message of an agent reaches the partition.
    Up(LineId),
    /// The next message of the partition reaches an agent.
    Down(usize),
    /// A reply of the partition is sent.
    Reply(LineId, usize),
    /// A driver answers a Start.
    Answer(usize, bool),
    Connect(usize),
    GiveUp(usize),
    Break(LineId),
    AgentNotices(usize),
    PartitionNotices(LineId),
    Timeout(Key),
    CrashAgent(usize),
    CrashPartition,
    RestartPartition,
}

impl Action {
    /// Whether this need not happen. All else does, sooner or later.
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
    /// Whether nothing is left that must happen.
    pub(crate) fn is_quiet(&self, world: &World) -> bool {
        let sends = |line: &Line| !line.up.is_empty() || !line.replies.is_empty();
        if world.wrong.is_some() || world.lines.values().any(sends) {
            // By far the most worlds, and what makes a check of all their actions worth avoiding.
            return false;
        }
        let mut actions = Vec::new();
        self.actions(world, &mut actions);
        actions.iter().all(|action| action.is_optional())
    }

    /// Does what must happen, one after the other, until there is nothing left.
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
            lines: std::collections::BTreeMap::new(),
            budget: Budget::default(),
            wrong: None,
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
        if world.wrong.is_some() || properties::goes_round(world) {
            // It has been found; what comes of it is of no interest.
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
                        if partition.objects(&self.sights) {
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
            // One that nobody switches goes on running.
            may(budget.switches, Action::Switch(id));
        }
        for (&id, line) in &world.lines {
            if line.served {
                may(u8::from(!line.up.is_empty()), Action::Up(id));
                for which in 0..line.replies.len() {
                    may(1, Action::Reply(id, which));
                }
                may(line.broken.into(), Action::PartitionNotices(id));
            }
            may(budget.losses * u8::from(!line.broken), Action::Break(id));
        }
        for (at, side) in world.sides.iter().enumerate() {
            let line = world.lines.get(&(at, side.connections)).filter(|_| side.connected);
            if side.asked.is_some() {
                may(1, Action::Answer(at, true));
                may(budget.vetoes, Action::Answer(at, false));
            } else {
                may(u8::from(line.is_some_and(|line| !line.down.is_empty())), Action::Down(at));
                if side.standing == Registration::Not {
                    let up = world.partition.is_some() || side.connected;
                    may(up.into(), Action::Connect(at));
                    may(budget.give_ups, Action::GiveUp(at));
                }
            }
            may(u8::from(line.is_some_and(|line| line.broken)), Action::AgentNotices(at));
            let lives = side.standing != Registration::GivenUp;
            may(budget.agent_crashes * u8::from(lives), Action::CrashAgent(at));
        }
    }

    fn next_state(&self, world: &World, action: Action) -> Option<World> {
        let mut world = world.clone();
        world.take(action, &self.sights);
        Some(world)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        properties::all()
    }
}
