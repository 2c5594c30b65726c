//! The protocol between a partition and drivers in other processes (`org.hotadd.Agent1`), checked in every order in which its
//! messages, faults and answers can come: the real [`Transaction`](hotadd_core::Transaction) on one side, the real
//! [`Agent`](hotadd_core::Agent) on the other, and between them connections that break.
//!
//! Each check is exhaustive within its bounds. It also fails if an expected event never happens, because then
//! it proves nothing.

use std::sync::Arc;
use std::time::Instant;

use stateright::{Checker, Model};

use model::Protocol;
use violation::Event;
use world::{Budget, Spec};

mod looks;
mod model;
mod partition;
mod party;
mod properties;
mod side;
mod step;
mod violation;
mod world;

const PLAIN: Spec = Spec { without_replay: false, hears_removal: false, level: 0, named: false };
const HEARS: Spec = Spec { hears_removal: true, ..PLAIN };
const LATER: Spec = Spec { without_replay: true, ..HEARS };
const NAMED: Spec = Spec { named: true, ..PLAIN };
const NONE: Budget = Budget {
    adds: 0,
    removals: 0,
    vetoes: 0,
    platform: 0,
    losses: 0,
    agent_crashes: 0,
    partition_crashes: 0,
    timeouts: 0,
    give_ups: 0,
    switches: 0,
};

/// Extra faults that only an optimised build has time to explore.
const MORE: u8 = if cfg!(debug_assertions) { 0 } else { 1 };

/// A model in which all agents are registered. Processors 0 and 2 run. Processor 1 can be added; if the
/// partition restarts while 1 runs, 1 gets the index between them.
fn protocol(name: &'static str, agents: &[Spec], budget: Budget) -> Protocol {
    Protocol {
        name,
        agents: agents.to_vec(),
        registered: agents.len(),
        running: vec![0, 2],
        addable: vec![1],
        switchable: vec![1, 2],
        budget,
        events: Arc::default(),
    }
}

fn check(protocol: Protocol, expected: &[Event]) {
    let (name, events) = (protocol.name, Arc::clone(&protocol.events));
    let began = Instant::now();
    let checker = protocol.checker().threads(2).spawn_bfs().join();
    println!(
        "{name}: {} states, {} depth, {:.1} s",
        checker.unique_state_count(),
        checker.max_depth(),
        began.elapsed().as_secs_f32()
    );
    if let Some((property, path)) = checker.discoveries().into_iter().next() {
        let (end, actions) = (path.last_state().clone(), path.into_actions());
        panic!("{name}: violated: {property}, after\n{actions:?}\n{end:#?}");
    }
    for &event in expected {
        assert!(events.has(event), "{name}: {event:?} never happens");
    }
}

#[test]
fn drivers_agree_veto_and_the_platform_fails() {
    let agents = [PLAIN, HEARS, Spec { level: 1, ..PLAIN }];
    let budget = Budget { adds: 2, vetoes: 2, platform: 1, ..NONE };
    check(
        protocol("answers", &agents, budget),
        &[Event::Joined, Event::Vetoed, Event::PlatformFailed],
    );
}

#[test]
fn connections_break_and_agent_processes_end() {
    let budget = Budget { adds: 1, vetoes: 1, losses: 1, agent_crashes: 1, give_ups: 1, ..NONE };
    check(
        protocol("losses", &[PLAIN, HEARS], budget),
        &[
            Event::VetoedByLoss,
            Event::OwedComplete,
            Event::OwedFailure,
            Event::Kept,
            Event::Refused,
            Event::GaveUpOpen,
        ],
    );
}

#[test]
fn the_partition_ends_and_restarts() {
    let budget = Budget { adds: 1 + MORE, vetoes: 1, losses: 1, partition_crashes: 1, ..NONE };
    check(
        protocol("restart", &[PLAIN, HEARS], budget),
        &[
            Event::RestartedOpen,
            Event::RestartedStarted,
            Event::OwedComplete,
            Event::OwedFailure,
            Event::OwedSurprise,
            Event::Refused,
        ],
    );
}

#[test]
fn answers_arrive_after_their_time_limit() {
    let budget = Budget { adds: 1 + MORE, vetoes: 1, losses: 1, timeouts: 1, ..NONE };
    check(
        protocol("time limits", &[PLAIN, HEARS], budget),
        &[Event::VetoedByTimeout, Event::LateAnswer, Event::OwedFailure, Event::GoneBeforeReply],
    );
}

#[test]
fn drivers_register_without_a_replay() {
    let budget = Budget { adds: 1, losses: 1, partition_crashes: 1, ..NONE };
    check(
        protocol("later only", &[LATER, PLAIN], budget),
        &[Event::OwedComplete, Event::OwedFailure, Event::OwedSurprise],
    );
}

#[test]
fn drivers_without_a_replay_answer_after_their_time_limit() {
    let budget = Budget { adds: 2, timeouts: 2, losses: 1, ..NONE };
    check(
        protocol("later only, time limits", &[LATER], budget),
        &[Event::OwedComplete, Event::OwedFailure, Event::GoneBeforeReply],
    );
}

#[test]
fn processors_are_removed() {
    let budget = Budget { adds: 1, removals: 1, losses: 1, partition_crashes: MORE, ..NONE };
    check(
        Protocol { addable: vec![1, 2], ..protocol("removals", &[LATER, HEARS], budget) },
        &[Event::Left, Event::OwedRemoval, Event::OwedSurprise],
    );
}

#[test]
fn a_driver_registers_while_processors_are_added() {
    let budget = Budget { adds: 1 + MORE, vetoes: 1, losses: 1, give_ups: 1, ..NONE };
    let agents = [PLAIN, HEARS];
    check(
        Protocol { registered: 1, ..protocol("registering", &agents, budget) },
        &[Event::Refused, Event::Overtaken, Event::Kept],
    );
}

#[test]
fn calls_of_an_add_overtake_the_reply_to_register() {
    let budget = Budget { adds: 2, losses: 1, timeouts: 1, ..NONE };
    check(
        protocol("overtaking", &[PLAIN], budget),
        &[Event::Overtaken, Event::OwedFailure, Event::GoneBeforeReply],
    );
}

#[test]
fn three_drivers_take_part_in_one_add() {
    let budget = Budget { adds: 1, losses: 1, platform: 1, agent_crashes: MORE, vetoes: 1, ..NONE };
    check(
        protocol("three", &[PLAIN, HEARS, Spec { level: 1, ..PLAIN }], budget),
        &[Event::Joined, Event::VetoedByLoss, Event::OwedComplete, Event::OwedFailure],
    );
}

#[test]
fn processors_are_switched_by_hand_during_transactions() {
    let budget = Budget { adds: 1, removals: 1, switches: 3, vetoes: 1, platform: 1, ..NONE };
    check(
        protocol("switches", &[HEARS, LATER], budget),
        &[
            Event::Vanished,
            Event::VanishedMeanwhile,
            Event::GoneBeforeStop,
            Event::Intruded,
            Event::IntrudedMeanwhile,
            Event::Touched,
        ],
    );
}

#[test]
fn processors_are_switched_by_hand_while_connections_break() {
    let budget = Budget { adds: 1, removals: 1, switches: 2, losses: 1, ..NONE };
    check(
        protocol("switches, losses", &[HEARS], budget),
        &[Event::VanishedMeanwhile, Event::Touched, Event::OwedSurprise, Event::OwedFailure],
    );
}

#[test]
fn processors_are_switched_by_hand_with_drivers_without_a_replay() {
    let budget = Budget { adds: 1, removals: 1, switches: 2, losses: 1, ..NONE };
    check(
        protocol("switches, later only", &[LATER], budget),
        &[Event::VanishedMeanwhile, Event::IntrudedMeanwhile, Event::OwedSurprise, Event::Kept],
    );
}

#[test]
fn processors_are_switched_by_hand_while_the_partition_restarts() {
    let budget = Budget { adds: 1, switches: 2, partition_crashes: 1, losses: MORE, ..NONE };
    check(
        protocol("switches, restart", &[HEARS], budget),
        &[Event::Touched, Event::RestartedOpen, Event::OwedSurprise, Event::OwedComplete],
    );
}

#[test]
fn an_intruder_waits_for_an_index_until_the_add_is_over() {
    let budget = Budget { adds: 1, switches: 2, vetoes: 1, ..NONE };
    check(
        Protocol { switchable: vec![1, 3], ..protocol("waits", &[HEARS], budget) },
        &[Event::Waits, Event::Touched, Event::Joined],
    );
}

#[test]
fn a_named_party_goes_missing_and_comes_back() {
    let budget = Budget { adds: 2, losses: 1, timeouts: 1, agent_crashes: 1, ..NONE };
    check(
        protocol("named", &[NAMED], budget),
        &[Event::RefusedMissing, Event::ObjectedMissing, Event::AddedAgain, Event::VetoedByTimeout],
    );
}

#[test]
fn a_named_party_and_an_unnamed_one_take_part() {
    let budget = Budget { adds: 2, losses: 1, switches: 1, vetoes: 1, ..NONE };
    check(
        protocol("named, others", &[NAMED, Spec { level: 1, ..PLAIN }], budget),
        &[Event::RefusedMissing, Event::ObjectedMissing, Event::AddedAgain, Event::VetoedByLoss],
    );
}
