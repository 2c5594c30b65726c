//! What becomes of agents that crash, hang or answer nonsense (L3), and of the requests that wait for them.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::thread;
use std::time::Duration;

use hotadd::{Error, Event, EventKind, HardwareId, PartyId, State, Status, Veto};
use hotadd_service::Why;
use hotadd_wire::{self as wire, WireProcessor};
use zbus::Message;
use zbus::zvariant::ObjectPath;

use crate::common::line::Line;
use crate::common::{Peer, Served};

/// What Add returns.
type Changed = (WireProcessor, u64);

/// Adds processor 1 on another thread, and returns the veto.
fn vetoed(served: &Served) -> thread::JoinHandle<(String, Veto)> {
    let partition = served.adder();
    thread::spawn(move || match partition.add(HardwareId(1)) {
        Err(Error::Vetoed { party, veto, .. }) => (party.name, veto),
        other => panic!("{other:?}"),
    })
}

#[test]
fn no_answer_in_time_is_a_veto_and_a_late_one_is_dropped() {
    let served = Served::new(1, 1);
    let peer = served.peer();
    peer.register("slow", wire::LATER_ONLY, 0, 100);
    let add = vetoed(&served);
    let asked = peer.asked();
    let (name, veto) = add.join().unwrap();
    assert_eq!((name.as_str(), veto.reason()), ("slow", "no answer in 100 ms"));
    assert_eq!((veto.status(), veto.is_crash()), (Status::IO_TIMEOUT, true));
    let status = Status::IO_TIMEOUT.to_raw();
    assert_eq!(peer.farewell(), (asked.party, status, "no answer in 100 ms".to_owned()));
    peer.agree(&asked.call);
    // The connection lives, the party is gone, and the next add waits for no party.
    let parties: Vec<(u64, String, i32, bool)> = peer.call("GetParties", &()).unwrap();
    assert!(parties.is_empty());
    peer.call::<_, Changed>("Add", &1_u32).unwrap();
    let failure = peer.call::<_, ()>("Deregister", &asked.party).unwrap_err();
    assert_eq!(failure.name, "org.hotadd.Error.NotRegistered");
}

#[test]
fn l3_a_registration_with_a_time_limit_of_0_has_5_seconds() {
    let served = Served::new(1, 1);
    let peer = served.peer();
    for (asked_ms, given_ms) in [(0, 5_000), (1, 1), (600_000, 600_000)] {
        let party = peer.register("pool", wire::LATER_ONLY, 0, asked_ms);
        let given = served.service().time_limit(PartyId(party));
        assert_eq!(given, Some(Duration::from_millis(given_ms)), "{asked_ms} ms were asked for");
    }
}

#[test]
fn an_agent_that_hangs_in_its_replay_is_not_registered() {
    let served = Served::new(1, 0);
    let peer = served.peer();
    peer.begin_register("slow", 0, 0, 50);
    let asked = peer.asked();
    assert_eq!(asked.notice.state(), State::AddStart);
    let failure = peer.end::<(u64, u64)>().unwrap_err();
    assert_eq!(failure.name, "org.hotadd.Error.NotJoining");
    assert_eq!(failure.body.unwrap().1, Status::IO_TIMEOUT.to_raw());
    // It was not a party yet, so nothing is deregistered.
    peer.ping();
    peer.was_not_asked();
}

#[test]
fn one_that_hangs_in_a_completion_is_deregistered_and_the_processor_stays() {
    let served = Served::new(1, 1);
    let peer = served.peer();
    let party = peer.register("slow", wire::LATER_ONLY, 0, 50);
    peer.begin("Add", &1_u32);
    peer.agrees_to(State::AddStart, party);
    assert_eq!(peer.asked().notice.state(), State::AddComplete);
    peer.end::<Changed>().unwrap();
    served.wait(|event| event.kind == EventKind::Deregistered);
    assert_eq!(served.partition.count(), 2);
}

#[test]
fn a_connection_that_is_dropped_in_the_middle_vetoes_by_name() {
    let served = Served::new(1, 1);
    let (agent, other) = (served.peer(), served.peer());
    agent.register("pool", wire::LATER_ONLY, 0, 0);
    other.begin("Add", &1_u32);
    agent.asked();
    agent.hang_up();
    let failure = other.end::<Changed>().unwrap_err();
    assert_eq!(failure.name, "org.hotadd.Error.Vetoed");
    let (message, status, _, _, party) = failure.body.unwrap();
    assert!(message.contains("its connection was closed"), "{message}");
    assert_eq!((status, party.as_str()), (Status::PIPE_BROKEN.to_raw(), "pool"));
    served.wait(|event| event.kind == EventKind::Deregistered);
    other.call::<_, Changed>("Add", &1_u32).unwrap();
}

#[test]
fn idle_parties_go_with_their_connection() {
    let served = Served::new(1, 1);
    let (agent, other) = (served.peer(), served.peer());
    for name in ["one", "two", "three"] {
        agent.register(name, wire::LATER_ONLY, 0, 0);
    }
    agent.hang_up();
    for _ in 0..3 {
        served.wait(|event| event.kind == EventKind::Deregistered);
    }
    let parties: Vec<(u64, String, i32, bool)> = other.call("GetParties", &()).unwrap();
    assert!(parties.is_empty());
    other.call::<_, Changed>("Add", &1_u32).unwrap();
}

#[test]
fn an_answer_with_arguments_is_not_an_agreement() {
    let served = Served::new(1, 1);
    let peer = served.peer();
    peer.register("chatty", wire::LATER_ONLY, 0, 0);
    let add = vetoed(&served);
    let call = peer.asked().call;
    peer.send(&Message::method_return(&call.header()).unwrap().build(&("yes", 1)).unwrap());
    let (_, veto) = add.join().unwrap();
    assert_eq!((veto.status(), veto.is_crash()), (Status::INVALID_NETWORK_RESPONSE, true));
    assert!(veto.reason().starts_with("it answered AddStart with arguments"), "{veto}");
}

#[test]
fn a_host_knows_better_why_a_connection_ended() {
    let served = Served::new(1, 1);
    let (ours, theirs) = UnixStream::pair().unwrap();
    let ending = Box::new(|| Some(Why::from("its process was killed by SIGKILL".to_owned())));
    served.service().attach(ours, Some(ending)).unwrap();
    let peer = Peer::connect(theirs);
    peer.register("child", wire::LATER_ONLY, 0, 0);
    let add = vetoed(&served);
    peer.asked();
    peer.hang_up();
    let (name, veto) = add.join().unwrap();
    assert_eq!((name.as_str(), veto.reason()), ("child", "its process was killed by SIGKILL"));
    served.wait(|event| event.kind == EventKind::Deregistered);
}

#[test]
fn a_service_that_ends_leaves_its_partition_to_others() {
    let served = Served::new(1, 1);
    let peer = served.peer();
    peer.register("pool", wire::LATER_ONLY, 0, 0);
    let served = served.end_service();
    peer.was_hung_up_on();
    assert_eq!(std::fs::read_dir(served.path.parent().unwrap()).unwrap().count(), 0);
    // Whether its registration is gone already or not.
    served.partition.add(HardwareId(1)).unwrap();
}

#[test]
fn no_request_waits_after_the_service_has_ended() {
    let served = Served::new(1, 1);
    let peer = served.peer();
    peer.register("pool", wire::LATER_ONLY, 0, 0);
    let add = vetoed(&served);
    peer.asked();
    served.end_service();
    let (_, veto) = add.join().unwrap();
    assert_eq!(veto.reason(), "its partition is no longer served");
}

#[test]
fn agents_do_not_hold_up_one_another() {
    // One party's silence is its own: others register, deregister and are heard while it lasts.
    let served = Served::new(1, 2);
    let (silent, other) = (served.peer(), served.peer());
    silent.register("silent", wire::LATER_ONLY, 0, 600_000);
    let add = vetoed(&served);
    silent.asked();
    other.begin("Add", &2_u32);
    other.begin_register("late", wire::LATER_ONLY, 0, 0);
    let waiting: Vec<(String, String, u32, u64)> = {
        // Answered at once, ahead of the two that wait.
        other.begin("GetWaiting", &());
        other.end().unwrap()
    };
    assert_eq!(waiting[0].0, "silent");
    silent.hang_up();
    add.join().unwrap();
    // The two go on in whichever order. If the late one registers first it is asked about the add.
    let joined = [(); 2].map(|()| other.agrees_until_answered());
    assert!(joined.iter().all(|answer| *answer), "{joined:?}");
    assert_eq!(served.partition.count(), 2);
}

/// A peer that reads no signals; a party if there is a name.
async fn deaf(served: &Served, name: Option<&str>) -> Line {
    let mut line = Line::connect(&served.path).await.unwrap();
    if let Some(name) = name {
        line.register(name, wire::LATER_ONLY, 0).await.unwrap();
    } else {
        line.ping().await.unwrap();
    }
    line.next_said().await.expect("it is answered");
    line
}

#[test]
fn who_goes_with_something_unread_is_missed_if_it_is_a_party() {
    let served = Served::new(1, 1);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let nobody = runtime.block_on(deaf(&served, None));
    let pool = runtime.block_on(deaf(&served, Some("pool")));
    served.hardware.intrude(HardwareId(1));
    served.wait(|event| event.kind == EventKind::Joined);
    runtime.block_on(async { drop(nobody) });
    // The thread that answers this has noticed before that it has gone.
    served.peer().ping();
    runtime.block_on(async { drop(pool) });
    let said = served.said("its connection was closed");
    assert!(said.contains("(pool)"), "{said}");
    assert_eq!(served.log(), Vec::<String>::new(), "nobody else is missed");
}

#[test]
fn l3_a_party_whose_connection_was_closed_while_it_waited_is_not_registered() {
    let served = Served::new(1, 1);
    let slow = served.peer();
    slow.register("slow", wire::LATER_ONLY, 0, 600_000);
    let add = vetoed(&served);
    let asked = slow.asked();
    // Its request waits for the add. Its connection is closed meanwhile.
    let mut late = served.bare();
    let body = (ObjectPath::try_from("/a").unwrap(), "late", wire::LATER_ONLY, 0_i32, 0_u32);
    let call = Message::method_call("/org/hotadd/Partition", "Register").unwrap();
    let call = call.interface("org.hotadd.Partition1").unwrap().build(&body).unwrap();
    late.write_all(call.data()).unwrap();
    late.write_all(&[0; 64]).unwrap();
    while let Ok(1) = late.read(&mut [0]) {}
    slow.refuse(&asked.call, "org.hotadd.Error.Status.xC0000001", "no");
    add.join().unwrap();
    let is_late = |event: &Event| event.party.as_ref().is_some_and(|party| party.name == "late");
    let event = served.wait(is_late);
    assert_eq!((event.kind, event.clause), (EventKind::Refused, Some("L3")), "{event:?}");
}
