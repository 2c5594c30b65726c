//! A partition that violates the protocol does no harm to its client.

use std::sync::mpsc;

use hotadd::{Error, Event, EventKind, HardwareId, Notice, Partition, State, Status};
use hotadd_wire as wire;
use zbus::Message;

use crate::fake::{FIRST, Fake, Log, Place, at, both, pair, set};

/// A message's bytes with a part of its text replaced by text of the same length.
fn with(message: &Message, text: &str, other: &str) -> Vec<u8> {
    let mut bytes = message.data().to_vec();
    let at = bytes.windows(text.len()).position(|window| window == text.as_bytes()).unwrap();
    bytes[at..at + text.len()].copy_from_slice(other.as_bytes());
    bytes
}

/// A message's bytes with an additional header field of an unknown code.
fn with_unknown_field(message: &Message) -> Vec<u8> {
    let bytes: &[u8] = message.data();
    let number = |at| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
    let end = 16 + number(12) as usize;
    let mut more = bytes[..end].to_vec();
    more.resize(end.next_multiple_of(8), 0);
    more.extend_from_slice(&[200, 1, b'y', 0, 7]);
    let length = u32::try_from(more.len() - 16).unwrap();
    more[12..16].copy_from_slice(&length.to_le_bytes());
    more.resize(more.len().next_multiple_of(8), 0);
    more.extend_from_slice(&bytes[end.next_multiple_of(8)..]);
    more
}

#[test]
fn l3_a_header_with_an_invalid_name_ends_the_connection_and_the_client_reconnects() {
    let signal = Message::signal(wire::PARTITION_PATH, wire::PARTITION, "Joined").unwrap();
    let signal = signal.sender(":1.7").unwrap().destination("a.b").unwrap().build(&()).unwrap();
    type Hostile<'a> = &'a (dyn Fn(&Message) -> Vec<u8> + Sync);
    let cases: [(&str, Hostile<'_>); 7] = [
        ("member", &|_| with(&signal, "Joined", "Jo ned")),
        ("interface", &|_| with(&signal, "org.hotadd.Partition1", "org.hotadd.Partition!")),
        ("path", &|_| with(&signal, "/org/hotadd/Partition", "/org/hotadd/Partitio/")),
        ("sender", &|_| with(&signal, ":1.7", ":..7")),
        ("destination", &|_| with(&signal, "a.b", "...")),
        // In the headers by which zbus finds the waiting caller, before our code sees them.
        ("error name", &|request| {
            let error = Message::error(&request.header(), "org.hotadd.Error.Limit").unwrap();
            with(&error.build(&()).unwrap(), "org.hotadd.Error.Limit", "org.hotadd.Error.Lim:t")
        }),
        ("member", &|_| {
            let call = Message::method_call(FIRST, "AddStart").unwrap();
            let body = wire::notice(7, &Notice::new(State::AddStart, at(1)));
            with(&call.build(&body).unwrap(), "AddStart", "AddSt\u{7}rt")
        }),
    ];
    for (field, hostile) in cases {
        let place = Place::new();
        let listener = place.listen();
        let accept = || Fake::accept(&listener, set(1, 1, false));
        let (mut fake, partition) = both(accept, || Partition::connect(&place.0).unwrap());
        let log = Log::default();
        let (_, registration) =
            both(|| fake.admit(FIRST, 7), || partition.register("p", log.driver("d")));
        let (seen, events) = mpsc::channel::<Event>();
        partition.observe(move |event| drop(seen.send(event.clone()))).unwrap().detach();
        let (_, error) = both(
            || {
                let request = fake.request("Add");
                fake.send_bare(&hostile(&request));
                fake.until_closed();
            },
            || partition.add(HardwareId(1)).unwrap_err(),
        );
        let why = format!("it sent a message with an invalid {field}");
        assert!(matches!(error, Error::Protocol(_)), "{error:?}");
        assert!(error.to_string().contains(&why), "a waiting caller gets the cause: {error}");
        let breach = events.recv().unwrap();
        assert_eq!((breach.kind, breach.clause), (EventKind::Breach, Some("L3")));
        assert!(breach.reason.unwrap().contains(&why), "an observer gets the cause: {why}");
        // The client reconnects, and everything works again.
        fake = accept();
        fake.admit(FIRST, 7);
        log.take();
        assert_eq!(fake.tell(FIRST, 7, State::AddStart, 1), Ok(()));
        assert_eq!(fake.tell(FIRST, 7, State::AddFailure, 1), Ok(()));
        assert_eq!(log.take(), "d AddStart 1, d AddFailure 1", "the driver works on");
        drop(fake);
        drop(registration);
    }
}

#[test]
fn connecting_to_a_partition_that_begins_with_an_invalid_message_fails() {
    let place = Place::new();
    let listener = place.listen();
    let (_, error) = both(
        || {
            let mut fake = Fake::silent(listener.accept().unwrap().0, set(1, 1, false));
            fake.send_bare(&[b'l'; 64]);
            fake.drain();
        },
        || Partition::connect(&place.0).map(drop).unwrap_err(),
    );
    assert_eq!(error.status(), Status::INVALID_NETWORK_RESPONSE);
    assert!(error.to_string().contains("it announced a message of"), "{error}");
}

#[test]
fn a_partition_may_send_at_most_1000_messages_before_its_page() {
    for (early, connects) in [(1000, true), (1001, false)] {
        let place = Place::new();
        let listener = place.listen();
        let (_, connected) = both(
            || {
                let mut fake = Fake::silent(listener.accept().unwrap().0, set(1, 1, false));
                for _ in 0..early {
                    fake.signal("Unknown", &());
                }
                if connects {
                    let hardware = fake.request("Get");
                    fake.reply(&hardware, &zbus::zvariant::Value::from("fake"));
                    fake.until_closed();
                } else {
                    fake.drain();
                }
            },
            || Partition::connect(&place.0).map(drop),
        );
        match connected {
            Ok(()) => assert!(connects, "{early} messages were kept"),
            Err(error) => {
                assert!(!connects, "{early}: {error}");
                assert!(error.to_string().contains("it does not hand out its page"), "{error}");
            }
        }
    }
}

#[test]
fn unknown_types_flags_and_fields_are_ignored() {
    let (mut fake, partition) = pair(1);
    both(
        || {
            let request = fake.request("Add");
            fake.set = set(2, 2, false);
            // An undefined type and undefined flags, and then the answer with an unknown field.
            let signal = Message::signal(wire::PARTITION_PATH, wire::PARTITION, "Joined").unwrap();
            let mut other = signal.build(&()).unwrap().data().to_vec();
            other[1] = 77;
            fake.send_bare(&other);
            let reply = Message::method_return(&request.header()).unwrap();
            let reply = reply.build(&(wire::processor(at(1)), 2_u64)).unwrap();
            let mut reply = with_unknown_field(&reply);
            reply[2] |= 0xF0;
            fake.send_bare(&reply);
        },
        || assert_eq!(partition.add(HardwareId(1)).unwrap().processor, at(1)),
    );
    assert!(partition.is_connected());
}

#[test]
fn a_malformed_call_does_not_reach_the_driver() {
    let (mut fake, partition) = pair(1);
    let log = Log::default();
    let (_, registration) =
        both(|| fake.admit(FIRST, 7), || partition.register("p", log.driver("d")));
    log.take();
    let mut wrong = |path: &str, member: &str, body: &dyn Fn(&mut Fake, &str, &str) -> Message| {
        let call = body(&mut fake, path, member);
        fake.answer(&call).unwrap_err().0
    };
    let good = |member: &'static str| {
        move |fake: &mut Fake, path: &str, _: &str| {
            let notice = Notice::new(State::AddStart, at(1));
            let body = wire::notice(7, &notice);
            fake.call(path, member, &body)
        }
    };
    let empty = |fake: &mut Fake, path: &str, member: &str| fake.call(path, member, &());
    assert!(wrong("/org/hotadd/Agent/9", "", &good("AddStart")).ends_with("UnknownObject"));
    assert!(wrong("/org/hotadd/Agent", "", &good("AddStart")).ends_with("UnknownObject"));
    assert!(wrong(FIRST, "", &good("AddEverything")).ends_with("UnknownMethod"));
    assert!(wrong(FIRST, "AddStart", &empty).ends_with("InvalidArgs"));
    let far = |fake: &mut Fake, path: &str, member: &str| {
        let details: std::collections::HashMap<&str, zbus::zvariant::Value<'_>> = [].into();
        fake.call(path, member, &(7_u64, (9999_u32, 0_u16, 0_u8, 1_u32), 1_u64, details))
    };
    assert!(wrong(FIRST, "AddStart", &far).ends_with("InvalidArgs"));
    // An outcome of something that was not asked.
    assert_eq!(wrong(FIRST, "", &good("AddComplete")), "org.hotadd.Error.Status.xC0000184");
    assert_eq!(log.take(), "");
    drop(fake);
    drop(registration);
}

#[test]
fn a_message_that_is_too_large_ends_the_connection() {
    let (mut fake, partition) = pair(1);
    fake.set = set(1, 1, false);
    fake.signal("Breach", &("", "", "x".repeat(wire::MAX_MESSAGE)));
    fake.until_closed();
    let error = partition.add(HardwareId(1)).unwrap_err();
    assert_eq!(error, Error::Disconnected, "there is no second connection");
    assert!(!partition.is_connected());
    assert_eq!(partition.count(), 1, "the replica stays readable");
}
