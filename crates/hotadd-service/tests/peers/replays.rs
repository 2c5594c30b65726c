//! A replay can be told from a live add (Q5): by a driver in this process, by one in another, and by a bare agent.

use std::sync::{Arc, Mutex};
use std::thread;

use hotadd::{HardwareId, Notice, Partition, State};
use hotadd_wire::WireNotice;
use zbus::zvariant::{OwnedValue, Value};

use crate::common::Served;

type Details = std::collections::HashMap<String, OwnedValue>;

/// The calls of a driver, each marked as replay or live.
fn calls_of(partition: &Partition, served: &Served) -> Vec<String> {
    let heard = Arc::<Mutex<Vec<String>>>::default();
    let told = Arc::clone(&heard);
    let driver = move |notice: &Notice| {
        let how = if notice.is_replay() { "replay" } else { "live" };
        let line = format!("{} {} {how}", notice.state(), notice.processor().id);
        told.lock().unwrap().push(line);
        Ok(())
    };
    let registration = partition.register("driver", driver).unwrap();
    served.partition.add(HardwareId(2)).unwrap();
    assert!(served.partition.rehearse(HardwareId(3)).unwrap().is_agreed());
    served.partition.remove(HardwareId(2)).unwrap();
    drop(registration);
    let mut heard = heard.lock().unwrap();
    std::mem::take(&mut *heard)
}

#[test]
fn q5_a_driver_in_any_process_can_tell_a_replay_from_a_live_add() {
    let served = Served::new(2, 2);
    let there = Partition::connect(&served.path).unwrap();
    let expected = [
        "AddStart 0 replay",
        "AddStart 1 replay",
        "AddComplete 0 replay",
        "AddComplete 1 replay",
        "AddStart 2 live",
        "AddComplete 2 live",
        "AddStart 3 live",
        "AddFailure 3 live",
    ];
    assert_eq!(calls_of(&served.partition, &served), expected, "in this process");
    assert_eq!(calls_of(&there, &served), expected, "in another");
}

#[test]
fn q5_only_the_calls_of_a_replay_have_the_detail_replay() {
    let served = Served::new(1, 1);
    let peer = served.peer();
    let replay = || {
        let call = peer.called();
        let state = call.header().member().unwrap().to_string();
        let body = call.body();
        let (.., details): (u64, (u32, u16, u8, u32), u64, Details) = body.deserialize().unwrap();
        peer.agree(&call);
        (state, details.get("replay").map(|value| **value == Value::from(true)))
    };
    peer.begin_register("bare", 0, 0, 0);
    for state in [State::AddStart, State::AddComplete] {
        assert_eq!(replay(), (state.name().to_owned(), Some(true)));
    }
    peer.end::<(u64, u64)>().unwrap();
    let partition = served.adder();
    let adding = thread::spawn(move || partition.add(HardwareId(1)));
    for state in [State::AddStart, State::AddComplete] {
        assert_eq!(replay(), (state.name().to_owned(), None), "a live add is not a replay");
    }
    adding.join().unwrap().unwrap();
}

#[test]
fn q5_a_notice_without_the_detail_replay_is_read_as_live() {
    let without = (7_u64, (1_u32, 0_u16, 1_u8, 1_u32), 3_u64, hotadd_wire::Details::default());
    let without: WireNotice = without;
    let (_, notice) = hotadd_wire::read_notice(State::AddStart, without).unwrap();
    assert!(!notice.is_replay());
}
