//! The expected calls to every party, in order, derived from the contract and not from the code (A1-A5, R3,
//! R4, X1, L3).

use hotadd::{Event, EventKind, State};

use crate::case::{Case, Cause, FAULTY, Occasion};
use crate::healthy::TestParty;
use crate::recorder::Told;

/// The party that refuses when one after the faulty party must: the party in this process that is asked last.
pub(crate) const fn refuser(removal: bool) -> &'static str {
    if removal { "here0" } else { "here2" }
}

/// The parties in the order of asking. Those in one list are asked at the same time.
fn runs(parties: &[TestParty], removal: bool) -> Vec<Vec<&'static str>> {
    let mut parties: Vec<&TestParty> = parties.iter().collect();
    // The sort is stable: within a level and a kind, the order is that of registration.
    parties.sort_by_key(|party| (party.level, party.at_once));
    if removal {
        parties.reverse();
    }
    let together = |a: &&TestParty, b: &&TestParty| a.at_once && b.at_once && a.level == b.level;
    parties.chunk_by(together).map(|run| run.iter().map(|party| party.name).collect()).collect()
}

/// The calls of an add that every party agrees to.
pub(crate) fn agreed(parties: &[TestParty], id: u32) -> Vec<Told> {
    let all = runs(parties, false).concat();
    let call = |state| all.iter().map(move |name| Told::new(name, state, id));
    call(State::AddStart).chain(call(State::AddComplete)).collect()
}

/// The calls of a case. `parties` are all registered parties, including the faulty one unless it only registers.
pub(crate) fn expected(case: &Case, parties: &[TestParty]) -> Vec<Told> {
    if case.occasion == Occasion::Replay {
        return replay(case.state);
    }
    let removal = case.is_removal();
    let [start, complete, failure] = if removal {
        [State::RemoveStart, State::RemoveComplete, State::RemoveFailure]
    } else {
        [State::AddStart, State::AddComplete, State::AddFailure]
    };
    let stops_at = match case.cause() {
        Some(Cause::Veto) => Some(refuser(removal)),
        Some(Cause::Platform) => None,
        None => (case.state == start).then_some(FAULTY),
    };
    // Every party of a run is asked, also after a refusal. Later runs are not asked.
    let mut asked = Vec::new();
    for run in runs(parties, removal) {
        let last = stops_at.is_some_and(|name| run.contains(&name));
        asked.extend(run);
        if last {
            break;
        }
    }
    let call = |name: &&str, state| Told::new(name, state, case.id());
    let mut told: Vec<Told> = asked.iter().map(|name| call(name, start)).collect();
    if case.state == complete {
        told.extend(asked.iter().map(|name| call(name, complete)));
    } else {
        let agreed = asked.iter().rev().filter(|name| Some(**name) != stops_at);
        told.extend(agreed.map(|name| call(name, failure)));
    }
    told
}

/// The replay of processors 0 and 1. The party refuses 1 if it must be told a failure.
fn replay(state: State) -> Vec<Told> {
    let call = |state, id| Told::new(FAULTY, state, id);
    let mut told = vec![call(State::AddStart, 0)];
    if state != State::AddStart {
        told.extend([call(State::AddStart, 1), call(state, 0)]);
    }
    told
}

/// Checks from the events that each party that agreed was told one outcome, and no other party any. The dead
/// party is exempt.
pub(crate) fn one_outcome_each(events: &[Event], case: &Case) {
    let mut open: Vec<(&str, u32)> = Vec::new();
    for event in events {
        let (Some(party), Some(id)) = (&event.party, event.id) else { continue };
        let who = (party.name.as_str(), id.0);
        match event.kind {
            EventKind::AddStart | EventKind::RemoveStart => open.push(who),
            EventKind::AddComplete
            | EventKind::AddFailure
            | EventKind::RemoveComplete
            | EventKind::RemoveFailure => {
                let at = open.iter().position(|other| *other == who);
                let at = at.unwrap_or_else(|| {
                    panic!("{case}: A3: {who:?} heard {:?} and had nothing to hear", event.kind)
                });
                open.remove(at);
            }
            _ => {}
        }
    }
    open.retain(|(name, _)| *name != FAULTY);
    assert!(open.is_empty(), "{case}: A3, A5: these agreed and were told no outcome: {open:?}");
}
