//! What must hold, always and in the end.

use hotadd_core::Processor;
use stateright::Property;

use crate::model::Protocol;
use crate::world::{Registration, Told, World};
use crate::wrong::Wrong;

/// All properties of the model.
pub(crate) fn all() -> Vec<Property<Protocol>> {
    vec![
        always("no driver is told AddStart twice without an outcome between", |_, w| {
            w.wrong != Some(Wrong::StartOnStart)
        }),
        always("no driver is told AddStart of what it has (R5)", |_, w| {
            w.wrong != Some(Wrong::ToldTwice)
        }),
        always("every outcome is of a Start, and the only one", |_, w| {
            w.wrong != Some(Wrong::OutcomeOfNothing)
        }),
        always("an outcome is of a replay if its Start was, and only then (Q5)", |_, w| {
            w.wrong != Some(Wrong::MixedReplay)
        }),
        always("who wants no replay is told none (R2)", |_, w| w.wrong != Some(Wrong::Replayed)),
        always("nobody hears of the end of what it did not hear the beginning of (X4)", |_, w| {
            w.wrong != Some(Wrong::EndOfNothing)
        }),
        always("what a driver is told is so", |_, w| {
            let lies = [Wrong::FalseComplete, Wrong::FalseFailure, Wrong::FalseLeave];
            !w.wrong.is_some_and(|wrong| lies.contains(&wrong))
        }),
        always("who did not ask for removals hears of none (X1)", |_, w| {
            w.wrong != Some(Wrong::UnwantedRemoval)
        }),
        always("no processor is started before all agree (A1)", |_, w| {
            w.wrong != Some(Wrong::StartedUnasked)
        }),
        always("no processor is started while a named party is missing (L4)", |_, w| {
            w.wrong != Some(Wrong::StartedMissing)
        }),
        always("nobody is asked while a named party is missing (L4)", |_, w| {
            w.wrong != Some(Wrong::AskedMissing)
        }),
        always("what somebody switched on is not passed off as agreed (Q3)", |_, w| {
            is_not_passed_off(w)
        }),
        always("who is given up has nothing open", |_, w| w.wrong != Some(Wrong::LeftOpen)),
        always("the partition keeps the protocol, as the agents know it", |_, w| {
            w.wrong != Some(Wrong::Breach)
        }),
        always("who is registered has agreed to whatever is active", |_, w| has_agreed(w)),
        always("nobody registers again and again", |_, w| !goes_round(w)),
        always("in the end nobody waits", |m, w| !m.is_quiet(w) || nobody_waits(w)),
        always("in the end every Start has its outcome", |m, w| {
            !m.is_quiet(w) || nothing_is_open(w)
        }),
        always("in the end all who want to be are registered", |m, w| {
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

/// Those whose connection is whole and who know themselves registered have prepared for whatever has joined since, or was
/// replayed to them.
fn has_agreed(world: &World) -> bool {
    let Some(partition) = &world.partition else { return true };
    let (active, unagreed) = (partition.view.active(), partition.view.unagreed());
    partition.members.iter().all(|member| {
        let (side, line) = (&world.sides[member.line.0], world.lines.get(&member.line));
        let both = side.standing == Registration::Registered(member.id)
            && line.is_some_and(|line| !line.broken && line.served)
            && !member.lost;
        let exempt = |p| {
            member.spec.without_replay && member.had.contains(p)
                // Also one that it was told of, and is about to be told has left.
                || unagreed.contains(p)
        };
        !both || active.iter().all(|p| exempt(p) || side.told.contains_key(p))
    })
}

/// What somebody switched on by hand is not in the set, or marked there.
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

/// Whether agents have registered more often than vetoes and faults can make them.
pub(crate) fn goes_round(world: &World) -> bool {
    world.partition.as_ref().is_some_and(|partition| partition.next_party > 12)
}

fn nobody_waits(world: &World) -> bool {
    world.partition.as_ref().is_some_and(|p| p.job.is_none() && p.waiting.is_empty())
        && world.sides.iter().all(|side| side.asked.is_none())
        && world.lines.values().all(|line| line.up.is_empty() && line.down.is_empty())
}

fn nothing_is_open(world: &World) -> bool {
    let mut told = world.sides.iter().flat_map(|side| side.told.values());
    told.all(|told| matches!(told, Told::AddComplete { .. }))
}

fn all_are_registered(world: &World) -> bool {
    let Some(partition) = &world.partition else { return false };
    world.sides.iter().enumerate().all(|(at, side)| {
        let mut theirs = partition.members.iter().filter(|member| member.line.0 == at);
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
            let side = &world.sides[member.line.0];
            // Nobody was told that it joined, unless that was before this party registered.
            let silent = |p| unagreed.contains(p) && !member.had.contains(p);
            let exempt = |p| member.spec.without_replay && member.had.contains(p) || silent(p);
            let held: Vec<_> = side.agent.held().map(|(p, _)| p).collect();
            // Nothing is missing; and whoever hears of removals has nothing too much.
            active.iter().all(|p| exempt(p) || held.contains(p) && side.told.contains_key(p))
                && (!side.spec.hears_removal
                    || held
                        .iter()
                        .chain(side.told.keys())
                        .all(|p| active.contains(p) && !silent(p)))
        })
}
