//! What appears is added, once, with everybody's consent.

use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use hotadd::hardware::Simulated;
use hotadd::{EventKind, HardwareId, Notice, Partition, State};
use hotadd_service::Adder;

/// Far longer than anything here takes.
const LONG: Duration = Duration::from_secs(30);

/// Processors 0 and 1, of which 2 to 5 are not plugged in, and what becomes of those that are added.
fn rig() -> (std::sync::Arc<Simulated>, Partition, Receiver<(EventKind, u32)>) {
    let hardware = Simulated::new(2, 4).unwrap();
    (2..6).for_each(|id| hardware.unplug(HardwareId(id)));
    let partition = Partition::simulated(&hardware).unwrap();
    let (sender, verdicts) = channel();
    let observe = move |event: &hotadd::Event| {
        if matches!(event.kind, EventKind::Joined | EventKind::Refused) {
            let _ = sender.send((event.kind, event.id.unwrap().0));
        }
    };
    partition.observe(observe).unwrap().keep();
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
    let next = || verdicts.recv_timeout(LONG).expect("a verdict comes");
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
    drop(Adder::start(&partition).unwrap());
    hardware.plug(HardwareId(2));
    // Whatever it would have added, it would have added before this one, or has ended.
    drop(partition);
    assert_eq!(
        verdicts.recv_timeout(LONG),
        Err(std::sync::mpsc::RecvTimeoutError::Disconnected),
        "its thread has ended, and added nothing"
    );
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
    let three = std::iter::repeat_with(|| verdicts.recv_timeout(LONG).expect("a verdict comes"));
    let joined = EventKind::Joined;
    assert_eq!(
        three.take(3).collect::<Vec<_>>(),
        [(joined, 2), (joined, 3), (joined, 4)],
        "each once, although two were named twice"
    );
}
