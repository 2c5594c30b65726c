//! Requests that come from inside a call, over the connection that is being called: they would wait for themselves (D3).

use std::io::Write;
use std::process::{Command, Stdio};
use std::sync::mpsc::channel;
use std::thread;

use hotadd::{HardwareId, Notice, Partition, State, Status, Veto};
use hotadd_wire::{self as wire, WireProcessor};

use crate::common::{PATIENCE, Peer, Served};

/// What Add and Remove answer with.
type Changed = (WireProcessor, u64);

/// An agent that owes an answer for longer than any test waits.
const SLOW: u32 = wire::MAX_TIME_LIMIT_MS;

/// That everything which would wait for this peer is refused, at once: the peer has not answered.
fn is_refused(peer: &Peer) {
    let path = zbus::zvariant::ObjectPath::try_from("/b").unwrap();
    peer.begin("Add", &2_u32);
    peer.begin("AddBatch", &(vec![2_u32], true));
    peer.begin("Remove", &0_u32);
    peer.begin("Rehearse", &2_u32);
    peer.begin("Register", &(path, "b", 0_u32, 0_i32, 0_u32));
    for doing in ["adding", "adding", "removing", "rehearsing", "registering"] {
        let failure = peer.end::<()>().unwrap_err();
        assert_eq!(failure.name, "org.hotadd.Error.InsideCallback", "{doing}");
        assert_eq!(failure.body.unwrap().1, Status::POSSIBLE_DEADLOCK.to_raw(), "{doing}");
        assert!(failure.message.starts_with(doing), "it says what it was: {}", failure.message);
    }
    // What waits for nobody is answered.
    peer.call::<_, Vec<(u64, String, i32, bool)>>("GetParties", &()).unwrap();
    peer.call::<_, Vec<String>>("GetHistory", &1_u32).unwrap();
}

#[test]
fn d3_asking_from_inside_any_call_is_refused_at_once_and_afterwards_served() {
    let served = Served::new(1, 2);
    let peer = served.peer();
    peer.begin_register("pool", wire::REMOVAL, 0, SLOW);
    // In the replay, in an add, in its outcome.
    for state in [State::AddStart, State::AddComplete] {
        let asked = peer.asked();
        assert_eq!(asked.notice.state(), state);
        is_refused(&peer);
        peer.agree(&asked.call);
    }
    peer.end::<(u64, u64)>().unwrap();
    for (request, id, states) in [
        ("Add", 1_u32, [State::AddStart, State::AddComplete]),
        ("Remove", 1, [State::RemoveStart, State::RemoveComplete]),
    ] {
        peer.begin(request, &id);
        for state in states {
            let asked = peer.asked();
            assert_eq!(asked.notice.state(), state);
            is_refused(&peer);
            peer.agree(&asked.call);
        }
        peer.end::<Changed>().unwrap();
    }
    // Answered: from outside again.
    peer.begin("Add", &2_u32);
    let asked = peer.asked();
    peer.refuse(&asked.call, &wire::veto_error(Status::NO_MEMORY), "no");
    peer.begin("Rehearse", &2_u32);
    assert_eq!(peer.end::<Changed>().unwrap_err().name, "org.hotadd.Error.Vetoed");
    assert_eq!(peer.asked().notice.state(), State::AddStart, "a rehearsal begins");
}

#[test]
fn d3_other_connections_wait_their_turn() {
    let served = Served::new(1, 2);
    let (agent, other) = (served.peer(), served.peer());
    let party = agent.register("pool", wire::LATER_ONLY, 0, SLOW);
    agent.begin("Add", &1_u32);
    let asked = agent.asked();
    other.begin("Add", &2_u32);
    is_refused(&agent);
    agent.agree(&asked.call);
    agent.agrees_to(State::AddComplete, party);
    agent.end::<Changed>().unwrap();
    agent.agrees_to(State::AddStart, party);
    agent.agrees_to(State::AddComplete, party);
    assert_eq!(other.end::<Changed>().unwrap().0.3, 2, "it asked while the agent was being asked");
}

#[test]
fn a_program_that_says_that_it_asks_from_elsewhere_waits_its_turn() {
    let served = Served::new(1, 2);
    let peer = served.peer();
    let party = peer.register("pool", wire::LATER_ONLY | wire::CONCURRENT, 0, SLOW);
    peer.begin("Add", &1_u32);
    let asked = peer.asked();
    peer.begin("Add", &2_u32);
    peer.ping();
    peer.agree(&asked.call);
    peer.agrees_to(State::AddComplete, party);
    peer.end::<Changed>().unwrap();
    peer.agrees_to(State::AddStart, party);
    peer.agrees_to(State::AddComplete, party);
    assert_eq!(peer.end::<Changed>().unwrap().0.3, 2);
    // Together with a party that does not say so, nothing is known of where it comes from.
    peer.register("other", wire::LATER_ONLY, 0, SLOW);
    peer.begin("Rehearse", &9_u32);
    assert_eq!(peer.end::<Changed>().unwrap_err().name, "org.hotadd.Error.NotAddable");
    peer.begin("Remove", &2_u32);
    peer.end::<Changed>().unwrap();
    peer.begin("Add", &2_u32);
    let (first, second) = (peer.asked(), peer.asked());
    is_refused(&peer);
    peer.agree(&second.call);
    peer.begin("GetSet", &());
    peer.end::<wire::WireSet>().unwrap();
    drop(first);
}

#[test]
fn another_thread_of_a_rust_program_adds_while_its_driver_is_asked() {
    let served = Served::new(1, 2);
    let there = Partition::connect(&served.path).unwrap();
    let (met, meets) = channel();
    let (go, leave) = channel::<()>();
    let inside = there.clone();
    let driver = move |notice: &Notice| -> Result<(), Veto> {
        if notice.state() == State::AddStart && notice.processor().id == HardwareId(1) {
            met.send(inside.add(HardwareId(2)).unwrap_err()).unwrap();
            leave.recv_timeout(PATIENCE).unwrap();
        }
        Ok(())
    };
    let _registration = there.registration("d").without_replay().register(driver).unwrap();
    let adder = served.adder();
    let first = thread::spawn(move || adder.add(HardwareId(1)));
    let refused = meets.recv_timeout(PATIENCE).unwrap();
    assert_eq!((refused.clause(), refused.status()), ("D3", Status::POSSIBLE_DEADLOCK));
    let elsewhere = there.clone();
    let second = thread::spawn(move || elsewhere.add(HardwareId(2)));
    go.send(()).unwrap();
    first.join().unwrap().unwrap();
    second.join().unwrap().expect("a thread that is not inside waits its turn");
}

/// An agent that adds a processor from inside AddStart, and vetoes with the name of the error that it gets.
const PYTHON: &str = r#"
import sys
from gi.repository import Gio, GLib
flags = Gio.DBusConnectionFlags.AUTHENTICATION_CLIENT
bus = Gio.DBusConnection.new_for_address_sync("unix:path=" + sys.argv[1], flags, None, None)
info = Gio.DBusNodeInfo.new_for_xml(sys.stdin.read()).interfaces[0]
def ask(method, arguments):
    place = "/org/hotadd/Partition", "org.hotadd.Partition1"
    return bus.call_sync(None, *place, method, arguments, None, Gio.DBusCallFlags.NONE, -1, None)
def called(bus, sender, path, interface, method, arguments, invocation):
    try:
        ask("Add", GLib.Variant("(u)", (2,)))
        invocation.return_value(None)
    except GLib.Error as error:
        invocation.return_dbus_error("com.example.No", Gio.dbus_error_get_remote_error(error))
bus.register_object("/a", info, called, None, None)
bus.set_exit_on_close(True)
ask("Register", GLib.Variant("(osuiu)", ("/a", "python", 1, 0, 600_000)))
GLib.MainLoop().run()
"#;

#[test]
fn d3_a_python_agent_that_adds_from_inside_add_start_is_refused_and_does_not_hang() {
    let served = Served::new(1, 2);
    let mut python = Command::new("/usr/bin/python3")
        .args(["-c", PYTHON])
        .arg(&served.path)
        .stdin(Stdio::piped())
        .spawn()
        .expect("python3 is needed, as ./test installs it");
    let xml = include_str!("../../../../dbus/org.hotadd.Agent1.xml");
    python.stdin.take().unwrap().write_all(xml.as_bytes()).unwrap();
    served.wait(|event| event.kind == hotadd::EventKind::Registered);
    // Its time limit is ten minutes: this would not return.
    let error = served.partition.add(HardwareId(1)).unwrap_err();
    let _ = python.kill();
    python.wait().unwrap();
    assert_eq!(error.party().unwrap().name, "python");
    assert_eq!(error.reason(), "org.hotadd.Error.InsideCallback", "it was answered, and answered");
}

/// A reply to Deregister comes before the partition has reported it, because that may wait for a transaction.
#[test]
fn after_the_wait_for_departures_the_partition_has_reported_every_deregistered_party() {
    let served = Served::new(1, 2);
    let peer = served.peer();
    for _ in 0..200 {
        let party = peer.register("pool", wire::LATER_ONLY, 0, SLOW);
        peer.call::<_, ()>("Deregister", &party).unwrap();
        served.service().departures().wait();
        let mut present = Vec::new();
        let _observation =
            served.partition.observe_with(|parties| present.extend_from_slice(parties), |_| ());
        assert!(present.is_empty(), "it is still there: {present:?}");
    }
}
