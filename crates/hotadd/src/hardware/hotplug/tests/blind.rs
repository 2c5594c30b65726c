//! Changes by others that hotadd cannot notice, and two partitions of one machine. docs/limits.md lists
//! exactly these.

use std::sync::Arc;
use std::time::Duration;

use hotadd_core::State;

use super::super::fake::{Way, World};
use super::super::{Hotplug, HotplugOptions, Intruders};
use super::{Rig, breach, line};
use crate::hardware::Hardware;
use crate::{HardwareId, Partition};

#[test]
fn a_blink_while_events_are_lost_is_not_noticed() {
    let mut rig = Rig::new("0-1", "0-1", "0-1");
    rig.act(|w| {
        w.switch(1, false, Way::Switch);
        w.switch(1, true, Way::Switch);
        w.lose();
    });
    assert!(!rig.look(), "the list is the same");
    assert_eq!((rig.told(), rig.active()), (vec![], vec![0, 1]));
}

#[test]
fn a_processor_replugged_while_events_are_lost_does_not_appear_again() {
    let mut rig = Rig::new("0-3", "0-2", "0-1");
    rig.act(|w| {
        w.pull(2);
        w.plug(2);
        w.lose();
    });
    rig.look();
    assert_eq!(rig.told(), [""; 0], "it was off before, and is off");
    assert_eq!(rig.partition.candidates().unwrap(), [HardwareId(2)], "it is still a candidate");
}

#[test]
fn a_processor_onlined_by_others_right_before_our_write_counts_as_agreed() {
    let mut rig = Rig::new("0-1", "0-1", "0");
    rig.act(|w| w.before = Some(Box::new(|w: &mut World| w.switch(1, true, Way::Switch))));
    rig.add(1).expect("all parties had agreed");
    assert_eq!(rig.told(), [line(State::AddStart, 1), line(State::AddComplete, 1)]);
    rig.look();
    assert_eq!((rig.told(), rig.active()), (vec![], vec![0, 1]));
}

#[test]
fn a_processor_blinked_by_others_right_before_our_write_joins_and_is_reported() {
    let mut rig = Rig::new("0-1", "0-1", "0");
    let blink = |w: &mut World| {
        w.switch(1, true, Way::Switch);
        w.switch(1, false, Way::Switch);
    };
    rig.act(|w| w.before = Some(Box::new(blink)));
    rig.add(1).expect("what we wrote has brought it online");
    assert_eq!(rig.told(), [line(State::AddStart, 1), line(State::AddComplete, 1)]);
    assert!(rig.look(), "that it went offline was said, and not when");
    let gone = format!("{} surprise", line(State::RemoveComplete, 1));
    assert_eq!(rig.told(), [breach(1), "1 joined".to_owned(), gone]);
    assert_eq!(rig.active(), [0, 1]);
}

#[test]
fn two_partitions_of_one_machine_report_each_others_adds_as_intrusions() {
    let mut rig = Rig::new("0-1", "0-1", "0");
    let options = HotplugOptions::new().intruders(Intruders::Report).poll(Duration::MAX);
    let other = Hotplug::on(Arc::new(rig.fake.clone()), options).unwrap();
    let other = Partition::from_hardware(Arc::new(other) as Arc<dyn Hardware>).unwrap();
    other.add(HardwareId(1)).unwrap();
    assert!(rig.look());
    assert_eq!(
        rig.told(),
        [breach(1), "1 joined".to_owned()],
        "the parties of the other partition are not ours"
    );
}
