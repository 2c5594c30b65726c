//! An [`Adder`] adds each appearing processor once, with the agreement of all parties.

use std::sync::Arc;
use std::sync::mpsc::{TryRecvError, channel};

use hotadd::hardware::Simulated;
use hotadd::{Adder, EventKind, HardwareId, Notice, Partition, State};

use crate::fixture::{LONG, Told, hardware, hear, next, thread_of_the_add};

/// A partition that reports appearances, and the outcomes of adds.
fn fixture() -> (Arc<Simulated>, Partition, Told) {
    let hardware = hardware();
    let partition = Partition::simulated(&hardware).unwrap();
    let verdicts = hear(&partition, &[EventKind::Joined, EventKind::Refused]);
    (hardware, partition, verdicts)
}

#[test]
fn a1_appearing_processors_are_added_in_order_and_refused_ones_not_tried_again() {
    let (hardware, partition, verdicts) = fixture();
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
        "A3: a veto keeps out one processor and not the next"
    );
    // The partition looks at the hardware again and finds two candidates: one refused, one removed.
    partition.remove(HardwareId(2)).unwrap();
    hardware.plug(HardwareId(3));
    hardware.plug(HardwareId(5));
    assert_eq!(next(), (joined, 5), "2 and 3 are not tried again by themselves");
    hardware.unplug(HardwareId(3));
    hardware.plug(HardwareId(3));
    assert_eq!(next(), (refused, 3), "a replugged processor appears again");
    adder.add([HardwareId(2)]);
    assert_eq!(next(), (joined, 2), "an explicit request adds it");
}

#[test]
fn a7_a9_processors_plugged_in_together_are_decided_one_by_one_and_asked_about_once() {
    let (hardware, partition, verdicts) = fixture();
    let (sender, calls) = channel();
    let refuses = move |notice: &Notice| {
        let of = notice.processor();
        sender.send((notice.state(), of.id.0, of.index.get())).unwrap();
        if (notice.state(), of.id) == (State::AddStart, HardwareId(3)) {
            return Err("not this one".into());
        }
        Ok(())
    };
    let party = partition.registration("party").without_replay().register(refuses).unwrap();
    let adder = Adder::listen(&partition).unwrap();
    (2..6).for_each(|id| hardware.plug(HardwareId(id)));
    adder.begin();
    let four = [(); 4].map(|()| next(&verdicts));
    let (joined, refused) = (EventKind::Joined, EventKind::Refused);
    assert_eq!(four, [(joined, 2), (refused, 3), (joined, 4), (joined, 5)]);
    drop(party);
    let (start, complete) = (State::AddStart, State::AddComplete);
    let all = [
        (start, 2, 2),
        (complete, 2, 2),
        (start, 3, 3),
        // The refused one has left its index to the next, which an earlier question could not have known.
        (start, 4, 3),
        (complete, 4, 3),
        (start, 5, 4),
        (complete, 5, 4),
    ];
    assert_eq!(calls.iter().collect::<Vec<_>>(), all, "one add at a time, each asked about once");
}

#[test]
fn no_processor_is_added_after_the_adder_ended() {
    let (hardware, partition, verdicts) = fixture();
    let (driver, ended) = thread_of_the_add();
    let _party = partition.register("party", driver).unwrap();
    let adder = Adder::start(&partition).unwrap();
    hardware.plug(HardwareId(2));
    assert_eq!(next(&verdicts), (EventKind::Joined, 2));
    drop(adder);
    ended.recv_timeout(LONG).expect("its thread ends, although the partition lives");
    hardware.plug(HardwareId(3));
    partition.add(HardwareId(4)).unwrap_err();
    assert_eq!(next(&verdicts), (EventKind::Refused, 4), "processor 3 was not decided before");
}

#[test]
fn an_adder_does_not_keep_its_partition_and_ends_with_it() {
    let (hardware, partition, verdicts) = fixture();
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
fn a_processor_that_joined_before_its_turn_is_skipped() {
    let (hardware, partition, verdicts) = fixture();
    let adder = Adder::listen(&partition).unwrap();
    (2..4).for_each(|id| hardware.plug(HardwareId(id)));
    partition.add(HardwareId(2)).unwrap();
    adder.begin();
    let two = [(); 2].map(|()| next(&verdicts));
    let joined = EventKind::Joined;
    assert_eq!(two, [(joined, 2), (joined, 3)], "a processor that is active already is skipped");
}

#[test]
fn processors_that_appeared_before_the_adder_began_are_added_once() {
    let (hardware, partition, verdicts) = fixture();
    let adder = Adder::listen(&partition).unwrap();
    (2..4).for_each(|id| hardware.plug(HardwareId(id)));
    hardware.unplug(HardwareId(2));
    hardware.plug(HardwareId(2));
    adder.add([HardwareId(3)]);
    assert_eq!(partition.count(), 2, "no processor is added before the adder begins");
    adder.begin();
    hardware.plug(HardwareId(4));
    let three = [(); 3].map(|()| next(&verdicts));
    let joined = EventKind::Joined;
    assert_eq!(
        three,
        [(joined, 2), (joined, 3), (joined, 4)],
        "each is added once, although two were named twice"
    );
}
