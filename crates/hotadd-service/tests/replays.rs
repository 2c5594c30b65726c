//! A replay can be told from a live add by who wants to tell (Q5): in this process, in another, and by a bare agent.

mod common;

use std::sync::{Arc, Mutex};
use std::thread;

use hotadd::{HardwareId, Notice, Partition, State};
use hotadd_wire::WireNotice;
use zbus::zvariant::{OwnedValue, Value};

use common::Served;

type Details = std::collections::HashMap<String, OwnedValue>;

/// What a driver was told, and whether as a replay.
fn heard_by(partition: &Partition, served: &Served) -> Vec<String> {
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
fn q5_a_driver_can_tell_a_replay_here_and_in_another_process() {
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
    assert_eq!(heard_by(&served.partition, &served), expected, "in this process");
    assert_eq!(heard_by(&there, &served), expected, "in another");
}

#[test]
fn q5_a_bare_agent_finds_replay_among_the_details_of_a_replay_and_of_no_other_call() {
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
        assert_eq!(replay(), (state.name().to_owned(), None), "an add is none");
    }
    adding.join().unwrap().unwrap();
}

#[test]
fn q5_an_agent_of_another_version_that_says_nothing_of_replays_is_understood() {
    let without = (7_u64, (1_u32, 0_u16, 1_u8, 1_u32), 3_u64, hotadd_wire::Details::default());
    let without: WireNotice = without;
    let (_, notice, _) = hotadd_wire::read_notice(State::AddStart, without).unwrap();
    assert!(!notice.is_replay());
}
