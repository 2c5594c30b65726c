//! Replies that cannot be read, and reasons that cannot be sent unchanged: each is a refusal and harms no
//! other party.

use std::io::Write;
use std::os::unix::net::UnixStream;
use std::thread;

use hotadd::{Batch, Error, HardwareId, Notice, Partition, State, Status, Veto, text};
use hotadd_wire as wire;

use zbus::Message;

use crate::common::{Peer, Served};

const ONE: HardwareId = HardwareId(1);

/// Reasons that fit neither into a message nor into a line.
fn reasons() -> [String; 4] {
    ["a\0b".to_owned(), "\0".repeat(3000), "x".repeat(300_000), "ä\0\u{1b}[2J\n".repeat(50_000)]
}

/// Registers a driver in the partition's process that refuses every later processor for this reason.
fn refuses(partition: &Partition, name: &str, reason: &str) -> hotadd::Registration {
    let reason = reason.to_owned();
    let driver = move |notice: &Notice| match notice.state() {
        State::AddStart => Err(Veto::new(Status::DEVICE_BUSY, reason.clone())),
        _ => Ok(()),
    };
    partition.registration(name).without_replay().register(driver).unwrap()
}

#[test]
fn l3_a_reply_with_a_body_but_no_signature_is_not_an_agreement() {
    let served = Served::new(1, 1);
    let stream = UnixStream::connect(&served.path).unwrap();
    let mut bare = stream.try_clone().unwrap();
    let peer = Peer::connect(stream);
    peer.register("odd", wire::LATER_ONLY, 0, 0);
    let partition = served.adder();
    let adding = thread::spawn(move || partition.add(ONE));
    let asked = peer.asked();
    let mut reply = wire::agree(asked.call.primary_header().serial_num()).to_vec();
    reply[4..8].copy_from_slice(&4_u32.to_le_bytes());
    reply.extend([1, 0, 0, 0]);
    bare.write_all(&reply).unwrap();
    let error = adding.join().unwrap().expect_err("the answer is unknown");
    let said = "it answered AddStart with 4 bytes without a signature";
    assert_eq!((error.status(), &*error.reason()), (Status::INVALID_NETWORK_RESPONSE, said));
}

#[test]
fn l3_an_error_with_an_invalid_name_is_a_veto_that_says_so() {
    let served = Served::new(1, 1);
    let stream = UnixStream::connect(&served.path).unwrap();
    let mut bare = stream.try_clone().unwrap();
    let peer = Peer::connect(stream);
    peer.register("digits", wire::LATER_ONLY, 0, 0);
    let partition = served.adder();
    let adding = thread::spawn(move || partition.add(ONE));
    let asked = peer.asked();
    // As a naive agent would write it: the last element begins with a digit.
    let name = wire::veto_error(Status::DEVICE_BUSY);
    let error =
        Message::error(&asked.call.header(), name.as_str()).unwrap().build(&"busy").unwrap();
    let mut bytes = error.data().to_vec();
    let at = bytes.windows(9).position(|part| part == b"x80000011").unwrap();
    bytes[at..at + 9].copy_from_slice(b"800000110");
    bare.write_all(&bytes).unwrap();
    let error = adding.join().unwrap().expect_err("it is not an agreement");
    assert_eq!(error.status(), Status::INVALID_NETWORK_RESPONSE);
    assert!(error.reason().contains("invalid error name"), "{error}");
}

#[test]
fn a3_a_refusal_with_any_reason_reaches_the_caller() {
    for reason in reasons() {
        let served = Served::new(1, 2);
        let there = Partition::connect(&served.path).unwrap();
        let _driver = refuses(&served.partition, "wordy", &reason);
        let error = there.add(ONE).expect_err("it was refused");
        let Error::Vetoed { veto, party, .. } = &error else { panic!("{error}") };
        assert_eq!((veto.status(), &*party.name), (Status::DEVICE_BUSY, "wordy"));
        let sent = wire::text(&reason, wire::MAX_REASON);
        assert_eq!(
            veto.reason(),
            text::clean(&sent),
            "the reason is cut and has no control characters"
        );
        let batch = there.add_batch(&[ONE, HardwareId(2)], Batch::Each);
        for (id, result) in batch {
            let error = result.expect_err("it was refused");
            assert_eq!(error.status(), Status::DEVICE_BUSY, "processor {id} of a batch: {error}");
        }
        let rehearsal = there.rehearse(ONE).unwrap();
        let refusal = rehearsal.answers[0].answer.as_ref().expect_err("it would be refused");
        assert_eq!(refusal.status(), Status::DEVICE_BUSY);
    }
}

#[test]
fn a_reason_too_large_for_a_message_does_not_break_other_connections() {
    for reason in reasons() {
        let served = Served::new(1, 1);
        let peer = served.peer();
        let party = peer.register("first", wire::LATER_ONLY, -1, 0);
        let there = Partition::connect(&served.path).unwrap();
        let far = refuses(&there, "far", "it is small");
        let near = refuses(&served.partition, "near", &reason);
        for _ in 0..2 {
            let partition = served.adder();
            let adding = thread::spawn(move || partition.add(ONE));
            peer.agrees_to(State::AddStart, party);
            peer.agrees_to(State::AddFailure, party);
            let error = adding.join().unwrap().expect_err("it was refused");
            assert_eq!(error.party().map(|party| &*party.name), Some("near"), "{error}");
            let (id, name, status, said): (u32, String, u32, String) =
                peer.signal("Refused").body().deserialize().unwrap();
            assert_eq!((id, &*name), (1, "near"));
            assert_eq!(status, Status::DEVICE_BUSY.to_raw());
            assert_eq!(said, wire::text(&reason, wire::MAX_REASON));
        }
        let events = crate::common::history(&peer);
        assert!(events.iter().any(|event| event == "veto"), "the history has the veto: {events:?}");
        assert!(far.is_registered(), "a party that is told of the refusal keeps its connection");
        drop(near);
        let partition = served.adder();
        let adding = thread::spawn(move || partition.add(ONE));
        peer.agrees_to(State::AddStart, party);
        peer.agrees_to(State::AddFailure, party);
        let error = adding.join().unwrap().expect_err("the one that is far away is asked");
        assert_eq!(error.party().map(|party| &*party.name), Some("far"), "{error}");
    }
}

#[test]
fn a10_a_rehearsal_with_many_long_reasons_fits_into_a_message() {
    let served = Served::new(1, 1);
    let _wordy: Vec<_> = (0..300)
        .map(|number| refuses(&served.partition, &format!("wordy {number}"), &"x".repeat(5000)))
        .collect();
    let there = Partition::connect(&served.path).unwrap();
    let rehearsal = there.rehearse(ONE).expect("the answers fit");
    assert_eq!(rehearsal.answers.len(), 300);
    for given in rehearsal.answers {
        assert_eq!(given.answer.unwrap_err().status(), Status::DEVICE_BUSY, "{}", given.party);
    }
}

/// Parts of names and reasons, including those that appear around them in messages.
fn words(random: &mut fastrand::Rng, most: usize) -> String {
    let parts = [
        "x",
        " ",
        ": ",
        "(",
        ")",
        "ä",
        "\u{202e}",
        "'",
        "\"",
        "\\",
        "#2",
        "processor 1",
        "refused to add ",
        "STATUS_DEVICE_BUSY, 0x80000011",
        "0xC0000001",
        "%s",
        "\t",
        "\u{1f600}",
    ];
    let mut words = String::new();
    for _ in 0..random.usize(1..8) {
        let part = parts[random.usize(..parts.len())];
        if words.len() + part.len() <= most {
            words += part;
        }
    }
    if words.is_empty() { "x".to_owned() } else { words }
}

#[test]
fn a11_a_refusal_is_the_same_in_this_and_in_another_process() {
    let served = Served::new(1, 1);
    let there = Partition::connect(&served.path).unwrap();
    let peer = served.peer();
    let mut random = fastrand::Rng::with_seed(11);
    for _ in 0..300 {
        // A name may be any visible text without a blank at either end (R7).
        let name = format!("n{}n", text::clean(&words(&mut random, 62)));
        let reason = text::clean(&words(&mut random, 400)).into_owned();
        let driver = refuses(&served.partition, &name, &reason);
        let here = served.partition.add(ONE).unwrap_err();
        let far = there.add(ONE).unwrap_err();
        assert_eq!(far.to_string(), here.to_string());
        let (Error::Vetoed { veto, .. }, Error::Vetoed { veto: told, .. }) = (&here, &far) else {
            panic!("{here}: {far}");
        };
        assert_eq!(veto, told, "status and reason are those given by {name}");
        assert_eq!(far.party().map(|party| &party.name), Some(&name));
        let events: Vec<String> = peer.call("GetHistory", &3_u32).unwrap();
        let mut events = events.iter().map(|line| serde_json::from_str(line).unwrap());
        let written = events.rfind(|event: &serde_json::Value| event["event"] == "veto").unwrap();
        assert_eq!(written["driver"], *name, "in the history");
        assert_eq!(written["reason"], *reason, "in the history");
        let rehearsal = there.rehearse(ONE).unwrap();
        assert_eq!(rehearsal.answers[0].answer.as_ref().err(), Some(veto), "{name} in a rehearsal");
        assert_eq!(rehearsal.answers[0].party.name, name);
        drop(driver);
        let reason = reason.trim().to_owned();
        // A driver in another process that refuses an active processor (R4).
        let refuses = move |_: &Notice| Err(Veto::new(Status::DEVICE_BUSY, reason.clone()));
        let refused = there.register(&name, refuses).unwrap_err();
        assert_eq!(refused.party().map(|party| &party.name), Some(&name), "{refused}");
        assert_eq!(refused.status(), Status::DEVICE_BUSY, "{refused}");
    }
}
