//! A driver's process that is restarted gets the replay, takes part like any other, and is restarted only a
//! limited number of times.

use hotadd::{EventKind, HardwareId, Occasion, State};

use crate::case::{FAULTY, LONG};
use crate::healthy::{Fixture, told};
use crate::left::{comes_true, threads};
use crate::recorder::Told;

#[test]
fn l3_a_restarted_driver_gets_the_replay_and_is_asked_again() {
    let fixture = Fixture::empty();
    let driver = format!("sample:isolated,name={FAULTY},crash=remove-start");
    let host = fixture.host(FAULTY, &driver, LONG, 2, None).unwrap();
    for restart in 1..=2 {
        fixture.events();
        fixture.partition.remove(HardwareId(1)).unwrap_err();
        let mut events = fixture.events_until(EventKind::Registered, FAULTY);
        let deregistered = events.iter().position(|e| e.kind == EventKind::Deregistered);
        let replayed = events.split_off(deregistered.expect("L3: it was deregistered"));
        assert!(
            replayed.iter().all(|e| e.state.is_none() || e.occasion == Occasion::Replay),
            "restart {restart}: R3: only replay calls"
        );
        let call = |state, id| Told::new(FAULTY, state, id);
        let mut expected: Vec<Told> = (0..=restart).map(|id| call(State::AddStart, id)).collect();
        expected.extend((0..=restart).map(|id| call(State::AddComplete, id)));
        assert_eq!(told(&replayed), expected, "restart {restart}: R3: the whole replay, in order");
        let id = restart + 1;
        fixture.partition.add(HardwareId(id)).unwrap();
        let expected = [call(State::AddStart, id), call(State::AddComplete, id)];
        assert_eq!(told(&fixture.events()), expected, "restart {restart}: A1: it is asked again");
    }
    fixture.partition.remove(HardwareId(1)).unwrap_err();
    fixture.partition.remove(HardwareId(1)).unwrap();
    // The restart limit is reached, and the thread that restarts it has ended.
    let watched = || threads().any(|name| name == "hotadd-host");
    comes_true(|| !watched(), || "its third end is the last, and no thread watches it".to_owned());
    drop(host);
    let events = fixture.events();
    assert!(
        !events.iter().any(|event| event.kind == EventKind::Registered),
        "it is restarted exactly twice"
    );
}
