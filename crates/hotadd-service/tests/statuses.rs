//! A veto is a veto with every status, and keeps it (A3): whoever refuses, however it is reached, and whoever is told.

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use hotadd::{Error, EventKind, HardwareId, Notice, Partition, Registration, State, Status, Veto};
use hotadd_wire as wire;

use common::{Peer, Served};

const ONE: HardwareId = HardwareId(1);

/// Each first digit with the bounds of what follows it, what has a name, and some of all others, from a seed.
fn statuses() -> Vec<Status> {
    let rest = [0, 1, 0x11, 0xFFFF, 0x1_0000, 0x0FFF_0000, 0x0FFF_FFFF];
    let bounds = (0..16_u32).flat_map(|high| rest.map(|rest| high << 28 | rest));
    let named = Status::NAMED.iter().map(|status| status.to_raw());
    let mut random = fastrand::Rng::with_seed(0x8000_0011);
    let within: Vec<u32> = (0..100).map(|_| random.u32(..)).collect();
    bounds.chain(named).chain(within).map(Status::from_raw).collect()
}

/// What a veto of this status is counted as: a veto is always an error.
fn counted(status: Status) -> Status {
    if status.is_error() { status } else { Status::UNSUCCESSFUL }
}

/// Refuses every processor behind the replay with the status that is in the cell, and is told of failures.
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

/// Somebody who agrees before the others, and writes down with what status it is told that it was for nothing.
fn witness(partition: &Partition, told: &Arc<AtomicU32>) -> Registration {
    let told = Arc::clone(told);
    let driver = move |notice: &Notice| {
        if notice.state() == State::AddFailure {
            told.store(notice.status().to_raw(), Ordering::SeqCst);
        }
        Ok(())
    };
    partition.registration("witness").level(-1).without_replay().register(driver).unwrap()
}

/// That an add came to this veto, for whoever asked for it, whoever had agreed, and whoever looks it up.
fn was_refused(error: &Error, status: Status, told: &AtomicU32, served: &Served) {
    let Error::Vetoed { veto, .. } = error else { panic!("{status:?}: {error}") };
    assert_eq!(veto.status(), status, "{status:?} became another status");
    assert_eq!(veto.reason(), "not with this one", "{status:?}: the reason is lost");
    assert_eq!(told.load(Ordering::SeqCst), status.to_raw(), "{status:?}: AddFailure says another");
    let refused = served.wait(|event| event.kind == EventKind::Refused);
    assert_eq!(refused.status, Some(status), "the event of the refusal says another");
}

/// What the history's latest event of this kind has for a status.
fn written(peer: &Peer, event: &str) -> String {
    let lines: Vec<String> = peer.call("GetHistory", &100_u32).unwrap();
    let found = lines.iter().rev().find_map(|line| {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        (line["event"] == event).then(|| line["status"].as_str().unwrap().to_owned())
    });
    found.unwrap_or_else(|| panic!("no {event} in {lines:?}"))
}

#[test]
fn a3_an_agent_in_rust_refuses_with_every_status() {
    let served = Served::new(1, 1);
    let there = Partition::connect(&served.path).unwrap();
    let (status, told) = <(Arc<AtomicU32>, Arc<AtomicU32>)>::default();
    let _witness = witness(&there, &told);
    let party = refuses_with(&there, "refuses", &status, 0);
    let peer = served.peer();
    for tried in statuses() {
        status.store(tried.to_raw(), Ordering::SeqCst);
        for asks in [&served.partition, &there] {
            let error = asks.add(ONE).expect_err("it was refused");
            was_refused(&error, counted(tried), &told, &served);
        }
        assert!(party.is_registered(), "{tried:?}: a refusal is no crash");
        let expected = format!("0x{:08X}", counted(tried).to_raw());
        assert_eq!(written(&peer, "veto"), expected, "in the history");
        let rehearsal = there.rehearse(ONE).unwrap();
        let refusal = rehearsal.answers.iter().find_map(|given| given.answer.as_ref().err());
        assert_eq!(refusal.map(Veto::status), Some(counted(tried)), "in a rehearsal");
        // One that an outcome of the rehearsal has told of is not that of the next add.
        told.store(0, Ordering::SeqCst);
    }
}

#[test]
fn a3_a_bare_agent_refuses_with_every_status_in_both_forms_of_its_name() {
    let served = Served::new(1, 1);
    let told = Arc::<AtomicU32>::default();
    let _witness = witness(&served.partition, &told);
    let peer = served.peer();
    peer.register("bare", wire::LATER_ONLY, 0, 0);
    for tried in statuses() {
        let digits = format!("{:08X}", tried.to_raw());
        // The second is that of earlier versions. D-Bus has no place for it if it begins with a digit.
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
    assert!(parties.iter().any(|party| party.1 == "bare"), "a refusal is no crash");
}
