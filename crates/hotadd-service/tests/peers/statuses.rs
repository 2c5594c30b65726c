//! A veto with any error status is a veto and keeps its status (A3), for every kind of party and every observer.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use hotadd::{Error, EventKind, HardwareId, Notice, Partition, Registration, State, Status, Veto};
use hotadd_wire as wire;

use crate::common::{Peer, Served};

const ONE: HardwareId = HardwareId(1);

/// Each first digit with the bounds of the rest, the named statuses, and random ones from a seed.
fn statuses() -> Vec<Status> {
    let rest = [0, 1, 0x11, 0xFFFF, 0x1_0000, 0x0FFF_0000, 0x0FFF_FFFF];
    let bounds = (0..16_u32).flat_map(|high| rest.map(|rest| high << 28 | rest));
    let named = Status::NAMED.iter().map(|status| status.to_raw());
    let mut random = fastrand::Rng::with_seed(0x8000_0011);
    let within: Vec<u32> = (0..100).map(|_| random.u32(..)).collect();
    bounds.chain(named).chain(within).map(Status::from_raw).collect()
}

/// The status that a veto of this status has: a veto is always an error.
fn counted(status: Status) -> Status {
    if status.is_error() { status } else { Status::UNSUCCESSFUL }
}

/// A party that refuses every processor after the replay with the status in the cell.
fn refuses_with(
    partition: &Partition,
    name: &str,
    status: &Arc<AtomicU32>,
    level: i32,
) -> Registration {
    let status = Arc::clone(status);
    let driver = move |notice: &Notice| match notice.state() {
        State::AddStart => {
            Err(Veto::new(Status::from_raw(status.load(Ordering::SeqCst)), "not with this one"))
        }
        _ => Ok(()),
    };
    partition.registration(name).level(level).without_replay().register(driver).unwrap()
}

/// A party that agrees before the others and records the status of AddFailure.
fn agreeing_party(partition: &Partition, told: &Arc<AtomicU32>) -> Registration {
    let told = Arc::clone(told);
    let driver = move |notice: &Notice| {
        if notice.state() == State::AddFailure {
            told.store(notice.status().to_raw(), Ordering::SeqCst);
        }
        Ok(())
    };
    partition.registration("agreeing_party").level(-1).without_replay().register(driver).unwrap()
}

/// Checks the veto of an add as seen by its caller, by a party that had agreed, and in the events.
fn was_refused(error: &Error, status: Status, told: &AtomicU32, served: &Served) {
    let Error::Vetoed { veto, .. } = error else { panic!("{status:?}: {error}") };
    assert_eq!(veto.status(), status, "{status:?} was changed");
    assert_eq!(veto.reason(), "not with this one", "{status:?}: the reason is lost");
    assert_eq!(
        told.load(Ordering::SeqCst),
        status.to_raw(),
        "{status:?}: AddFailure has another status"
    );
    let refused = served.wait(|event| event.kind == EventKind::Refused);
    assert_eq!(refused.status, Some(status), "the event of the refusal has another status");
}

/// The status in the history's latest event of this kind.
fn written(peer: &Peer, event: &str) -> String {
    let lines: Vec<String> = peer.call("GetHistory", &100_u32).unwrap();
    let found = lines.iter().rev().find_map(|line| {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        (line["event"] == event).then(|| line["status"].as_str().unwrap().to_owned())
    });
    found.unwrap_or_else(|| panic!("no {event} in {lines:?}"))
}

#[test]
fn a3_every_status_of_a_rust_agents_veto_is_kept() {
    let served = Served::new(1, 1);
    let there = Partition::connect(&served.path).unwrap();
    let (status, told) = <(Arc<AtomicU32>, Arc<AtomicU32>)>::default();
    let _witness = agreeing_party(&there, &told);
    let party = refuses_with(&there, "refuses", &status, 0);
    let peer = served.peer();
    for tried in statuses() {
        status.store(tried.to_raw(), Ordering::SeqCst);
        for asks in [&served.partition, &there] {
            let error = asks.add(ONE).expect_err("it was refused");
            was_refused(&error, counted(tried), &told, &served);
        }
        assert!(party.is_registered(), "{tried:?}: a refusal is not a crash");
        let expected = format!("0x{:08X}", counted(tried).to_raw());
        assert_eq!(written(&peer, "veto"), expected, "in the history");
        let rehearsal = there.rehearse(ONE).unwrap();
        let refusal = rehearsal.answers.iter().find_map(|given| given.answer.as_ref().err());
        assert_eq!(refusal.map(Veto::status), Some(counted(tried)), "in a rehearsal");
        // The status recorded in the rehearsal must not be taken for that of the next add.
        told.store(0, Ordering::SeqCst);
    }
}

#[test]
fn a3_every_status_of_a_bare_agents_veto_is_kept_in_both_forms_of_error_name() {
    let served = Served::new(1, 1);
    let told = Arc::<AtomicU32>::default();
    let _witness = agreeing_party(&served.partition, &told);
    let peer = served.peer();
    peer.register("bare", wire::LATER_ONLY, 0, 0);
    for tried in statuses() {
        let digits = format!("{:08X}", tried.to_raw());
        // The second form is that of earlier versions. D-Bus does not allow it if it begins with a digit.
        let old = digits.starts_with(|first: char| first.is_ascii_alphabetic()).then_some(&digits);
        for element in [Some(&format!("x{digits}")), old].into_iter().flatten() {
            let partition = served.adder();
            let adding = std::thread::spawn(move || partition.add(ONE));
            let asked = peer.asked();
            let name = format!("{}{element}", wire::STATUS_ERROR);
            peer.refuse(&asked.call, &name, "not with this one");
            let error = adding.join().unwrap().expect_err("it was refused");
            was_refused(&error, counted(tried), &told, &served);
        }
    }
    let parties: Vec<(u64, String, i32, bool)> = peer.call("GetParties", &()).unwrap();
    assert!(parties.iter().any(|party| party.1 == "bare"), "a refusal is not a crash");
}
