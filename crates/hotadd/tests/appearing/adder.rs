//! An [`Adder`] adds what appears, once, with everybody's consent.

use std::sync::Arc;
use std::sync::mpsc::TryRecvError;

use hotadd::hardware::Simulated;
use hotadd::{Adder, EventKind, HardwareId, Notice, Partition, State};

use crate::rig::{LONG, Told, hardware, hear, next, thread_of_the_add};

/// A partition that reports, and what becomes of those that are added.
fn rig() -> (Arc<Simulated>, Partition, Told) {
    let hardware = hardware();
    let partition = Partition::simulated(&hardware).unwrap();
    let verdicts = hear(&partition, &[EventKind::Joined, EventKind::Refused]);
    (hardware, partition, verdicts)
}

#[test]
fn a1_what_appears_is_added_in_order_and_a_refused_one_is_not_tried_again() {
    let (hardware, partition, verdicts) = rig();
    let refuses = |notice: &Notice| match (notice.state(), notice.processor().id) {
        (State::AddStart, HardwareId(3)) => Err("not this one".into()),
        _ => Ok(()),
    };
    let _party = partition.register("party", refuses).unwrap();
    let adder = Adder::start(&partition).unwrap();
    (2..5).for_each(|id| hardware.plug(HardwareId(id)));
    let next = || next(&verdicts);
    let three = [next(), next(), next()];
    let (joined, refused) = (EventKind::Joined, EventKind::Refused);
    assert_eq!(
        three,
        [(joined, 2), (refused, 3), (joined, 4)],
        "A3: a veto keeps out one, not those behind"
    );
    // The partition looks at the hardware again, and finds a candidate that was refused and one that was removed.
    partition.remove(HardwareId(2)).unwrap();
    hardware.plug(HardwareId(3));
    hardware.plug(HardwareId(5));
    assert_eq!(next(), (joined, 5), "neither 2 nor 3 is tried again by itself");
    hardware.unplug(HardwareId(3));
    hardware.plug(HardwareId(3));
    assert_eq!(next(), (refused, 3), "one that is plugged in anew has appeared anew");
    adder.add([HardwareId(2)]);
    assert_eq!(next(), (joined, 2), "when it is asked for");
}

#[test]
fn nothing_is_added_once_it_has_ended() {
    let (hardware, partition, verdicts) = rig();
    let (driver, ended) = thread_of_the_add();
    let _party = partition.register("party", driver).unwrap();
    let adder = Adder::start(&partition).unwrap();
    hardware.plug(HardwareId(2));
    assert_eq!(next(&verdicts), (EventKind::Joined, 2));
    drop(adder);
    ended.recv_timeout(LONG).expect("its thread ends, although the partition lives");
    hardware.plug(HardwareId(3));
    partition.add(HardwareId(4)).unwrap_err();
    assert_eq!(next(&verdicts), (EventKind::Refused, 4), "nothing was decided of 3 before");
}

#[test]
fn it_does_not_keep_its_partition_and_its_thread_ends_with_that() {
    let (hardware, partition, verdicts) = rig();
    let (driver, ended) = thread_of_the_add();
    let party = partition.register("party", driver).unwrap();
    let adder = Adder::start(&partition).unwrap();
    hardware.plug(HardwareId(2));
    assert_eq!(next(&verdicts), (EventKind::Joined, 2));
    drop((party, partition));
    ended.recv_timeout(LONG).expect("its thread ends with the partition, and not with itself");
    assert_eq!(
        verdicts.try_recv(),
        Err(TryRecvError::Disconnected),
        "the partition and its observers are gone"
    );
    drop(adder);
}

#[test]
fn one_that_has_joined_before_its_turn_is_passed_over() {
    let (hardware, partition, verdicts) = rig();
    let adder = Adder::listen(&partition).unwrap();
    (2..4).for_each(|id| hardware.plug(HardwareId(id)));
    partition.add(HardwareId(2)).unwrap();
    adder.begin();
    let two = [(); 2].map(|()| next(&verdicts));
    let joined = EventKind::Joined;
    assert_eq!(two, [(joined, 2), (joined, 3)], "it is not refused for being active already");
}

#[test]
fn what_appears_before_it_begins_is_added_then_and_each_once() {
    let (hardware, partition, verdicts) = rig();
    let adder = Adder::listen(&partition).unwrap();
    (2..4).for_each(|id| hardware.plug(HardwareId(id)));
    hardware.unplug(HardwareId(2));
    hardware.plug(HardwareId(2));
    adder.add([HardwareId(3)]);
    assert_eq!(partition.count(), 2, "nobody is asked before it has begun");
    adder.begin();
    hardware.plug(HardwareId(4));
    let three = [(); 3].map(|()| next(&verdicts));
    let joined = EventKind::Joined;
    assert_eq!(
        three,
        [(joined, 2), (joined, 3), (joined, 4)],
        "each once, although two were named twice"
    );
}
