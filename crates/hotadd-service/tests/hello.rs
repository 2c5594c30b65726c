//! Clients that treat a direct connection as a message bus, as ordinary D-Bus libraries do.

mod common;

use std::collections::HashMap;
use std::sync::mpsc::{Sender, channel};

use hotadd::{HardwareId, State};
use hotadd_wire as wire;
use zbus::message::Type;
use zbus::names::BusName;
use zbus::zvariant::OwnedValue;
use zbus::{Message, fdo};

use common::{Peer, Served};

const BUS: &str = "org.freedesktop.DBus";
const PARTITION: &str = "org.hotadd.Partition.demo";

/// A call to the bus.
fn ask<T: serde::de::DeserializeOwned + zbus::zvariant::Type>(
    peer: &Peer,
    method: &str,
    body: &(impl serde::Serialize + zbus::zvariant::DynamicType),
) -> Result<T, String> {
    let call = Message::method_call("/org/freedesktop/DBus", method).unwrap();
    let call = call.interface(BUS).unwrap().destination(BUS).unwrap();
    peer.send(&call.build(body).unwrap());
    let failure = |failure: common::WireFailure| {
        failure.name.strip_prefix("org.freedesktop.DBus.Error.").unwrap_or(&failure.name).to_owned()
    };
    peer.end().map_err(failure)
}

/// The name of the error with which a call to this destination fails.
fn fails(peer: &Peer, destination: &str) -> String {
    let call = Message::method_call(wire::PARTITION_PATH, "GetParties").unwrap();
    let call = call.interface(wire::PARTITION).unwrap().destination(destination).unwrap();
    peer.send(&call.build(&()).unwrap());
    let failure = peer.end::<()>().unwrap_err();
    assert!(failure.message.contains(PARTITION), "it says who is there: {}", failure.message);
    failure.name
}

#[test]
fn a_client_that_greets_gets_a_unique_name_once() {
    let served = Served::new(1, 1);
    let (one, other) = (served.greeting_peer(), served.greeting_peer());
    let name = |peer: &Peer| peer.connection.unique_name().unwrap().to_string();
    assert_ne!(name(&one), name(&other), "no two clients have the same name");
    assert_eq!(ask::<String>(&one, "Hello", &()), Err("Failed".to_owned()), "only once");
    let bare = served.peer();
    let hello = ask::<String>(&bare, "Hello", &()).unwrap();
    assert!(hello.starts_with(":1."), "a client may greet at any time: {hello}");
}

#[test]
fn the_calls_and_signals_for_a_client_that_greets_have_its_name_and_the_partitions() {
    let served = Served::new(1, 1);
    let (greeting, direct) = (served.greeting_peer(), served.peer());
    let owner = ask::<String>(&greeting, "GetNameOwner", &PARTITION).unwrap();
    let own = greeting.connection.unique_name().unwrap().to_string();
    let ends = |message: &Message| {
        let head = message.header();
        let (sender, to) = (head.sender().map(ToString::to_string), head.destination());
        (sender, to.map(ToString::to_string))
    };
    let named = (Some(owner), Some(own));
    for (peer, expected) in [(&greeting, named), (&direct, (None, None))] {
        let party = peer.register("pool", wire::LATER_ONLY, 0, 0);
        let partition = served.adder();
        let add = std::thread::spawn(move || partition.add(HardwareId(1)).unwrap());
        for state in [State::AddStart, State::AddComplete] {
            let asked = peer.asked();
            assert_eq!((asked.notice.state(), asked.party), (state, party));
            assert_eq!(ends(&asked.call), expected, "{state}");
            peer.agree(&asked.call);
        }
        add.join().unwrap();
        assert_eq!(ends(&peer.signal("Joined")), expected);
        let _: () = peer.call("Deregister", &party).unwrap();
        served.partition.remove(HardwareId(1)).unwrap();
    }
}

#[test]
fn a_client_that_has_called_nothing_yet_gets_no_signal() {
    let served = Served::new(1, 1);
    let silent = served.bare();
    let other = served.peer();
    other.ping();
    served.partition.add(HardwareId(1)).unwrap();
    other.signal("Joined");
    // Libraries end the connection if anything comes before the reply to Hello.
    let mut call = Message::method_call("/org/freedesktop/DBus", "Hello").unwrap();
    call = call.interface(BUS).unwrap().destination(BUS).unwrap();
    use std::io::{Read, Write};
    (&silent).write_all(call.build(&()).unwrap().data()).unwrap();
    let mut start = [0; 2];
    (&silent).read_exact(&mut start).unwrap();
    assert_eq!(start[1], Type::MethodReturn as u8, "the first message is the reply");
}

#[test]
fn calls_to_names_that_are_not_there_fail_as_on_a_bus() {
    let served = Served::new(1, 1);
    for peer in [served.greeting_peer(), served.peer()] {
        for destination in ["com.example.None", ":1.4711", "org.hotadd.Partition.other"] {
            let unknown = "org.freedesktop.DBus.Error.ServiceUnknown";
            assert_eq!(fails(&peer, destination), unknown, "{destination}");
            let no_owner = Err("NameHasNoOwner".to_owned());
            assert_eq!(ask::<String>(&peer, "GetNameOwner", &destination), no_owner);
            assert_eq!(ask::<bool>(&peer, "NameHasOwner", &destination), Ok(false));
            let start = ask::<u32>(&peer, "StartServiceByName", &(destination, 0_u32));
            assert_eq!(start, Err("ServiceUnknown".to_owned()));
        }
    }
}

#[test]
fn the_partition_is_reached_by_its_name_its_unique_name_and_none() {
    let served = Served::new(1, 1);
    let peer = served.greeting_peer();
    let owner = ask::<String>(&peer, "GetNameOwner", &PARTITION).unwrap();
    for destination in [Some(PARTITION), Some(owner.as_str()), None] {
        let mut call = Message::method_call(wire::PARTITION_PATH, "GetParties").unwrap();
        call = call.interface(wire::PARTITION).unwrap();
        if let Some(destination) = destination {
            call = call.destination(destination).unwrap();
        }
        peer.send(&call.build(&()).unwrap());
        peer.end::<Vec<(u64, String, i32, bool)>>().unwrap();
    }
}

#[test]
fn a_library_finds_on_the_bus_what_is_true() {
    let served = Served::new(1, 1);
    let peer = served.greeting_peer();
    let own = peer.connection.unique_name().unwrap().to_string();
    // zbus is such a library; its proxy has a task that reads the answers.
    peer.runtime.block_on(async {
        let bus = fdo::DBusProxy::new(&peer.connection).await.unwrap();
        let mut names: Vec<_> =
            bus.list_names().await.unwrap().iter().map(ToString::to_string).collect();
        names.sort();
        let partition = bus.get_name_owner(BusName::try_from(PARTITION).unwrap()).await.unwrap();
        assert_eq!(names, [partition.as_str(), own.as_str(), BUS, PARTITION]);
        let process = bus.get_connection_unix_process_id(BusName::try_from(PARTITION).unwrap());
        assert_eq!(process.await.unwrap(), std::process::id());
        let credentials = bus.get_connection_credentials(BusName::try_from(PARTITION).unwrap());
        assert_eq!(credentials.await.unwrap().process_id(), Some(std::process::id()));
        bus.get_connection_unix_user(BusName::try_from(own.as_str()).unwrap()).await.unwrap_err();
        assert_eq!(bus.get_id().await.unwrap().as_str().len(), 32);
        assert!(bus.features().await.unwrap().is_empty());
        let requested =
            bus.request_name("com.example.Mine".try_into().unwrap(), Default::default());
        let error = requested.await.unwrap_err();
        assert!(matches!(error, fdo::Error::NotSupported(_)), "{error}");
    });
}

#[test]
fn any_number_of_match_rules_is_accepted_and_changes_nothing() {
    let served = Served::new(1, 1);
    let peer = served.greeting_peer();
    for number in 0..2000 {
        let rule = format!("type='signal',arg0='{number}{}'", "x".repeat(1000));
        ask::<()>(&peer, "AddMatch", &rule).unwrap();
    }
    ask::<()>(&peer, "RemoveMatch", &"type='signal'").unwrap();
    assert_eq!(ask::<()>(&peer, "AddMatch", &5_u32), Err("InvalidArgs".to_owned()));
    served.partition.add(HardwareId(1)).unwrap();
    peer.signal("Joined");
}

#[test]
fn every_peer_can_be_pinged_and_introspected_and_has_the_machines_id() {
    let served = Served::new(1, 1);
    let peer = served.greeting_peer();
    for (destination, path) in [(BUS, "/org/freedesktop/DBus"), (PARTITION, wire::PARTITION_PATH)] {
        let call = |interface: &str, method: &str| {
            let call =
                Message::method_call(path, method).unwrap().destination(destination).unwrap();
            let call = call.interface(format!("{BUS}.{interface}")).unwrap();
            peer.send(&call.build(&()).unwrap());
        };
        call("Peer", "Ping");
        peer.end::<()>().unwrap();
        call("Introspectable", "Introspect");
        assert!(peer.end::<String>().unwrap().contains("<interface name="), "{destination}");
        call("Peer", "GetMachineId");
        match std::fs::read_to_string("/etc/machine-id") {
            Ok(id) if id.trim().len() == 32 => assert_eq!(peer.end::<String>().unwrap(), id.trim()),
            _ => assert_eq!(peer.end::<String>().unwrap_err().name, format!("{BUS}.Error.Failed")),
        }
        call("Peer", "Explode");
        assert_eq!(peer.end::<()>().unwrap_err().name, format!("{BUS}.Error.UnknownMethod"));
    }
    let everything = ask::<HashMap<String, OwnedValue>>(&peer, "GetAll", &BUS);
    assert_eq!(everything.unwrap_err(), "UnknownMethod", "that is in another interface");
}

type Processor = (u32, u16, u8, u32);
type Details = HashMap<String, OwnedValue>;

/// An agent as a program with zbus has it. It refuses processor 1, and reports what it is told.
struct Agent(Sender<String>);

#[derive(Debug, zbus::DBusError)]
#[zbus(prefix = "org.hotadd.Error.Status", impl_display = true)]
enum Refused {
    #[zbus(error)]
    Bus(zbus::Error),
    #[zbus(name = "xC000009A")]
    NoRoom(String),
}

#[zbus::interface(name = "org.hotadd.Agent1")]
impl Agent {
    fn add_start(
        &self,
        _party: u64,
        processor: Processor,
        _epoch: u64,
        _details: Details,
    ) -> Result<(), Refused> {
        match processor.3 {
            1 => Err(Refused::NoRoom("there is no room for processor 1".to_owned())),
            _ => Ok(()),
        }
    }

    fn add_complete(&self, _party: u64, processor: Processor, _epoch: u64, _details: Details) {
        self.0.send(format!("AddComplete {}", processor.3)).unwrap();
    }
}

#[test]
fn an_agent_with_zbus_refuses_by_name() {
    let served = Served::new(1, 2);
    let (told, hears) = channel();
    let peer = served.serving_peer("/pool", Agent(told));
    peer.runtime.block_on(async {
        let proxy =
            zbus::Proxy::new(&peer.connection, PARTITION, wire::PARTITION_PATH, wire::PARTITION);
        let (path, proxy) =
            (zbus::zvariant::ObjectPath::try_from("/pool").unwrap(), proxy.await.unwrap());
        let register = (path, "pool", 0_u32, 0_i32, 0_u32);
        let _: (u64, u64) = proxy.call("Register", &register).await.unwrap();
    });
    assert_eq!(hears.recv().unwrap(), "AddComplete 0");
    let refused = served.partition.add(HardwareId(1)).unwrap_err().to_string();
    let expected = "pool refused to add processor 1: there is no room for processor 1 \
                    (STATUS_INSUFFICIENT_RESOURCES, 0xC000009A)";
    assert_eq!(refused, expected);
    served.partition.add(HardwareId(2)).unwrap();
    assert_eq!(hears.recv().unwrap(), "AddComplete 2");
}

/// The types of the results of a method, by its description.
fn described(xml: &str, method: &str) -> String {
    let start = xml.find(&format!("<method name=\"{method}\">")).unwrap();
    let end = start + xml[start..].find("</method>").unwrap();
    let args = xml[start..end].split("<arg ").filter(|arg| arg.contains("direction=\"out\""));
    let of = |arg: &str| arg.split("type=\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
    args.map(of).collect()
}

#[test]
fn the_results_have_the_types_of_the_description() {
    let served = Served::new(2, 1);
    let peer = served.greeting_peer();
    peer.begin_at(wire::PARTITION_PATH, "org.freedesktop.DBus.Introspectable", "Introspect", &());
    let xml: String = peer.end().unwrap();
    let queries = ["GetSet", "GetCandidates", "GetParties", "GetMissing", "GetWaiting"];
    for method in queries.into_iter().chain(["GetHistory", "GetAbsent"]) {
        if queries.contains(&method) {
            peer.begin(method, &());
        } else {
            peer.begin(method, &0_u32);
        }
        let answer = peer.answer();
        assert_eq!(answer.message_type(), Type::MethodReturn, "{method}");
        let signature = answer.body().signature().to_string_no_parens();
        assert_eq!(signature, described(&xml, method), "{method}");
    }
    peer.begin("Add", &2_u32);
    assert_eq!(peer.answer().body().signature().to_string_no_parens(), described(&xml, "Add"));
}
