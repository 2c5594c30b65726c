//! What a peer can do wrong, intentionally or not, without any effect on others.

use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;

use hotadd_wire::{self as wire, MAX_MESSAGE, WireProcessor};
use zbus::Message;

use crate::common::{PATIENCE, Peer, Served, WireFailure};

/// Checks that the service closes this connection.
fn is_closed(stream: &mut UnixStream) {
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut rest = Vec::new();
    match stream.read_to_end(&mut rest) {
        Ok(_) => {}
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::ConnectionReset, "the connection is still open");
        }
    }
}

/// Checks that other clients are served.
fn is_well(served: &Served) {
    let peer = served.peer();
    peer.register("fine", wire::LATER_ONLY, 0, 0);
    peer.ping();
}

fn fails(result: Result<(u64, u64), WireFailure>, name: &str) {
    assert_eq!(result.unwrap_err().name, name);
}

const INVALID: &str = "org.freedesktop.DBus.Error.InvalidArgs";
const LIMIT: &str = "org.hotadd.Error.Limit";

#[test]
fn a_batch_has_512_processors_at_most() {
    let served = Served::new(1, 1);
    let peer = served.peer();
    let ids: Vec<u32> = (1..=513).collect();
    fails(peer.call("AddBatch", &(ids, false)), LIMIT);
    assert_eq!(served.partition.active().count(), 1, "no processor of the batch was added");
}

#[test]
fn wrong_arguments_are_answered_with_an_error() {
    let served = Served::new(1, 1);
    let peer = served.peer();
    let takes_some =
        ["Register", "Add", "AddBatch", "Remove", "Rehearse", "RehearseRemoval", "Deregister"];
    for method in
        takes_some.into_iter().chain(["GetHistory", "GetEvents", "GetAbsent", "RestartParty"])
    {
        fails(peer.call(method, &("nonsense", 1.5)), INVALID);
        fails(peer.call(method, &()), INVALID);
    }
    for method in ["GetSet", "GetCandidates", "GetParties", "GetWaiting", "GetMissing"] {
        fails(peer.call(method, &1_u32), INVALID);
    }
    peer.begin_register("pool", 16, 0, 0);
    fails(peer.end(), INVALID);
    peer.begin_register("pool", u32::MAX, 0, 0);
    fails(peer.end(), INVALID);
    peer.begin_register("pool", 0, 0, wire::MAX_TIME_LIMIT_MS + 1);
    fails(peer.end(), INVALID);
    let path = zbus::zvariant::ObjectPath::try_from("/a").unwrap();
    for name in ["", "a\nb", &"a".repeat(65)] {
        fails(peer.call("Register", &(&path, name, 0_u32, 0_i32, 0_u32)), LIMIT);
    }
    let parties: Vec<(u64, String, i32, bool)> = peer.call("GetParties", &()).unwrap();
    assert!(parties.is_empty());
}

#[test]
fn unknown_objects_interfaces_and_methods_get_the_standard_errors() {
    let served = Served::new(1, 1);
    let peer = served.peer();
    let ask = |path: &str, interface: &str, method: &str| {
        peer.begin_at(path, interface, method, &());
        let name = peer.end::<()>().unwrap_err().name;
        name.strip_prefix("org.freedesktop.DBus.Error.").unwrap().to_owned()
    };
    assert_eq!(ask(wire::PARTITION_PATH, wire::PARTITION, "Explode"), "UnknownMethod");
    assert_eq!(ask(wire::PARTITION_PATH, "com.example.Other", "Add"), "UnknownInterface");
    assert_eq!(ask("/elsewhere", wire::PARTITION, "Add"), "UnknownObject");
    assert_eq!(
        ask("/elsewhere", "org.freedesktop.DBus.Introspectable", "Introspect"),
        "UnknownObject"
    );
    assert_eq!(
        ask(wire::PARTITION_PATH, "org.freedesktop.DBus.Properties", "Set"),
        "PropertyReadOnly"
    );
}

#[test]
fn the_object_tree_and_properties_can_be_introspected() {
    let served = Served::new(1, 1);
    let peer = served.peer();
    let mut path = String::new();
    for _ in 0..3 {
        let at = if path.is_empty() { "/" } else { &path };
        peer.begin_at(at, "org.freedesktop.DBus.Introspectable", "Introspect", &());
        let xml = peer.end::<String>().unwrap();
        let next = xml.split('"').nth(1).unwrap().to_owned();
        path = format!("{path}/{next}");
    }
    assert_eq!(path, wire::PARTITION_PATH);
    peer.begin_at(&path, "org.freedesktop.DBus.Introspectable", "Introspect", &());
    assert!(peer.end::<String>().unwrap().contains("<method name=\"Register\">"));
    let properties = "org.freedesktop.DBus.Properties";
    peer.begin_at(&path, properties, "Get", &(wire::PARTITION, "Name"));
    let name: zbus::zvariant::OwnedValue = peer.end().unwrap();
    assert_eq!(<&str>::try_from(&name).unwrap(), "demo");
    peer.begin_at(&path, properties, "GetAll", &wire::PARTITION);
    type All = std::collections::HashMap<String, zbus::zvariant::OwnedValue>;
    let all: All = peer.end().unwrap();
    assert_eq!(<&str>::try_from(&all["Hardware"]).unwrap(), "simulated");
    assert_eq!(u64::try_from(&all["Epoch"]).unwrap(), 1);
}

#[test]
fn a_message_that_is_too_large_ends_its_connection() {
    let served = Served::new(1, 1);
    let mut bare = served.bare();
    // A header that announces a body of 128 MiB.
    let mut header = [0_u8; 16];
    header[..4].copy_from_slice(&[b'l', 1, 0, 1]);
    header[4..8].copy_from_slice(&(128_u32 << 20).to_le_bytes());
    header[8] = 1;
    bare.write_all(&header).unwrap();
    is_closed(&mut bare);
    served.logged("announced a message of 134217744 bytes");

    // The largest permitted message is read and answered.
    let peer = served.peer();
    let ids = vec![7_u32; (MAX_MESSAGE - 1024) / 4];
    fails(peer.call("AddBatch", &(ids, false)), LIMIT);
    is_well(&served);
}

#[test]
fn garbage_ends_a_connection_and_nothing_else() {
    let served = Served::new(1, 1);
    let handshakes: [&[u8]; 5] =
        [b"\n", b"GET / HTTP/1.1\r\n\r\n", b"\0\0\0\r\n", b"\0AUTH \xff\r\n", &[b'x'; 5000]];
    for garbage in handshakes {
        let mut stream = UnixStream::connect(&served.path).unwrap();
        stream.write_all(garbage).unwrap();
        drop(stream.shutdown(std::net::Shutdown::Write));
        is_closed(&mut stream);
    }
    for garbage in [&[0_u8; 64][..], &[0xff; 64], b"l\x01\x00\x01garbagegarbagegarbage"] {
        let mut bare = served.bare();
        drop(bare.write_all(garbage));
        drop(bare.shutdown(std::net::Shutdown::Write));
        is_closed(&mut bare);
    }
    is_well(&served);
}

#[test]
fn damaged_messages_never_break_the_service() {
    let served = Served::new(1, 1);
    let call = Message::method_call(wire::PARTITION_PATH, "Register").unwrap();
    let call = call.interface(wire::PARTITION).unwrap();
    let path = zbus::zvariant::ObjectPath::try_from("/a").unwrap();
    let call = call.build(&(path, "pool", 1_u32, 0_i32, 100_u32)).unwrap();
    let bytes: &[u8] = call.data();
    // Our own generator, so that a failure can be reproduced.
    let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = move |below: usize| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        usize::try_from(seed % below as u64).unwrap()
    };
    for _ in 0..600 {
        let mut bytes = bytes.to_vec();
        for _ in 0..=random(4) {
            let at = random(bytes.len());
            bytes[at] = u8::try_from(random(256)).unwrap();
        }
        let mut bare = served.bare();
        // The connection may be closed already.
        drop(bare.write_all(&bytes));
        drop(bare.shutdown(std::net::Shutdown::Write));
        is_closed(&mut bare);
    }
    let log = served.log();
    let inside: Vec<_> = log.iter().filter(|line| line.contains("failed inside")).collect();
    assert!(inside.is_empty(), "{inside:?}");
    is_well(&served);
}

#[test]
fn a_header_with_an_invalid_name_ends_the_connection_and_is_logged() {
    let served = Served::new(1, 1);
    let call = Message::method_call("/", "Ping").unwrap().build(&()).unwrap();
    let mut bytes = call.data().to_vec();
    let at = bytes.windows(4).position(|window| window == b"Ping").unwrap();
    bytes[at] = b' ';
    let mut bare = served.bare();
    bare.write_all(&bytes).unwrap();
    is_closed(&mut bare);
    served.logged("its connection was closed, because it sent a message with an invalid member");
    is_well(&served);
}

#[test]
fn unknown_types_flags_and_fields_are_ignored() {
    let served = Served::new(1, 1);
    let call = Message::method_call("/", "Ping").unwrap();
    let call = call.interface("org.freedesktop.DBus.Peer").unwrap().build(&()).unwrap();
    let bytes: &[u8] = call.data();
    // A message of an undefined type; then a call with undefined flags and an extra header field.
    let mut other = bytes.to_vec();
    other[1] = 77;
    let mut more = bytes.to_vec();
    more[2] |= 0xF0;
    let field = [200, 1, b'y', 0, 7];
    let length = u32::try_from(more.len() - 16 + field.len()).unwrap();
    more[12..16].copy_from_slice(&length.to_le_bytes());
    more.extend_from_slice(&field);
    more.resize(more.len().next_multiple_of(8), 0);
    let mut bare = served.bare();
    bare.write_all(&[other, more].concat()).unwrap();
    let mut answer = [0; 24];
    bare.read_exact(&mut answer).unwrap();
    assert_eq!(answer[1], 2, "the ping is answered: {answer:?}");
    assert!(served.log().is_empty(), "nothing is logged");
}

#[test]
fn half_a_message_does_not_delay_others() {
    let served = Served::new(1, 1);
    let mut bare = served.bare();
    bare.write_all(b"l\x01\x00\x01\x10\x00").unwrap();
    is_well(&served);
    // The connection is closed after its time limit.
    is_closed(&mut bare);
    served.logged("an incomplete message and then nothing for 5 s");
}

#[test]
fn a_connection_without_a_handshake_is_closed() {
    let served = Served::new(1, 1);
    let mut stream = UnixStream::connect(&served.path).unwrap();
    is_well(&served);
    is_closed(&mut stream);
}

#[test]
fn a_flood_of_calls_is_answered_and_too_many_at_once_are_refused() {
    let served = Served::new(1, 2);
    let (peer, agent) = (served.peer(), served.peer());
    for _ in 0..2000 {
        peer.begin("GetParties", &());
    }
    for _ in 0..2000 {
        peer.end::<Vec<(u64, String, i32, bool)>>().unwrap();
    }
    // While one add waits, sixteen requests may wait with it.
    let party = agent.register("slow", wire::LATER_ONLY, 0, 0);
    peer.begin("Add", &1_u32);
    let asked = agent.asked();
    for _ in 0..20 {
        peer.begin("Rehearse", &9_u32);
    }
    for _ in 0..5 {
        fails(peer.end(), LIMIT);
    }
    agent.agree(&asked.call);
    agent.agrees_to(hotadd::State::AddComplete, party);
    let mut added = 0;
    for _ in 0..16 {
        match peer.end::<(WireProcessor, u64)>() {
            Ok(_) => added += 1,
            Err(failure) => assert_eq!(failure.name, "org.hotadd.Error.NotAddable"),
        }
    }
    assert_eq!(added, 1);
}

#[test]
fn a_peer_that_does_not_read_is_disconnected_and_does_not_delay_others() {
    let served = Served::new(1, 0);
    let mut deaf = served.bare();
    let call = Message::method_call(wire::PARTITION_PATH, "Introspect").unwrap();
    let call = call.build(&()).unwrap();
    // It sends requests without end and reads no answer.
    let flood = std::thread::spawn(move || {
        while deaf.write_all(call.data()).is_ok() {}
        deaf
    });
    is_well(&served);
    let mut deaf = flood.join().unwrap();
    is_closed(&mut deaf);
    served.logged("it read nothing for 5 s");
    is_well(&served);
}

#[test]
fn the_parties_of_a_connection_are_limited() {
    let served = Served::new(1, 0);
    let peer = served.peer();
    let parties: Vec<u64> =
        (0..64).map(|_| peer.register("pool", wire::LATER_ONLY, 0, 0)).collect();
    peer.begin_register("pool", wire::LATER_ONLY, 0, 0);
    fails(peer.end(), LIMIT);
    peer.call::<_, ()>("Deregister", &parties[0]).unwrap();
    peer.register("pool", wire::LATER_ONLY, 0, 0);
    // Another connection has its own limit.
    is_well(&served);
}

#[test]
fn a_wrong_identity_is_rejected() {
    let served = Served::new(1, 0);
    let mut stream = UnixStream::connect(&served.path).unwrap();
    stream.write_all(b"\0AUTH EXTERNAL 393939\r\n").unwrap();
    let mut said = [0; 19];
    stream.read_exact(&mut said).unwrap();
    assert_eq!(&said, b"REJECTED EXTERNAL\r\n");
}

#[test]
fn a_call_that_expects_no_reply_gets_none() {
    let served = Served::new(1, 0);
    let peer: Peer = served.peer();
    let call = Message::method_call("/", "Ping").unwrap();
    let call = call.with_flags(zbus::message::Flags::NoReplyExpected).unwrap();
    peer.send(&call.build(&()).unwrap());
    let parties: Vec<(u64, String, i32, bool)> = peer.call("GetParties", &()).unwrap();
    assert!(parties.is_empty());
}
