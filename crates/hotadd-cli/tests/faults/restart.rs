//! A driver's process that is started again: it hears the replay, takes part like any other, and only so often.

use hotadd::{EventKind, HardwareId, Occasion, State};

use crate::case::{FAULTY, LONG};
use crate::healthy::{Stage, told};
use crate::left::{comes_true, threads};
use crate::recorder::Told;

#[test]
fn l3_one_that_is_started_again_hears_of_what_is_active_and_is_asked_next_time() {
    let stage = Stage::empty();
    let driver = format!("sample:isolated,name={FAULTY},crash=remove-start");
    let host = stage.host(FAULTY, &driver, LONG, 2, None).unwrap();
    for restart in 1..=2 {
        stage.events();
        stage.partition.remove(HardwareId(1)).unwrap_err();
        let mut events = stage.events_until(EventKind::Registered, FAULTY);
        let deregistered = events.iter().position(|e| e.kind == EventKind::Deregistered);
        let replayed = events.split_off(deregistered.expect("L3: it was deregistered"));
        assert!(
            replayed.iter().all(|e| e.state.is_none() || e.occasion == Occasion::Replay),
            "restart {restart}: R3: all it hears is the replay"
        );
        let call = |state, id| Told::new(FAULTY, state, id);
        let mut expected: Vec<Told> = (0..=restart).map(|id| call(State::AddStart, id)).collect();
        expected.extend((0..=restart).map(|id| call(State::AddComplete, id)));
        assert_eq!(told(&replayed), expected, "restart {restart}: R3: it hears of all, in order");
        let id = restart + 1;
        stage.partition.add(HardwareId(id)).unwrap();
        let expected = [call(State::AddStart, id), call(State::AddComplete, id)];
        assert_eq!(told(&stage.events()), expected, "restart {restart}: A1: it is asked again");
    }
    stage.partition.remove(HardwareId(1)).unwrap_err();
    stage.partition.remove(HardwareId(1)).unwrap();
    // It was started again as often as was said. Whoever would start it once more is gone.
    let watched = || threads().any(|name| name == "hotadd-host");
    comes_true(|| !watched(), || "its third end is the last, and nobody watches it".to_owned());
    drop(host);
    let events = stage.events();
    assert!(
        !events.iter().any(|event| event.kind == EventKind::Registered),
        "it comes back twice and not more often"
    );
}
