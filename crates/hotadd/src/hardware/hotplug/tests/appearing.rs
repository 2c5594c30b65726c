//! Processors that are plugged in are reported once, when they can be added, and no others are.

use super::super::Intruders;
use super::super::fake::{Fake, Way};
use super::Rig;

#[test]
fn h2_a_plugged_processor_appears_once_by_event_or_list() {
    for deaf in [false, true] {
        let mut rig = Rig::new("0-3", "0-1", "0");
        rig.act(|w| w.plug(2));
        if deaf {
            rig.act(super::super::fake::World::lose);
        }
        assert!(rig.look(), "deaf: {deaf}");
        assert_eq!(rig.told(), ["2 appeared"], "deaf: {deaf}; 1 was there from the beginning");
        assert!(!rig.look(), "deaf: {deaf}: it is still offline, and does not appear again");
        rig.act(|w| w.pull(2));
        rig.look();
        rig.act(|w| w.plug(2));
        rig.look();
        assert_eq!(rig.told(), ["2 appeared"], "deaf: {deaf}: plugged in anew, it is news again");
    }
}

#[test]
fn h2_a_processor_replugged_between_two_looks_appears_again() {
    let mut rig = Rig::new("0-3", "0-2", "0-1");
    rig.act(|w| w.pull(2));
    rig.act(|w| w.plug(2));
    assert!(rig.look(), "the list is the same, and the events are not");
    assert_eq!(rig.told(), ["2 appeared"]);
}

#[test]
fn h2_a_removed_or_offlined_processor_does_not_appear() {
    let mut rig = Rig::new("0-3", "0-2", "0-2");
    rig.remove(2).unwrap();
    rig.act(|w| w.switch(1, false, Way::Switch));
    rig.told();
    rig.look();
    let told = rig.told();
    assert!(
        !told.iter().any(|line| line.ends_with("appeared")),
        "no processor was plugged in: {told:?}"
    );
}

#[test]
fn q3_a_plugged_processor_onlined_by_others_joins_or_is_revoked_and_appears() {
    for (intruders, appears) in [(Intruders::Report, false), (Intruders::Revoke, true)] {
        let mut rig = Rig::with(Fake::new("0-3", "0-1", "0-1"), intruders);
        rig.act(|w| w.plug(2));
        rig.act(|w| w.switch(2, true, Way::Switch));
        assert!(rig.look());
        let told = rig.told();
        assert_eq!(told.contains(&"2 appeared".to_owned()), appears, "{intruders:?}: {told:?}");
        assert_eq!(rig.active().contains(&2), !appears, "{intruders:?}: a member does not appear");
    }
}

#[test]
fn h2_a_processor_without_a_switch_does_not_appear() {
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

#[test]
fn h2_q4_from_the_event_to_the_write_sysfs_is_read_as_often_as_the_rules_need() {
    let mut rig = Rig::new("0-3", "0-1", "0-1");
    rig.act(|w| w.plug(2));
    rig.act(|w| w.looks.clear());
    assert!(rig.look());
    rig.add(2).unwrap();
    let looks = rig.fake.world().looks.clone();
    let until_the_write: Vec<_> = looks.into_iter().take_while(|look| *look != "write").collect();
    let check = ["online", "present", "access", "sequence"];
    // The switch that is opened here is the one that is written to.
    let admits = ["online", "switch"];
    let after_the_asking = ["online"];
    let start = ["sequence", "online"];
    let all = [&check[..], &admits, &after_the_asking, &start].concat();
    assert_eq!(until_the_write, all);
}
