//! The properties of the model: what always holds, and what holds once nothing is left to happen.

use hotadd_core::Processor;
use stateright::Property;

use crate::model::Protocol;
use crate::violation::Violation;
use crate::world::{Registration, Told, World};

/// All properties of the model.
pub(crate) fn all() -> Vec<Property<Protocol>> {
    vec![
        always("no driver is told AddStart twice without an outcome between", |_, w| {
            w.violation != Some(Violation::StartOnStart)
        }),
        always("no driver is told AddStart of a processor that it has (R5)", |_, w| {
            w.violation != Some(Violation::ToldTwice)
        }),
        always("every outcome belongs to a Start, and is its only one", |_, w| {
            w.violation != Some(Violation::OutcomeOfNothing)
        }),
        always("an outcome is marked as a replay exactly if its Start was (Q5)", |_, w| {
            w.violation != Some(Violation::MixedReplay)
        }),
        always("a driver that wants no replay is told none (R2)", |_, w| {
            w.violation != Some(Violation::Replayed)
        }),
        always(
            "a driver is told the end only of what it was told the beginning of (X4)",
            |_, w| w.violation != Some(Violation::EndOfNothing),
        ),
        always("what a driver is told is true", |_, w| {
            let lies = [Violation::FalseComplete, Violation::FalseFailure, Violation::FalseLeave];
            !w.violation.is_some_and(|violation| lies.contains(&violation))
        }),
        always("a driver that did not ask for removals is told of none (X1)", |_, w| {
            w.violation != Some(Violation::UnwantedRemoval)
        }),
        always("no processor is started before all agree (A1)", |_, w| {
            w.violation != Some(Violation::StartedUnasked)
        }),
        always("no processor is started while a named party is missing (L4)", |_, w| {
            w.violation != Some(Violation::StartedMissing)
        }),
        always("no party is asked while a named party is missing (L4)", |_, w| {
            w.violation != Some(Violation::AskedMissing)
        }),
        always("a processor switched on by hand is not counted as agreed (Q3)", |_, w| {
            is_not_passed_off(w)
        }),
        always("a driver that was given up has no open Start", |_, w| {
            w.violation != Some(Violation::LeftOpen)
        }),
        always("agents report no breach of the protocol by the partition", |_, w| {
            w.violation != Some(Violation::Breach)
        }),
        always("a registered driver has agreed to every active processor", |_, w| has_agreed(w)),
        always("no agent registers again without end", |_, w| !registers_without_end(w)),
        always("in the end nothing waits", |m, w| !m.is_quiet(w) || nothing_waits(w)),
        always("in the end every Start has its outcome", |m, w| {
            !m.is_quiet(w) || nothing_is_open(w)
        }),
        always("in the end every agent that did not give up is registered", |m, w| {
            !m.is_quiet(w) || all_are_registered(w)
        }),
        always("in the end agents and drivers know what is active", |m, w| {
            !m.is_quiet(w) || all_know(w)
        }),
    ]
}

fn always(name: &'static str, holds: fn(&Protocol, &World) -> bool) -> Property<Protocol> {
    Property::always(name, holds)
}

/// A driver whose connection works and that knows itself registered has prepared for each processor that has
/// joined since or was replayed to it.
fn has_agreed(world: &World) -> bool {
    let Some(partition) = &world.partition else { return true };
    let (active, unagreed) = (partition.view.active(), partition.view.unagreed());
    partition.members.iter().all(|member| {
        let (side, connection) =
            (&world.sides[member.connection.0], world.connections.get(&member.connection));
        let both = side.standing == Registration::Registered(member.id)
            && connection.is_some_and(|connection| !connection.broken && connection.served)
            && !member.lost;
        let exempt = |p| {
            member.spec.without_replay && member.had.contains(p)
                // Also a processor whose departure it is about to be told of.
                || unagreed.contains(p)
        };
        !both || active.iter().all(|p| exempt(p) || side.told.contains_key(p))
    })
}

/// A processor that was switched on by hand is not in the set, or is marked there as not agreed.
fn is_not_passed_off(world: &World) -> bool {
    let Some(partition) = &world.partition else { return true };
    let own = |p: &Processor| partition.job.as_ref().is_some_and(|job| job.switched(p.id));
    let by_hand = |p: &Processor| world.by_hand.contains(&p.id.0);
    world.by_hand.is_empty()
        || !partition
            .view
            .active()
            .iter()
            .any(|p| by_hand(p) && partition.view.is_agreed(*p) && !own(p))
}

/// Whether agents have registered more often than vetoes and faults can explain.
pub(crate) fn registers_without_end(world: &World) -> bool {
    world.partition.as_ref().is_some_and(|partition| partition.next_party > 12)
}

fn nothing_waits(world: &World) -> bool {
    world.partition.as_ref().is_some_and(|p| p.job.is_none() && p.waiting.is_empty())
        && world.sides.iter().all(|side| side.asked.is_none())
        && world
            .connections
            .values()
            .all(|connection| connection.up.is_empty() && connection.down.is_empty())
}

fn nothing_is_open(world: &World) -> bool {
    let mut told = world.sides.iter().flat_map(|side| side.told.values());
    told.all(|told| matches!(told, Told::AddComplete { .. }))
}

fn all_are_registered(world: &World) -> bool {
    let Some(partition) = &world.partition else { return false };
    world.sides.iter().enumerate().all(|(at, side)| {
        let mut theirs = partition.members.iter().filter(|member| member.connection.0 == at);
        match side.standing {
            Registration::GivenUp => theirs.next().is_none(),
            Registration::Registered(party) => theirs.map(|member| member.id).eq([party]),
            _ => false,
        }
    })
}

fn all_know(world: &World) -> bool {
    let Some(partition) = &world.partition else { return false };
    let (active, unagreed) = (partition.view.active(), partition.view.unagreed());
    let ids: std::collections::BTreeSet<u32> = active.iter().map(|p| p.id.0).collect();
    ids == world.running
        && partition.members.iter().all(|member| {
            let side = &world.sides[member.connection.0];
            // No party was told that it joined, unless it joined before this party registered.
            let silent = |p| unagreed.contains(p) && !member.had.contains(p);
            let exempt = |p| member.spec.without_replay && member.had.contains(p) || silent(p);
            let held: Vec<_> = side.agent.held().map(|(p, _)| p).collect();
            // Nothing is missing. A driver that hears removals has nothing in excess either.
            active.iter().all(|p| exempt(p) || held.contains(p) && side.told.contains_key(p))
                && (!side.spec.hears_removal
                    || held
                        .iter()
                        .chain(side.told.keys())
                        .all(|p| active.contains(p) && !silent(p)))
        })
}
