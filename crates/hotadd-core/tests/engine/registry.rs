//! The registry, and what a veto is (R6, R7, D2, A2).

use std::rc::Rc;

use hotadd_core::{Errno, Level, PartyId, Registry, Status, Veto};

use crate::rig::Member;

fn member(name: &'static str, level: i32, id: u64) -> Member {
    Member { name, level, id, departed: Rc::default() }
}

fn names(registry: &Registry<Member>) -> Vec<&'static str> {
    registry.parties().iter().map(|d| d.name).collect()
}

#[test]
fn r6_the_same_party_registered_twice_is_two_registrations() {
    let mut registry = Registry::new(8);
    registry.insert(member("same", 0, 1));
    registry.insert(member("same", 0, 2));
    assert_eq!(names(&registry), ["same", "same"]);
    registry.remove(Level(0), false, PartyId(1)).unwrap();
    assert!(registry.find(PartyId(2)).is_some(), "each is its own");
}

#[test]
fn r7_a_full_registry_admits_nobody_until_somebody_leaves() {
    let mut registry = Registry::new(2);
    for id in 1..=2 {
        assert_eq!(registry.admits(), Ok(()));
        registry.insert(member("x", 0, id));
    }
    assert_eq!(registry.admits(), Err(Status::QUOTA_EXCEEDED));
    registry.remove(Level(0), false, PartyId(1)).unwrap();
    assert_eq!(registry.admits(), Ok(()));
    assert_eq!(registry.limit(), 2);
}

#[test]
fn a1_calling_order_is_level_then_registration() {
    let mut registry = Registry::new(8);
    let order = [("c", 1), ("a", i32::MIN), ("d", 1), ("b", 0), ("e", i32::MAX)];
    for (id, (name, level)) in order.into_iter().enumerate() {
        registry.insert(member(name, level, id as u64));
    }
    assert_eq!(names(&registry), ["a", "b", "c", "d", "e"]);
}

#[test]
fn d2_a_stale_foreign_or_repeated_handle_changes_nothing_and_is_reported() {
    let mut registry = Registry::new(8);
    registry.insert(member("a", 0, 1));
    registry.insert(member("b", 3, 2));
    let gone = Err(Status::INVALID_HANDLE);
    let status = |result: Result<Member, Status>| result.map(|_| ());
    assert_eq!(status(registry.remove(Level(0), false, PartyId(9))), gone, "never given out");
    assert_eq!(status(registry.remove(Level(0), false, PartyId(2))), gone, "right id, wrong level");
    assert_eq!(status(registry.remove(Level(0), false, PartyId(0))), gone, "null");
    assert_eq!(names(&registry), ["a", "b"], "nobody was taken out by mistake");
    assert_eq!(registry.remove(Level(0), false, PartyId(1)).unwrap().name, "a");
    assert_eq!(status(registry.remove(Level(0), false, PartyId(1))), gone, "a second time");
    assert_eq!(names(&registry), ["b"]);
}

#[test]
fn d3_a_sweep_takes_out_exactly_those_who_departed() {
    let mut registry = Registry::new(8);
    for (id, name) in ["a", "b", "c", "d"].into_iter().enumerate() {
        registry.insert(member(name, 0, id as u64));
    }
    for at in [1, 3] {
        registry.parties()[at].departed.set(true);
    }
    let swept: Vec<_> = registry.sweep().iter().map(|d| d.name).collect();
    assert_eq!(swept, ["b", "d"]);
    assert_eq!(names(&registry), ["a", "c"]);
    assert!(registry.sweep().is_empty());
}

#[test]
fn a2_a_veto_is_always_an_error_whatever_status_it_was_made_of() {
    let informational = Status::from_raw(0x4000_0000);
    for status in [Status::SUCCESS, Status::PENDING, Status::TIMEOUT, informational] {
        let veto = Veto::new(status, "no");
        assert_eq!(veto.status(), Status::UNSUCCESSFUL, "made of {status:?}");
    }
    for status in [Status::DEVICE_BUSY, Status::NO_MEMORY, Status::from_raw(0xFFFF_FFFF)] {
        assert_eq!(
            Veto::from(status).status(),
            status,
            "warnings and unnamed errors veto as they are"
        );
    }
    assert_eq!(Veto::from(Errno::ENOMEM).status(), Status::INSUFFICIENT_RESOURCES);
    assert_eq!(Veto::from("busy").reason(), "busy");
    assert!(!Veto::from("busy").is_crash(), "a party that refuses has not crashed (L3)");
    assert!(Veto::crash(Status::IO_TIMEOUT, "silent").is_crash());
}
