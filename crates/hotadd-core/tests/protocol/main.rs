//! The protocol between a partition and drivers in other processes (`org.hotadd.Agent1`), checked in every order in which its
//! messages, faults and answers can come: the real [`Transaction`](hotadd_core::Transaction) on one side, the real
//! [`Agent`](hotadd_core::Agent) on the other, and between them connections that break.
//!
//! Each check is exhaustive within its bounds, and fails as well if it never comes by what it is there for.

use std::sync::Arc;
use std::time::Instant;

use stateright::{Checker, Model};

use model::Protocol;
use world::{Budget, Spec};
use wrong::Sight;

mod doll;
mod looks;
mod model;
mod partition;
mod properties;
mod side;
mod step;
mod world;
mod wrong;

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

/// What an optimised build can do besides.
const MORE: u8 = if cfg!(debug_assertions) { 0 } else { 1 };

/// Agents that are all registered. Processors 0 and 2 run; 1 can be added, and comes between them if the partition restarts.
fn protocol(name: &'static str, agents: &[Spec], budget: Budget) -> Protocol {
    Protocol {
        name,
        agents: agents.to_vec(),
        registered: agents.len(),
        running: vec![0, 2],
        addable: vec![1],
        switchable: vec![1, 2],
        budget,
        sights: Arc::default(),
    }
}

fn check(protocol: Protocol, expected: &[Sight]) {
    let (name, sights) = (protocol.name, Arc::clone(&protocol.sights));
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
        panic!("{name}: not so: {property}, behind\n{actions:?}\n{end:#?}");
    }
    for &sight in expected {
        assert!(sights.has(sight), "{name}: {sight:?} never happens");
    }
}

#[test]
fn drivers_that_agree_veto_and_fail() {
    let agents = [PLAIN, HEARS, Spec { level: 1, ..PLAIN }];
    let budget = Budget { adds: 2, vetoes: 2, platform: 1, ..NONE };
    check(
        protocol("answers", &agents, budget),
        &[Sight::Joined, Sight::Vetoed, Sight::PlatformFailed],
    );
}

#[test]
fn connections_that_break_and_processes_that_end() {
    let budget = Budget { adds: 1, vetoes: 1, losses: 1, agent_crashes: 1, give_ups: 1, ..NONE };
    check(
        protocol("losses", &[PLAIN, HEARS], budget),
        &[
            Sight::VetoedByLoss,
            Sight::OwedComplete,
            Sight::OwedFailure,
            Sight::Kept,
            Sight::Refused,
            Sight::GaveUpOpen,
        ],
    );
}

#[test]
fn a_partition_that_ends_and_comes_back() {
    let budget = Budget { adds: 1 + MORE, vetoes: 1, losses: 1, partition_crashes: 1, ..NONE };
    check(
        protocol("restart", &[PLAIN, HEARS], budget),
        &[
            Sight::RestartedOpen,
            Sight::RestartedStarted,
            Sight::OwedComplete,
            Sight::OwedFailure,
            Sight::OwedSurprise,
            Sight::Refused,
        ],
    );
}

#[test]
fn answers_that_come_too_late() {
    let budget = Budget { adds: 1 + MORE, vetoes: 1, losses: 1, timeouts: 1, ..NONE };
    check(
        protocol("time limits", &[PLAIN, HEARS], budget),
        &[Sight::VetoedByTimeout, Sight::LateAnswer, Sight::OwedFailure, Sight::GoneBeforeReply],
    );
}

#[test]
fn drivers_that_want_no_replay() {
    let budget = Budget { adds: 1, losses: 1, partition_crashes: 1, ..NONE };
    check(
        protocol("later only", &[LATER, PLAIN], budget),
        &[Sight::OwedComplete, Sight::OwedFailure, Sight::OwedSurprise],
    );
}

#[test]
fn drivers_that_want_no_replay_and_answer_too_late() {
    let budget = Budget { adds: 2, timeouts: 2, losses: 1, ..NONE };
    check(
        protocol("later only, time limits", &[LATER], budget),
        &[Sight::OwedComplete, Sight::OwedFailure, Sight::GoneBeforeReply],
    );
}

#[test]
fn processors_that_leave() {
    let budget = Budget { adds: 1, removals: 1, losses: 1, partition_crashes: MORE, ..NONE };
    check(
        Protocol { addable: vec![1, 2], ..protocol("removals", &[LATER, HEARS], budget) },
        &[Sight::Left, Sight::OwedRemoval, Sight::OwedSurprise],
    );
}

#[test]
fn drivers_that_register_in_the_middle_of_it() {
    let budget = Budget { adds: 1 + MORE, vetoes: 1, losses: 1, give_ups: 1, ..NONE };
    let agents = [PLAIN, HEARS];
    check(
        Protocol { registered: 1, ..protocol("registering", &agents, budget) },
        &[Sight::Refused, Sight::Overtaken, Sight::Kept],
    );
}

#[test]
fn adds_that_overtake_the_reply_to_register() {
    let budget = Budget { adds: 2, losses: 1, timeouts: 1, ..NONE };
    check(
        protocol("overtaking", &[PLAIN], budget),
        &[Sight::Overtaken, Sight::OwedFailure, Sight::GoneBeforeReply],
    );
}

#[test]
fn three_at_once() {
    let budget = Budget { adds: 1, losses: 1, platform: 1, agent_crashes: MORE, vetoes: 1, ..NONE };
    check(
        protocol("three", &[PLAIN, HEARS, Spec { level: 1, ..PLAIN }], budget),
        &[Sight::Joined, Sight::VetoedByLoss, Sight::OwedComplete, Sight::OwedFailure],
    );
}

#[test]
fn processors_that_somebody_switches_while_others_are_being_asked() {
    let budget = Budget { adds: 1, removals: 1, switches: 3, vetoes: 1, platform: 1, ..NONE };
    check(
        protocol("switches", &[HEARS, LATER], budget),
        &[
            Sight::Vanished,
            Sight::VanishedMeanwhile,
            Sight::GoneBeforeStop,
            Sight::Intruded,
            Sight::IntrudedMeanwhile,
            Sight::Touched,
        ],
    );
}

#[test]
fn processors_that_somebody_switches_while_connections_break() {
    let budget = Budget { adds: 1, removals: 1, switches: 2, losses: 1, ..NONE };
    check(
        protocol("switches, losses", &[HEARS], budget),
        &[Sight::VanishedMeanwhile, Sight::Touched, Sight::OwedSurprise, Sight::OwedFailure],
    );
}

#[test]
fn processors_that_somebody_switches_and_drivers_that_want_no_replay() {
    let budget = Budget { adds: 1, removals: 1, switches: 2, losses: 1, ..NONE };
    check(
        protocol("switches, later only", &[LATER], budget),
        &[Sight::VanishedMeanwhile, Sight::IntrudedMeanwhile, Sight::OwedSurprise, Sight::Kept],
    );
}

#[test]
fn processors_that_somebody_switches_while_the_partition_restarts() {
    let budget = Budget { adds: 1, switches: 2, partition_crashes: 1, losses: MORE, ..NONE };
    check(
        protocol("switches, restart", &[HEARS], budget),
        &[Sight::Touched, Sight::RestartedOpen, Sight::OwedSurprise, Sight::OwedComplete],
    );
}

#[test]
fn intruders_that_wait_for_an_index() {
    let budget = Budget { adds: 1, switches: 2, vetoes: 1, ..NONE };
    check(
        Protocol { switchable: vec![1, 3], ..protocol("waits", &[HEARS], budget) },
        &[Sight::Waits, Sight::Touched, Sight::Joined],
    );
}

#[test]
fn named_parties_that_go_missing_and_come_back() {
    let budget = Budget { adds: 2, losses: 1, timeouts: 1, agent_crashes: 1, ..NONE };
    check(
        protocol("named", &[NAMED], budget),
        &[Sight::RefusedMissing, Sight::ObjectedMissing, Sight::AddedAgain, Sight::VetoedByTimeout],
    );
}

#[test]
fn named_parties_and_others() {
    let budget = Budget { adds: 2, losses: 1, switches: 1, vetoes: 1, ..NONE };
    check(
        protocol("named, others", &[NAMED, Spec { level: 1, ..PLAIN }], budget),
        &[Sight::RefusedMissing, Sight::ObjectedMissing, Sight::AddedAgain, Sight::VetoedByLoss],
    );
}
