//! Processors that are plugged in: said once, when they can be added, and of nothing else.

use super::super::Intruders;
use super::super::fake::{Fake, Way};
use super::Rig;

#[test]
fn one_that_is_plugged_in_is_said_to_appear_once_by_event_or_by_the_list() {
    for deaf in [false, true] {
        let mut rig = Rig::new("0-3", "0-1", "0");
        rig.act(|w| w.plug(2));
        if deaf {
            rig.act(super::super::fake::World::lose);
        }
        assert!(rig.look(), "deaf: {deaf}");
        assert_eq!(rig.told(), ["2 appeared"], "deaf: {deaf}; 1 was there from the beginning");
        assert!(!rig.look(), "deaf: {deaf}: it is off still, and that is no news");
        rig.act(|w| w.pull(2));
        rig.look();
        rig.act(|w| w.plug(2));
        rig.look();
        assert_eq!(rig.told(), ["2 appeared"], "deaf: {deaf}: plugged in anew, it is news again");
    }
}

#[test]
fn one_that_is_pulled_and_plugged_between_two_looks_appears_again() {
    let mut rig = Rig::new("0-3", "0-2", "0-1");
    rig.act(|w| w.pull(2));
    rig.act(|w| w.plug(2));
    assert!(rig.look(), "the list is the same, and the events are not");
    assert_eq!(rig.told(), ["2 appeared"]);
}

#[test]
fn one_that_is_removed_or_taken_offline_does_not_appear() {
    let mut rig = Rig::new("0-3", "0-2", "0-2");
    rig.remove(2).unwrap();
    rig.act(|w| w.switch(1, false, Way::Switch));
    rig.told();
    rig.look();
    let told = rig.told();
    assert!(
        !told.iter().any(|line| line.ends_with("appeared")),
        "nothing was plugged in: {told:?}"
    );
}

#[test]
fn one_that_somebody_else_starts_at_once_joins_or_is_taken_off_and_appears_q3() {
    for (intruders, appears) in [(Intruders::Report, false), (Intruders::Revoke, true)] {
        let mut rig = Rig::with(Fake::new("0-3", "0-1", "0-1"), intruders);
        rig.act(|w| w.plug(2));
        rig.act(|w| w.switch(2, true, Way::Switch));
        assert!(rig.look());
        let told = rig.told();
        assert_eq!(told.contains(&"2 appeared".to_owned()), appears, "{intruders:?}: {told:?}");
        assert_eq!(rig.active().contains(&2), !appears, "{intruders:?}: who is in needs no adding");
    }
}

#[test]
fn one_without_a_switch_does_not_appear() {
    let mut rig = Rig::new("0-3", "0-1", "0");
    rig.act(|w| {
        w.fixed.insert(2);
        w.plug(2);
    });
    rig.look();
    assert_eq!(rig.told(), [""; 0], "it could not be added");
    rig.act(|w| {
        w.fixed.remove(&2);
    });
    assert!(rig.look(), "the kernel makes its files after it lists it");
    assert_eq!(rig.told(), ["2 appeared"]);
}
