//! Running one case and checking its outcome.

use std::time::Duration;

use hotadd::{Change, Errno, Error, Event, EventKind, HardwareId, State};
use hotadd_service::Named;
use hotadd_service::host::Host;

use crate::case::{Case, Cause, FAULTY, LONG, Occasion, Place, Standing};
use crate::healthy::{Fixture, Operator, TestParty, told};
use crate::left::Held;
use crate::oracle;
use crate::recorder::{REFUSAL, Told};

/// The first time limit of a faulty party that the time limit detects.
const LIMIT: Duration = Duration::from_millis(300);

/// How often a case is tried, each time with four times the limit.
const TRIES: u32 = 4;

/// Printed before a case that is tried again.
pub(crate) const AGAIN: &str = "again: ";

/// The machine was too busy for the case. Either the faulty party was detected before its fault, or it took
/// too long to learn how its process ended.
#[derive(Debug)]
struct TooBusy;

/// What was done, and its result.
struct Attempted {
    /// The faulty party, unless it did not register.
    host: Option<Host>,
    events: Vec<Event>,
    /// Of the add or the removal.
    result: Option<Result<Change, Error>>,
}

/// Runs a case, with more time if the machine is too busy for it.
pub(crate) fn run(case: &Case) {
    let mut limit = LIMIT;
    for left in (0..TRIES).rev() {
        match attempt(case, if case.is_timed() { limit } else { LONG }, left == 0) {
            Ok(()) => return,
            Err(TooBusy) => {
                println!("{AGAIN}{case}");
                limit *= 4;
            }
        }
    }
    unreachable!("the last attempt ends well or fails");
}

fn attempt(case: &Case, limit: Duration, last: bool) -> Result<(), TooBusy> {
    let before = Held::at_rest();
    let outcome = on_fixture(case, limit, last);
    before.comes_back(&format!("{case}: behind all"));
    outcome
}

fn on_fixture(case: &Case, limit: Duration, last: bool) -> Result<(), TooBusy> {
    let operator = match case.standing {
        Standing::Stranger => Operator::Names,
        Standing::Named | Standing::Skipped => Operator::NamesNobody,
    };
    let mut fixture =
        if case.place == Place::Only { Fixture::empty() } else { Fixture::new(operator) };
    let named = (case.standing == Standing::Named).then(|| fixture.names(FAULTY));
    let held = Held::at_rest();
    let Attempted { host, events, result } =
        strike(case, &mut fixture, named.as_ref(), limit, last)?;
    if !last && too_busy(case, &events) {
        return Err(TooBusy);
    }
    // Checked at once, before its resources can be released.
    let missing = is_missed(case, &fixture);
    if let Some(result) = result {
        judge_result(case, &result, limit);
    }
    judge_events(case, &fixture, &events, limit);
    let mut active = vec![0, 1];
    match (case.ends_active(), case.occasion) {
        (true, Occasion::Add) => active.push(2),
        (false, Occasion::Removal) => active.retain(|id| *id != 1),
        _ => {}
    }
    fixture.has_active(&active, &case.to_string());
    // Its handle still exists; everything else is released.
    held.comes_back(&format!("{case}: of the faulty party"));
    assert_eq!(missing, is_missed(case, &fixture), "{case}: L4: this does not change");
    // Without its operator it is not missing.
    drop((host, named));
    next_add(case, &fixture, active);
    Ok(())
}

/// Makes the fault happen.
fn strike(
    case: &Case,
    fixture: &mut Fixture,
    named: Option<&Named>,
    limit: Duration,
    last: bool,
) -> Result<Attempted, TooBusy> {
    let driver = case.driver();
    if case.occasion == Occasion::Replay {
        fixture.events();
        fixture.journal.take();
        let error = fixture.host(FAULTY, &driver, limit, 0, named);
        let error = error.map(drop).expect_err(&case.to_string());
        let said = error.to_string();
        let reasons = case.reasons(limit);
        if !last && too_busy_for(case, &said) {
            return Err(TooBusy);
        }
        assert!(
            said.starts_with("faulty did not register: ")
                && reasons.iter().any(|reason| said.contains(reason)),
            "{case}: L3: its starter is told what happened ({reasons:?}), not {said:?}"
        );
        // The end of its process may be known before the partition has noticed.
        let events = fixture.events_until(EventKind::Refused, FAULTY);
        return Ok(Attempted { host: None, events, result: None });
    }
    let host = match fixture.host(FAULTY, &driver, limit, 0, named) {
        Ok(host) => host,
        Err(_) if case.is_timed() && !last => return Err(TooBusy),
        Err(error) => panic!("{case}: it is healthy as yet: {error}"),
    };
    // Asked at the same time, after it.
    fixture.agent("late1", 1);
    fixture.events();
    fixture.journal.take();
    let id = HardwareId(case.id());
    let removal = case.is_removal();
    match case.cause() {
        Some(Cause::Veto) => {
            let start = if removal { State::RemoveStart } else { State::AddStart };
            fixture.journal.refuse(oracle::refuser(removal), start);
        }
        Some(Cause::Platform) => {
            fixture.hardware.fail_start(id, Errno::EIO);
            fixture.hardware.fail_stop(id, Errno::EIO);
        }
        None => {}
    }
    let result = if removal { fixture.partition.remove(id) } else { fixture.partition.add(id) };
    fixture.journal.agree();
    fixture.hardware.heal(id);
    Ok(Attempted { host: Some(host), events: fixture.events(), result: Some(result) })
}

/// Whether another fault happened than the intended one, for lack of time.
fn too_busy(case: &Case, events: &[Event]) -> bool {
    let of_it = |event: &&Event| event.party.as_ref().is_some_and(|party| party.name == FAULTY);
    let mine = || events.iter().filter(of_it);
    let early = mine().filter_map(|event| event.state).next_back() != Some(case.state);
    let breach = mine().find(|event| event.kind == EventKind::Breach);
    let reason = breach.and_then(|event| event.reason.as_deref()).unwrap_or_default();
    (case.is_timed() && early && reason.starts_with("no answer in")) || too_busy_for(case, reason)
}

/// Its process has ended, and the status is not known yet; or only its own report is known.
fn too_busy_for(case: &Case, reason: &str) -> bool {
    (case.is_deadly() && reason.contains("its connection was closed"))
        || reason.contains("the connection to the partition is lost")
}

/// L3, A3-A5, X1: the result that the caller gets.
fn judge_result(case: &Case, result: &Result<Change, Error>, limit: Duration) {
    let id = HardwareId(case.id());
    match (case.cause(), case.state, result) {
        (Some(Cause::Veto), _, Err(Error::Vetoed { processor, party, veto, .. })) => {
            let refuser = oracle::refuser(case.is_removal());
            assert_eq!(
                (processor.id, party.name.as_str(), veto.reason(), veto.is_crash()),
                (id, refuser, REFUSAL, false),
                "{case}: L3: the outcome stands, and it is that of the veto"
            );
        }
        (Some(Cause::Platform), _, Err(Error::Platform { processor, error, .. })) => {
            let expected = (id, Some(Errno::EIO));
            assert_eq!((processor.id, error.errno), expected, "{case}: L3: the outcome stands");
        }
        (
            None,
            State::AddStart | State::RemoveStart,
            Err(Error::Vetoed { processor, party, veto, .. }),
        ) => {
            let expected = (id, FAULTY, true);
            let named = (processor.id, party.name.as_str(), veto.is_crash());
            assert_eq!(named, expected, "{case}: L3: a crash counts as its veto");
            let reasons = case.reasons(limit);
            assert!(
                reasons.iter().any(|reason| reason == veto.reason()),
                "{case}: L3: the veto says what happened ({reasons:?}), not {:?}",
                veto.reason()
            );
        }
        (None, State::AddComplete | State::RemoveComplete, Ok(change)) => {
            assert_eq!(change.processor.id, id, "{case}: L3: the outcome stands");
        }
        (_, _, result) => panic!("{case}: this is not what it comes to: {result:?}"),
    }
}

/// Checks the calls to each party, and the end of the faulty party.
fn judge_events(case: &Case, fixture: &Fixture, events: &[Event], limit: Duration) {
    let mut parties = fixture.parties.clone();
    if case.occasion != Occasion::Replay {
        let faulty = TestParty { name: FAULTY, level: case.level(), at_once: true, records: false };
        // All but the one that registered after it.
        let at = parties.iter().position(|party| party.name == "late1").unwrap_or(parties.len());
        parties.insert(at, faulty);
    }
    let expected = oracle::expected(case, &parties);
    assert_eq!(told(events), expected, "{case}: A1-A5, R4, X1: which parties are called, in order");
    let recorded = heard_by_recorders(expected, &parties);
    assert_eq!(fixture.journal.take(), recorded, "{case}: the calls that the parties recorded");
    oracle::one_outcome_each(events, case);

    let of_kind = |kind| events.iter().filter(move |event| event.kind == kind);
    let breaches: Vec<_> = of_kind(EventKind::Breach)
        .map(|breach| {
            let party = breach.party.as_ref().map(|party| party.name.as_str());
            let id = breach.id.map(|id| id.0);
            (breach.clause, party, id, breach.reason.clone().unwrap_or_default())
        })
        .collect();
    let [(clause, party, id, reason)] = breaches.as_slice() else {
        panic!("{case}: L3: one thing went wrong, and not {breaches:?}");
    };
    let named = (*clause, *party, *id);
    assert_eq!(named, (Some("L3"), Some(FAULTY), Some(case.id())), "{case}: the event names it");
    let reasons = case.reasons(limit);
    assert!(
        reasons.iter().any(|expected| *reason == format!("{expected}; it is deregistered")),
        "{case}: L3: the reason says what happened ({reasons:?}), not {reason:?}"
    );

    let names = |kind| {
        let parties = of_kind(kind).filter_map(|event| event.party.as_ref());
        parties.map(|party| party.name.as_str()).collect::<Vec<_>>()
    };
    if case.occasion == Occasion::Replay {
        assert!(names(EventKind::Registered).is_empty(), "{case}: R4: it is not registered");
        assert_eq!(names(EventKind::Refused), [FAULTY], "{case}: R4: an event reports it");
    } else {
        assert_eq!(names(EventKind::Deregistered), [FAULTY], "{case}: L3: it is deregistered");
    }
}

/// L4: whether the faulty party refuses the next add by its name, and no party is asked. That must be so
/// exactly if the operator named it.
fn is_missed(case: &Case, fixture: &Fixture) -> bool {
    let missing = fixture.partition.missing().unwrap();
    let missing: Vec<_> = missing.iter().map(|missing| missing.party.name.as_str()).collect();
    let named = case.standing == Standing::Named;
    assert_eq!(
        missing,
        if named { vec![FAULTY] } else { vec![] },
        "{case}: L4: the missing parties"
    );
    if !named {
        return false;
    }
    fixture.events();
    // A processor that nothing else is wrong with.
    let refused = fixture.partition.add(HardwareId(4));
    let by_name = matches!(
        &refused,
        Err(Error::Missing { id: HardwareId(4), missing }) if missing.party.name == FAULTY
    );
    assert!(by_name, "{case}: L4: the next add is refused by its name: {refused:?}");
    let events = fixture.events();
    assert_eq!(told(&events), [], "{case}: L4: no party is asked");
    true
}

/// Adds one more processor. The remaining parties are asked and told, and no other.
fn next_add(case: &Case, fixture: &Fixture, mut active: Vec<u32>) {
    let when = format!("{case}: the next add");
    let id = (1..5).find(|id| !active.contains(id)).unwrap();
    fixture.events();
    let added = fixture.partition.add(HardwareId(id));
    assert!(added.is_ok(), "{when} works: {added:?}");
    let events = fixture.events();
    let expected = oracle::agreed(&fixture.parties, id);
    assert_eq!(told(&events), expected, "{when}: which parties are called, in order");
    let recorded = heard_by_recorders(expected, &fixture.parties);
    assert_eq!(fixture.journal.take(), recorded, "{when}: the calls that the parties recorded");
    assert!(!fixture.parties().iter().any(|name| name == FAULTY), "{when}: L3: it is gone");
    active.push(id);
    fixture.has_active(&active, &when);
}

/// The calls that went to recording parties.
fn heard_by_recorders(mut told: Vec<Told>, parties: &[TestParty]) -> Vec<Told> {
    told.retain(|told| parties.iter().any(|party| party.name == told.party && party.records));
    told
}
