//! Who waits for processors to be plugged in is told of each, once.

use std::sync::mpsc::Receiver;
use std::time::Duration;

use hotadd_core::HardwareId;

use super::super::fake::{Fake, World};
use super::super::{Hotplug, HotplugOptions};
use super::Rig;
use crate::Partition;

fn named(arrivals: &Receiver<HardwareId>) -> Vec<u32> {
    arrivals.try_iter().map(|id| id.0).collect()
}

#[test]
fn each_that_is_plugged_in_is_named_once() {
    let mut rig = Rig::new("0-7", "0-2", "0-1");
    let arrivals = rig.hotplug.arrivals().unwrap();
    rig.look();
    assert_eq!(named(&arrivals), [], "those that are there already are the candidates");
    rig.act(|w| [5, 3].iter().for_each(|id| w.plug(*id)));
    rig.look();
    assert_eq!(named(&arrivals), [3, 5]);
    rig.act(|w| w.plug(6));
    // The list is read for another reason before the event is.
    rig.hotplug.greet();
    assert_eq!(named(&arrivals), [6]);
    rig.look();
    assert_eq!(named(&arrivals), [], "its event is no second arrival");
    rig.act(|w| {
        w.plug(7);
        w.lose();
    });
    rig.look();
    assert_eq!(named(&arrivals), [7], "though its event was lost");
}

#[test]
fn one_that_is_pulled_out_and_plugged_in_again_is_named_again() {
    let mut rig = Rig::new("0-3", "0-2", "0-1");
    let arrivals = rig.hotplug.arrivals().unwrap();
    rig.act(|w| {
        w.pull(1);
        w.plug(1);
    });
    assert!(rig.look(), "it has left (X2)");
    assert_eq!(named(&arrivals), [1], "between two looks");
    rig.add(1).unwrap();
    rig.act(|w| w.pull(1));
    rig.look();
    assert_eq!(named(&arrivals), [], "there is nothing to add");
    rig.act(|w| w.plug(1));
    rig.look();
    assert_eq!(named(&arrivals), [1], "with a look in between");
    for act in [World::pull, World::plug] {
        rig.act(|w| act(w, 1));
        // The list is read before the event is.
        rig.hotplug.greet();
    }
    assert_eq!(named(&arrivals), [1]);
    rig.look();
    assert_eq!(named(&arrivals), [], "the event of its going is of before it came");
}

#[test]
fn one_that_is_half_in_is_named_when_it_has_its_switch() {
    let mut rig = Rig::new("0-3", "0", "0");
    let arrivals = rig.hotplug.arrivals().unwrap();
    rig.act(|w| {
        w.fixed.insert(1);
        w.plug(1);
    });
    rig.look();
    assert_eq!(named(&arrivals), [], "it could not be added yet");
    rig.act(|w| w.fixed.clear());
    rig.look();
    assert_eq!(named(&arrivals), [1]);
}

#[test]
fn everybody_who_listens_is_told_and_who_has_gone_holds_up_nobody() {
    let mut rig = Rig::new("0-3", "0", "0");
    let [first, second] = [rig.hotplug.arrivals().unwrap(), rig.hotplug.arrivals().unwrap()];
    drop(first);
    rig.act(|w| w.plug(2));
    rig.look();
    assert_eq!(named(&second), [2]);
    drop(second);
    rig.act(|w| w.plug(3));
    rig.look();
    assert!(!rig.hotplug.lock().arrivals.has_listeners(), "nobody is left");
    let third = rig.hotplug.arrivals().unwrap();
    rig.look();
    assert_eq!(named(&third), [], "what came before is among the candidates");
}

#[test]
fn the_watcher_names_them_without_being_asked_and_the_list_ends_with_the_backend() {
    let fake = Fake::new("0-3", "0", "0");
    let options = HotplugOptions::new().poll(Duration::MAX);
    let hotplug = std::sync::Arc::new(Hotplug::on(Box::new(fake.clone()), options).unwrap());
    let arrivals = hotplug.arrivals().unwrap();
    let partition = Partition::over(hotplug).unwrap();
    fake.world().plug(2);
    let id = arrivals.recv_timeout(Duration::from_secs(20)).expect("there was an event");
    partition.add(id).unwrap();
    drop(partition);
    assert!(arrivals.recv().is_err(), "it does not wait for ever");
}
