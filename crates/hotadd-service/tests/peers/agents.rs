//! Agents in other processes, as the contract has it: replays, vetoes, unwinding, levels, all at once.

use std::thread;

use hotadd::{EventKind, HardwareId, State, Status};
use hotadd_wire::{self as wire, WireProcessor};

use crate::common::{Peer, Served};

/// What Add returns.
type Changed = (WireProcessor, u64);

#[test]
fn an_agent_hears_the_replay_then_is_asked_and_told() {
    let served = Served::new(2, 1);
    let peer = served.peer();
    peer.begin_register("pool", 0, 0, 0);
    let mut heard = Vec::new();
    for _ in 0..4 {
        let asked = peer.asked();
        assert_eq!(asked.path, "/pool");
        heard.push((asked.notice.state(), asked.notice.processor().id.0));
        peer.agree(&asked.call);
    }
    use State::{AddComplete, AddStart};
    assert_eq!(heard, [(AddStart, 0), (AddStart, 1), (AddComplete, 0), (AddComplete, 1)]);
    let (party, epoch) = peer.end::<(u64, u64)>().unwrap();
    assert_eq!(epoch, served.partition.epoch().0);

    peer.begin("Add", &2_u32);
    let asked = peer.asked();
    assert_eq!((asked.notice.state(), asked.party), (AddStart, party));
    // Before it answers: behind that the processor may have joined at any moment (A5).
    assert_eq!(served.partition.count(), 2);
    peer.agree(&asked.call);
    peer.agrees_to(AddComplete, party);
    let (processor, epoch) = peer.end::<Changed>().unwrap();
    assert_eq!(processor, (2, 0, 2, 2));
    assert_eq!(epoch, served.partition.epoch().0);
    assert_eq!(served.partition.count(), 3);
}

#[test]
fn the_requester_gets_the_reason_and_status_of_a_veto() {
    let served = Served::new(1, 1);
    let (agent, other) = (served.peer(), served.peer());
    let party = agent.register("pool", wire::LATER_ONLY, 0, 0);
    other.begin("Add", &1_u32);
    let asked = agent.asked();
    assert_eq!((asked.notice.state(), asked.party), (State::AddStart, party));
    agent.refuse(&asked.call, "org.hotadd.Error.Status.C000009A", "no \x1b[31mmemory");
    let failure = other.end::<Changed>().unwrap_err();
    assert_eq!(failure.name, "org.hotadd.Error.Vetoed");
    let (message, status, errno, id, name) = failure.body.unwrap();
    assert_eq!((status, errno, id, name.as_str()), (0xC000_009A, 0, 1, "pool"));
    assert!(message.contains("pool refused to add processor 1"), "{message}");
    assert!(
        message.contains("no \u{fffd}[31mmemory"),
        "control characters are not passed on: {message}"
    );
    let refused = other.signal("Refused").body().deserialize::<(u32, String, u32, String)>();
    assert_eq!(refused.unwrap().1, "pool");
}

#[test]
fn errors_of_other_names_veto_with_a_status_of_their_own() {
    let served = Served::new(1, 1);
    let agent = served.peer();
    agent.register("pool", wire::LATER_ONLY, 0, 0);
    let partition = served.adder();
    let add = thread::spawn(move || partition.add(HardwareId(1)).unwrap_err());
    let call = agent.asked().call;
    let error = zbus::Message::error(&call.header(), "com.example.Full").unwrap();
    agent.send(&error.build(&()).unwrap());
    let error = add.join().unwrap();
    assert_eq!(error.status(), Status::UNSUCCESSFUL);
    assert_eq!(error.reason(), "it answered with the error com.example.Full");
}

#[test]
fn a_refused_replay_registers_no_party() {
    let served = Served::new(2, 0);
    let peer = served.peer();
    peer.begin_register("pool", 0, 0, 0);
    let first = peer.asked();
    peer.agree(&first.call);
    let second = peer.asked();
    peer.refuse(&second.call, &wire::veto_error(Status::NO_MEMORY), "one is enough");
    let undo = peer.asked();
    assert_eq!(undo.notice.state(), State::AddFailure);
    assert_eq!(undo.notice.processor(), first.notice.processor());
    assert_eq!(undo.notice.status(), Status::NO_MEMORY);
    peer.agree(&undo.call);
    let failure = peer.end::<(u64, u64)>().unwrap_err();
    assert_eq!(failure.name, "org.hotadd.Error.NotJoining");
    let parties: Vec<(u64, String, i32, bool)> = peer.call("GetParties", &()).unwrap();
    assert!(parties.is_empty());
}

#[test]
fn all_of_a_level_are_asked_before_any_answers() {
    let served = Served::new(1, 1);
    let (first, second) = (served.peer(), served.peer());
    let a = first.register("first", wire::LATER_ONLY, 0, 0);
    let b = second.register("second", wire::LATER_ONLY, 0, 0);
    let partition = served.adder();
    let add = thread::spawn(move || partition.add(HardwareId(1)).unwrap());
    for state in [State::AddStart, State::AddComplete] {
        let (one, other) = (first.asked(), second.asked());
        assert_eq!((one.notice.state(), one.party), (state, a));
        assert_eq!((other.notice.state(), other.party), (state, b));
        second.agree(&other.call);
        first.agree(&one.call);
    }
    assert_eq!(add.join().unwrap().processor.id, HardwareId(1));
}

#[test]
fn a_higher_level_is_asked_behind_a_lower_one() {
    let served = Served::new(1, 1);
    let peer = served.peer();
    let high = peer.register("high", wire::LATER_ONLY, 5, 0);
    let low = peer.register("low", wire::LATER_ONLY, -5, 0);
    let parties: Vec<(u64, String, i32, bool)> = peer.call("GetParties", &()).unwrap();
    let expected = [(low, "low".to_owned(), -5, true), (high, "high".to_owned(), 5, true)];
    assert_eq!(parties, expected);
    peer.begin("Add", &1_u32);
    let asked = peer.asked();
    assert_eq!(asked.party, low);
    peer.ping();
    peer.was_not_asked();
    let waiting: Vec<(String, String, u32, u64)> = peer.call("GetWaiting", &()).unwrap();
    assert_eq!(
        (waiting.len(), waiting[0].0.as_str(), waiting[0].1.as_str()),
        (1, "low", "AddStart")
    );
    peer.agree(&asked.call);
    peer.agrees_to(State::AddStart, high);
    peer.agrees_to(State::AddComplete, low);
    peer.agrees_to(State::AddComplete, high);
    peer.end::<Changed>().unwrap();
    let waiting: Vec<(String, String, u32, u64)> = peer.call("GetWaiting", &()).unwrap();
    assert!(waiting.is_empty());
}

#[test]
fn removals_are_heard_by_those_who_asked_for_them() {
    let served = Served::new(2, 2);
    let peer = served.peer();
    let hears = peer.register("hears", wire::LATER_ONLY | wire::REMOVAL, 0, 0);
    for id in [2, 3_u32] {
        peer.begin("Add", &id);
        peer.agrees_to(State::AddStart, hears);
        peer.agrees_to(State::AddComplete, hears);
        peer.end::<Changed>().unwrap();
    }
    peer.register("deaf", wire::LATER_ONLY, 0, 0);
    let removed = served.partition.remove(HardwareId(1)).unwrap();
    assert_eq!(
        removed.processor.id.0, 1,
        "a party is not asked about a processor that it was not told of (X4)"
    );
    peer.signal("Left");
    peer.begin("Remove", &3_u32);
    peer.agrees_to(State::RemoveStart, hears);
    peer.agrees_to(State::RemoveComplete, hears);
    let (processor, epoch) = peer.end::<Changed>().unwrap();
    let left = peer.signal("Left").body().deserialize::<(WireProcessor, u64, bool)>().unwrap();
    assert_eq!(left, (processor, epoch, false));

    // One that is gone already is not asked about (X2).
    let hardware = std::sync::Arc::clone(&served.hardware);
    let hand = thread::spawn(move || hardware.vanish(HardwareId(2)));
    let told = peer.asked();
    assert_eq!((told.notice.state(), told.notice.is_surprise()), (State::RemoveComplete, true));
    peer.agree(&told.call);
    hand.join().unwrap();
    assert!(peer.signal("Left").body().deserialize::<(WireProcessor, u64, bool)>().unwrap().2);
    peer.was_not_asked();
}

#[test]
fn get_set_gives_the_active_set() {
    let served = Served::new(1, 1);
    let peer = served.peer();
    peer.begin("Add", &1_u32);
    let (_, epoch) = peer.end::<Changed>().unwrap();
    let set: wire::WireSet = peer.call("GetSet", &()).unwrap();
    assert_eq!((set.0, set.2), (epoch, vec![(0, 1), (1, 1)]));
    assert_eq!(peer.call::<_, Vec<u32>>("GetCandidates", &()).unwrap(), [0_u32; 0]);
}

#[test]
fn everybody_answers_a_rehearsal_and_nothing_is_added() {
    let served = Served::new(1, 1);
    let peer = served.peer();
    let a = peer.register("first", wire::LATER_ONLY, 0, 0);
    let b = peer.register("second", wire::LATER_ONLY, 1, 0);
    peer.begin("Rehearse", &1_u32);
    let asked = peer.asked();
    peer.refuse(&asked.call, &wire::veto_error(Status::NO_MEMORY), "full");
    peer.agrees_to(State::AddStart, b);
    let undo = peer.asked();
    assert_eq!((undo.party, undo.notice.status()), (b, Status::CANCELLED));
    peer.agree(&undo.call);
    type Row = (u64, String, i32, bool, u32, String, u64);
    let (processor, answers) = peer.end::<(WireProcessor, Vec<Row>)>().unwrap();
    assert_eq!(processor.3, 1);
    assert_eq!((answers[0].0, answers[0].3, answers[0].5.as_str()), (a, false, "full"));
    assert_eq!((answers[1].0, answers[1].3), (b, true));
    assert_eq!(served.partition.count(), 1);
}

#[test]
fn a_batch_says_what_became_of_each() {
    let served = Served::new(1, 2);
    let peer = served.peer();
    type Row = (u32, bool, WireProcessor, u64, String, String, u32, u32, String);
    let rows: Vec<Row> = peer.call("AddBatch", &(vec![1_u32, 9, 2], false)).unwrap();
    let joined: Vec<_> = rows.iter().map(|row| (row.0, row.1, row.4.as_str())).collect();
    let not = "org.hotadd.Error.NotAddable";
    assert_eq!(joined, [(1, true, ""), (9, false, not), (2, true, "")]);
    let failure = peer.call::<_, Vec<Row>>("AddBatch", &(vec![1_u32; 513], true)).unwrap_err();
    assert_eq!(failure.name, "org.hotadd.Error.Limit");
}

#[test]
fn a_client_can_read_everything_that_happened() {
    let served = Served::new(1, 1);
    let peer = served.peer();
    // Its handshake is over.
    peer.ping();
    served.partition.add(HardwareId(1)).unwrap();
    let joined = peer.signal("Joined").body().deserialize::<(WireProcessor, u64, bool)>().unwrap();
    assert!(joined.2);
    assert_eq!(crate::common::history(&peer), ["started", "joined"]);
}

#[test]
fn a_party_is_deregistered_in_the_middle_of_an_add() {
    let served = Served::new(1, 1);
    let peer = served.peer();
    let first = peer.register("first", wire::LATER_ONLY, 0, 0);
    let second = peer.register("second", wire::LATER_ONLY, 1, 0);
    peer.begin("Add", &1_u32);
    let asked = peer.asked();
    assert_eq!(asked.party, first);
    // Neither waits for the add, and neither is called again (D1, D3).
    for party in [first, second] {
        let call: Result<(), _> = peer.call("Deregister", &party);
        call.unwrap();
    }
    peer.agree(&asked.call);
    peer.end::<Changed>().unwrap();
    peer.was_not_asked();
    for _ in 0..2 {
        served.wait(|event| event.kind == EventKind::Deregistered);
    }
    let again: Result<(), _> = peer.call("Deregister", &first);
    assert_eq!(again.unwrap_err().name, "org.hotadd.Error.NotRegistered");
}

#[test]
fn nobody_deregisters_another_connections_party() {
    let served = Served::new(1, 0);
    let (one, other): (Peer, Peer) = (served.peer(), served.peer());
    let party = one.register("pool", wire::LATER_ONLY, 0, 0);
    let failure = other.call::<_, ()>("Deregister", &party).unwrap_err();
    assert_eq!(failure.name, "org.hotadd.Error.NotRegistered");
    let parties: Vec<(u64, String, i32, bool)> = one.call("GetParties", &()).unwrap();
    assert_eq!(parties.len(), 1);
}
