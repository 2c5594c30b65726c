//! What other processes do to the processors: taking them offline, bringing them online, and both at once.

use std::collections::VecDeque;

use hotadd_core::{HardwareId, State};

use super::super::Intruders;
use super::super::fake::{Fake, Way, World};
use super::super::kernel::Errno;
use super::{Rig, breach, line};
use crate::hardware::{Hardware, Survey};

fn revoking(possible: &str, present: &str, online: &str) -> Rig {
    Rig::with(Fake::new(possible, present, online), Intruders::Revoke)
}

fn surprise(id: u32) -> String {
    line(State::RemoveComplete, id) + " surprise"
}

/// Offline and online again before a look.
fn blink(world: &mut World, id: u32) {
    world.switch(id, false, Way::Switch);
    world.switch(id, true, Way::Switch);
}

#[test]
fn x2_x3_an_offlined_processor_is_reported_and_keeps_its_index() {
    let mut rig = Rig::new("0-3", "0-2", "0-2");
    rig.act(|w| w.pull(1));
    rig.act(|w| w.switch(2, false, Way::Target));
    assert!(rig.look());
    let mut told = rig.told();
    told.sort_unstable();
    assert_eq!(told, [surprise(1), surprise(2)], "with an event and without");
    assert_eq!(rig.active(), [0]);
    rig.act(|w| w.plug(1));
    assert!(rig.look());
    assert_eq!(rig.told(), ["1 appeared"], "it is offline, and that alone asks no party");
    assert_eq!(rig.add(1).unwrap().processor.index.get(), 1);
}

#[test]
fn q3_a_processor_onlined_by_others_joins_without_agreement_and_is_reported() {
    for way in [Way::Switch, Way::Target] {
        let mut rig = Rig::new("0-3", "0-3", "0");
        rig.act(|w| w.switch(2, true, way));
        assert!(rig.look(), "{way:?}");
        assert_eq!(rig.told(), [breach(2), "2 joined".to_owned()], "{way:?}: no driver is told");
        let set = rig.partition.active();
        assert!(!set.is_agreed(set.by_id(HardwareId(2)).unwrap().index), "{way:?}");
        assert!(!rig.look(), "{way:?}: once");
        assert_eq!(rig.writes(), [], "{way:?}: nothing is written");
    }
}

#[test]
fn x2_q3_a_blink_between_two_looks_is_noticed_by_its_events() {
    let mut rig = Rig::new("0-1", "0-1", "0-1");
    rig.act(|w| blink(w, 1));
    assert!(rig.look(), "the list is the same, and the events are not");
    assert_eq!(rig.told(), [breach(1), "1 joined".to_owned(), surprise(1)], "drivers come last");
    assert_eq!(rig.active(), [0, 1]);
    assert!(!rig.look(), "once");

    rig.remove(1).unwrap();
    rig.add(1).unwrap();
    rig.told();
    assert!(!rig.look(), "the partition's own changes are not reported");
    rig.act(|w| {
        w.say("offline", 3);
        w.say("offline", 70_000);
        w.send(Ok(Some(b"offline@/devices/system/cpu/cpu1\0SYNTH_UUID=0\0SEQNUM=9999\0".into())));
        w.send(Ok(Some(b"offline@/devices/system/cpu/cpu1\0ACTION=offl".into())));
        w.send(Ok(Some(b"offline@/devices/system/cpu/cpu1\0SEQNUM=7\0".into())));
        w.send(Ok(None));
    });
    assert!(!rig.look(), "of one that cannot be, asked for, cut, old, a stranger's: all no news");
    assert_eq!(rig.told(), [""; 0]);
}

#[test]
fn x2_a_processor_that_joined_without_agreement_is_watched_like_others() {
    let mut rig = Rig::new("0-1", "0-1", "0");
    rig.act(|w| w.switch(1, true, Way::Switch));
    assert!(rig.look());
    rig.told();
    rig.act(|w| blink(w, 1));
    assert!(rig.look());
    assert_eq!(
        rig.told(),
        [breach(1), "1 joined".to_owned()],
        "the driver was told neither that it joined nor that it left (X4)"
    );
}

#[test]
fn x2_the_event_of_a_blink_may_come_after_a_look_that_saw_no_change() {
    let mut rig = Rig::new("0-1", "0-1", "0-1");
    rig.act(|w| blink(w, 1));
    assert_eq!(rig.hotplug.survey(&[HardwareId(0), HardwareId(1)]), Survey::default());
    assert!(rig.look(), "the event is still found");
    assert_eq!(rig.told(), [breach(1), "1 joined".to_owned(), surprise(1)]);
}

#[test]
fn x2_q3_lost_events_and_a_closed_socket_lead_to_reading_the_list() {
    let mut rig = Rig::new("0-3", "0-3", "0-1");
    rig.act(|w| {
        w.switch(1, false, Way::Switch);
        w.switch(2, true, Way::Switch);
        w.lose();
    });
    assert!(rig.look(), "ENOBUFS");
    assert_eq!(rig.active(), [0, 2]);
    rig.act(|w| {
        w.switch(3, true, Way::Switch);
        w.send(Err(Errno::BADF));
    });
    assert!(rig.look());
    rig.act(|w| w.switch(2, false, Way::Switch));
    assert!(rig.look(), "without a socket the poll does it");
    assert_eq!(rig.active(), [0, 3]);
}

#[test]
fn q3_an_unreadable_list_changes_nothing_and_is_reported_once() {
    let mut rig = Rig::new("0-1", "0-1", "0-1");
    rig.act(|w| w.readings.extend([Some(Errno::IO); 4]));
    assert!(rig.look());
    let says = "breach Q3: the list of online processors cannot be read: EIO (5)";
    assert_eq!((rig.told(), rig.active()), (vec![says.to_owned()], vec![0, 1]));
    assert!(!rig.look());
    assert!(!rig.look());
    assert!(rig.look(), "it can be read again");
    assert!(!rig.look());
    assert_eq!(rig.told(), [""; 0]);
}

#[test]
fn q3_an_intruder_is_revoked_and_reported() {
    let mut rig = revoking("0-3", "0-3", "0");
    rig.act(|w| w.switch(2, true, Way::Switch));
    assert!(rig.look());
    let says = "processor 2 was brought online by another process; it was taken offline again";
    assert_eq!(rig.told(), [format!("breach Q3: {says}")]);
    assert_eq!((rig.active(), rig.fake.world().online()), (vec![0], vec![0]));
    assert_eq!(rig.writes(), [(2, false)]);
    assert!(!rig.look(), "the event of the revocation is not reported");
    rig.add(2).expect("with agreement it joins");
    assert!(!rig.look());
    assert_eq!(rig.active(), [0, 2]);
}

#[test]
fn q3_an_intruder_that_cannot_be_revoked_joins_and_the_write_is_not_repeated() {
    let mut rig = revoking("0-3", "0-3", "0");
    rig.act(|w| {
        w.refusals.insert(1, VecDeque::from([Errno::BUSY]));
        w.switch(1, true, Way::Switch);
        w.switch(2, true, Way::Target);
    });
    assert!(rig.look());
    let cannot =
        |id, why| format!("breach Q3: processor {id} cannot be taken offline again: {why}");
    let why = "the kernel accepted the write, but it is still online";
    let mut told = rig.told();
    let mut expected = vec![cannot(1, "EBUSY (16)"), cannot(2, why)];
    expected.extend([breach(1), "1 joined".into(), breach(2), "2 joined".into()]);
    told.sort_unstable();
    expected.sort_unstable();
    assert_eq!(told, expected);
    assert_eq!(rig.writes(), [(1, false), (2, false)]);
    rig.act(|w| w.switch(3, true, Way::Switch));
    assert!(rig.look());
    assert_eq!(rig.writes(), [(3, false)], "a later look leaves the first two alone");
}

#[test]
fn q3_a_failed_revocation_of_an_intruder_without_an_index_is_not_repeated() {
    let rig = revoking("0-1", "0-1", "0");
    rig.act(|w| {
        w.refusals.insert(1, VecDeque::from([Errno::BUSY]));
        w.switch(1, true, Way::Switch);
    });
    // A partition without a free index asks like this, and continues without the processor.
    for look in 1..4 {
        assert_eq!(rig.hotplug.survey(&[HardwareId(0)]).intruded, [HardwareId(1)], "look {look}");
    }
    assert_eq!(rig.writes(), [(1, false)]);
}

#[test]
fn q3_a_repeated_intruder_is_revoked_only_a_limited_number_of_times() {
    let mut rig = revoking("0-1", "0-1", "0");
    for _ in 0..3 {
        rig.act(|w| w.switch(1, true, Way::Switch));
        assert!(rig.look());
        assert_eq!((rig.active(), rig.writes()), (vec![0], vec![(1, false)]));
    }
    rig.told();
    rig.act(|w| w.switch(1, true, Way::Switch));
    assert!(rig.look());
    let why = "breach Q3: processor 1 cannot be taken offline again: it was already taken offline 3 times";
    let told = rig.told();
    assert!(told.iter().any(|t| t == why) && told.contains(&breach(1)), "{told:?}");
    assert_eq!((rig.active(), rig.writes()), (vec![0, 1], vec![]));
    rig.remove(1).unwrap();
    rig.writes();
    rig.act(|w| w.switch(1, true, Way::Switch));
    assert!(rig.look());
    assert_eq!(rig.writes(), [(1, false)], "once it was removed by agreement it is as new");
}

#[test]
fn q3_the_last_processors_are_not_revoked() {
    let mut rig = revoking("0-2", "0-2", "0");
    rig.act(|w| {
        w.switch(2, true, Way::Switch);
        w.switch(1, true, Way::Switch);
        w.switch(0, false, Way::Switch);
    });
    assert!(rig.look());
    assert_eq!(
        (rig.active(), rig.writes()),
        (vec![1, 2], vec![]),
        "one processor must stay online"
    );
}

#[test]
fn q3_the_policy_for_intruders_may_change_and_joined_ones_stay() {
    let mut rig = Rig::new("0-3", "0-3", "0");
    rig.act(|w| w.switch(1, true, Way::Switch));
    assert!(rig.look());
    rig.hotplug.set_intruders(Intruders::Revoke);
    rig.act(|w| w.switch(2, true, Way::Switch));
    assert!(rig.look());
    assert_eq!(rig.active(), [0, 1], "the next one is taken offline again, the one before is not");
    assert_eq!(rig.writes(), [(2, false)]);
    rig.hotplug.set_intruders(Intruders::Report);
    rig.act(|w| w.switch(3, true, Way::Switch));
    assert!(rig.look());
    assert_eq!(rig.active(), [0, 1, 3]);
}
