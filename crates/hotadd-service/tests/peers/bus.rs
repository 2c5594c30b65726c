//! Agents on a message bus that the test starts. Each is served as if it had its own connection, and none can
//! speak for another.

use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::thread;
use std::time::Duration;

use hotadd::{Error, EventKind, HardwareId, State, Status};
use hotadd_service::{BusAddress, Service, ServiceError};
use hotadd_testing::Need;
use hotadd_wire::{self as wire, MAX_MESSAGE, WireProcessor};
use zbus::Message;

use crate::common::daemon::Daemon;
use crate::common::{Peer, Served};

/// The result of Add.
type Changed = (WireProcessor, u64);

/// A bus with a partition on it.
struct OnBus {
    served: Served,
    daemon: Daemon,
    folder: tempfile::TempDir,
}

impl OnBus {
    fn new(active: u32, spare: u32) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let daemon = Daemon::start(folder.path());
        let served = Served::new(active, spare);
        served.service().join_bus(&address(&daemon)).unwrap();
        Self { served, daemon, folder }
    }

    fn peer(&self) -> Peer {
        Peer::on_bus(&self.daemon.address)
    }
}

fn address(daemon: &Daemon) -> BusAddress {
    daemon.address.parse().unwrap()
}

fn parties(peer: &Peer) -> Vec<String> {
    let rows: Vec<(u64, String, i32, bool)> = peer.call("GetParties", &()).unwrap();
    rows.into_iter().map(|row| row.1).collect()
}

#[test]
fn an_agent_on_a_bus_gets_the_replay_and_takes_part_in_adds() {
    let bus = OnBus::new(1, 1);
    let peer = bus.peer();
    let party = peer.register("pool", 0, 0, 0);
    peer.begin("Add", &1_u32);
    peer.agrees_to(State::AddStart, party);
    peer.agrees_to(State::AddComplete, party);
    let (processor, epoch) = peer.end::<Changed>().unwrap();
    assert_eq!((processor.3, epoch), (1, bus.served.partition.epoch().0));
    let joined = peer.signal("Joined").body().deserialize::<(WireProcessor, u64, bool)>().unwrap();
    assert_eq!(joined, (processor, epoch, true), "signals reach it without a match rule");

    peer.call::<_, ()>("Deregister", &party).unwrap();
    bus.served.wait(|event| event.kind == EventKind::Deregistered);
    assert!(parties(&peer).is_empty());
}

#[test]
fn agents_on_a_bus_and_on_the_socket_are_asked_at_the_same_time() {
    let bus = OnBus::new(1, 1);
    let (over_bus, over_socket) = (bus.peer(), bus.served.peer());
    let a = over_bus.register("over_bus", wire::LATER_ONLY, 0, 0);
    let b = over_socket.register("over_socket", wire::LATER_ONLY, 0, 0);
    let partition = bus.served.adder();
    let add = thread::spawn(move || partition.add(HardwareId(1)));
    let (one, other) = (over_bus.asked(), over_socket.asked());
    assert_eq!((one.party, other.party), (a, b), "both are asked before either answers");
    over_socket.agree(&other.call);
    over_bus.refuse(&one.call, &wire::veto_error(Status::NO_MEMORY), "full");
    over_socket.agrees_to(State::AddFailure, b);
    let error = add.join().unwrap().unwrap_err();
    assert_eq!(
        (error.party().unwrap().name.as_str(), error.reason().as_str()),
        ("over_bus", "full")
    );
}

#[test]
fn a_peer_on_a_bus_cannot_deregister_or_answer_for_another() {
    let bus = OnBus::new(1, 1);
    let (one, other) = (bus.peer(), bus.peer());
    let party = one.register("pool", wire::LATER_ONLY, 0, 0);
    let failure = other.call::<_, ()>("Deregister", &party).unwrap_err();
    assert_eq!(failure.name, "org.hotadd.Error.NotRegistered");
    assert_eq!(parties(&other), ["pool"]);

    // A reply to the agent's call that another peer sends has no effect.
    let partition = bus.served.adder();
    let add = thread::spawn(move || partition.add(HardwareId(1)));
    let asked = one.asked();
    let service = asked.call.header().sender().unwrap().to_owned();
    let forged = Message::error(&asked.call.header(), wire::veto_error(Status::NO_MEMORY)).unwrap();
    other.send(&forged.destination(service).unwrap().build(&"forged").unwrap());
    other.ping();
    one.agree(&asked.call);
    one.agrees_to(State::AddComplete, party);
    assert_eq!(add.join().unwrap().unwrap().processor.id, HardwareId(1));
}

#[test]
fn another_user_on_a_bus_is_refused() {
    if !Need::Root.is_met("another user on a bus is refused") {
        return;
    }
    let bus = OnBus::new(1, 1);
    let folder = bus.folder.path();
    std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o755)).unwrap();
    let call = |user: u32| {
        let mut call = Command::new("dbus-send");
        call.arg(format!("--bus={}", bus.daemon.address)).args([
            "--print-reply",
            "--dest=org.hotadd.Partition.demo",
            wire::PARTITION_PATH,
            "org.hotadd.Partition1.Add",
            "uint32:1",
        ]);
        call.uid(user).output().expect("dbus-send is there")
    };
    let refused = call(65_534);
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success(), "it was served");
    assert!(said.contains("AccessDenied") && said.contains("of user 65534 was refused"), "{said}");
    assert_eq!(bus.served.partition.count(), 1, "its add was not carried out");
    bus.served.logged("of user 65534: refused, because only ");
    assert!(call(0).status.success(), "the same call of the partition's own user is served");
    assert_eq!(bus.served.partition.count(), 2);
}

#[test]
fn an_agent_that_leaves_the_bus_while_asked_vetoes_and_the_next_add_works() {
    let bus = OnBus::new(1, 1);
    let (agent, other) = (bus.peer(), bus.peer());
    agent.register("pool", wire::LATER_ONLY, 0, 0);
    other.begin("Add", &1_u32);
    agent.asked();
    agent.hang_up();
    let failure = other.end::<Changed>().unwrap_err();
    assert_eq!(failure.name, "org.hotadd.Error.Vetoed");
    let (message, status, _, _, party) = failure.body.unwrap();
    assert_eq!((status, party.as_str()), (Status::PIPE_BROKEN.to_raw(), "pool"), "{message}");
    assert!(message.contains("its connection to the bus was closed"), "{message}");
    bus.served.wait(|event| event.kind == EventKind::Deregistered);
    other.call::<_, Changed>("Add", &1_u32).expect("the one that has left is not asked (L3)");
}

#[test]
fn the_end_of_a_bus_deregisters_the_parties_on_it_and_no_others() {
    let mut bus = OnBus::new(1, 1);
    let (agent, idle, over_socket) = (bus.peer(), bus.peer(), bus.served.peer());
    agent.register("asked", wire::LATER_ONLY, 0, 0);
    idle.register("idle", wire::LATER_ONLY, 1, 0);
    let stays = over_socket.register("stays", wire::LATER_ONLY, 1, 0);
    let partition = bus.served.adder();
    let add = thread::spawn(move || partition.add(HardwareId(1)));
    agent.asked();
    bus.daemon.kill();
    match add.join().unwrap() {
        Err(Error::Vetoed { party, veto, .. }) => {
            assert_eq!((party.name.as_str(), veto.is_crash()), ("asked", true));
            assert_eq!(veto.reason(), "the connection to its bus was closed");
        }
        other => panic!("the add did not fail with a crash: {other:?}"),
    }
    for _ in 0..2 {
        bus.served.wait(|event| event.kind == EventKind::Deregistered);
    }
    assert_eq!(parties(&over_socket), ["stays"]);
    over_socket.begin("Add", &1_u32);
    over_socket.agrees_to(State::AddStart, stays);
    over_socket.agrees_to(State::AddComplete, stays);
    over_socket.end::<Changed>().unwrap();
    bus.served.logged(&format!("the bus at {}", bus.daemon.address.split(',').next().unwrap()));
}

#[test]
fn a_bus_that_ended_is_joined_again_without_its_earlier_parties() {
    let mut bus = OnBus::new(1, 1);
    let agent = bus.peer();
    agent.register("before", wire::LATER_ONLY, 0, 0);
    bus.daemon.kill();
    bus.served.wait(|event| event.kind == EventKind::Deregistered);
    // Its socket still exists, but nothing listens.
    bus.served.logged("again yet; retrying");
    std::fs::remove_file(&bus.daemon.socket).unwrap();
    bus.daemon = Daemon::start(bus.folder.path());
    bus.served.logged(" again");
    let peer = bus.peer();
    assert!(parties(&peer).is_empty(), "parties of the bus that ended are deregistered (L3)");
    let party = peer.register("after", wire::LATER_ONLY, 0, 0);
    peer.begin("Add", &1_u32);
    peer.agrees_to(State::AddStart, party);
    peer.agrees_to(State::AddComplete, party);
    peer.end::<Changed>().unwrap();
}

#[test]
fn a_missing_bus_is_joined_when_it_appears() {
    let folder = tempfile::tempdir().unwrap();
    // The address that it will have.
    let mut daemon = Daemon::start(folder.path());
    daemon.kill();
    std::fs::remove_file(&daemon.socket).unwrap();
    let served = Served::new(1, 1);
    let join = |wait| served.service().join_bus_when_there(&address(&daemon), wait);
    assert!(!join(Duration::from_secs(60)).unwrap(), "nothing listens there");
    served.logged("yet; retrying");
    let daemon = Daemon::start(folder.path());
    served.logged("joined ");
    assert!(parties(&Peer::on_bus(&daemon.address)).is_empty(), "it serves the new bus");

    let other = Served::new(1, 1);
    let wait = Duration::from_secs(60);
    // The first partition still has the name, so the second tries again until the name is free.
    assert!(!other.service().join_bus_when_there(&address(&daemon), wait).unwrap());
    other.logged("is already owned by another process");
    drop(served.end_service());
    other.logged("joined ");
    let there = "org.hotadd.Partition.2nd is not a valid bus name";
    let log = std::sync::Arc::new(|_: &str| ());
    let none = Service::new(&other.partition, "2nd", log).unwrap();
    let refused = none.join_bus_when_there(&address(&daemon), wait).unwrap_err().to_string();
    assert!(refused.contains(there), "a permanent error is not retried: {refused}");
}

#[test]
fn a_call_that_activates_a_partition_is_answered_when_the_partition_joins() {
    let folder = tempfile::tempdir().unwrap();
    // The program that the bus starts only reports that it was started, by opening this pipe. The partition
    // joins later by itself.
    let called = folder.path().join("called");
    assert!(Command::new("mkfifo").arg(&called).status().unwrap().success());
    let services = folder.path().join("services");
    std::fs::create_dir(&services).unwrap();
    let service = format!(
        "[D-BUS Service]\nName=org.hotadd.Partition.demo\nExec=/bin/cat {}\n",
        called.display()
    );
    std::fs::write(services.join("org.hotadd.Partition.demo.service"), service).unwrap();
    let daemon = Daemon::that_starts(folder.path(), &services);
    let peer = Peer::on_bus(&daemon.address);
    peer.begin("GetParties", &());
    let called = std::fs::File::options().write(true).open(&called).unwrap();
    let served = Served::new(1, 1);
    served.service().join_bus(&address(&daemon)).unwrap();
    // The bus delivers the call before it tells the partition that it owns the name.
    peer.end::<Vec<(u64, String, i32, bool)>>().expect("the call was kept");
    drop(called);
}

#[test]
fn a_message_that_is_too_large_is_skipped_and_others_are_served() {
    let bus = OnBus::new(1, 1);
    let (peer, agent) = (bus.peer(), bus.peer());
    let party = agent.register("pool", wire::LATER_ONLY, 0, 0);
    peer.begin("AddBatch", &(vec![7_u32; MAX_MESSAGE], false));
    // A later call of the same sender, after the large message was skipped.
    assert_eq!(
        parties(&peer),
        ["pool"],
        "a large message of one peer does not end the bus connection"
    );
    peer.begin("Rehearse", &1_u32);
    agent.agrees_to(State::AddStart, party);
}

#[test]
fn each_peer_on_a_bus_has_the_limits_of_a_connection() {
    let bus = OnBus::new(1, 1);
    let (peer, other) = (bus.peer(), bus.peer());
    for _ in 0..64 {
        peer.register("pool", wire::LATER_ONLY, 0, 0);
    }
    peer.begin_register("pool", wire::LATER_ONLY, 0, 0);
    assert_eq!(peer.end::<(u64, u64)>().unwrap_err().name, "org.hotadd.Error.Limit");
    other.register("pool", wire::LATER_ONLY, 0, 0);
}

#[test]
fn a_name_on_a_bus_has_one_partition_and_is_released_with_its_service() {
    let bus = OnBus::new(1, 1);
    let peer = bus.peer();
    peer.register("pool", wire::LATER_ONLY, 0, 0);
    let second = Served::new(1, 1);
    let refused = second.service().join_bus(&address(&bus.daemon)).unwrap_err();
    assert!(matches!(refused, ServiceError::Bus { .. }));
    assert!(
        refused
            .to_string()
            .contains("org.hotadd.Partition.demo is already owned by another process"),
        "{refused}"
    );
    let OnBus { served, daemon, folder: _folder } = bus;
    let served = served.end_service();
    // The daemon notices by itself, maybe a moment later.
    while peer.has_owner("org.hotadd.Partition.demo") {}
    second.service().join_bus(&address(&daemon)).expect("the name is free with its service's end");
    // The reply to the proxy was delivered to this peer too.
    let peer = Peer::on_bus(&daemon.address);
    assert!(parties(&peer).is_empty(), "the name now leads to the second partition");
    served.partition.add(HardwareId(1)).expect("an ended service refuses no add");
}

#[test]
fn a_missing_bus_and_an_invalid_name_are_refused() {
    let served = Served::new(1, 1);
    let nowhere: BusAddress = "unix:path=/nonexistent/bus".parse().unwrap();
    let refused = served.service().join_bus(&nowhere).unwrap_err().to_string();
    assert!(refused.contains("the bus at unix:path=/nonexistent/bus"), "{refused}");
    let service = Service::new(&served.partition, "2nd", std::sync::Arc::new(|_| ())).unwrap();
    let refused = service.join_bus(&nowhere).unwrap_err().to_string();
    assert!(refused.contains("org.hotadd.Partition.2nd is not a valid bus name"), "{refused}");
    assert!("nonsense".parse::<BusAddress>().is_err());
}
