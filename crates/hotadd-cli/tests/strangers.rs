//! False partitions: `hotadd` talks to any listener, and wrong answers end in an error, never in a panic.

mod common;

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::thread;

use common::fake::{Fake, refusal, reply};
use common::{hotadd, stderr, stdout};

/// Completes the handshake with a client. Returns the serial of its first call.
fn greet(stream: &UnixStream) -> u32 {
    let (mut lines, mut to) = (BufReader::new(stream), stream);
    loop {
        let mut line = Vec::new();
        lines.read_until(b'\n', &mut line).unwrap();
        let line = String::from_utf8_lossy(&line).into_owned();
        if line.contains("AUTH") {
            to.write_all(b"OK 0123456789abcdef0123456789abcdef\r\n").unwrap();
        } else if line.contains("NEGOTIATE_UNIX_FD") {
            to.write_all(b"ERROR\r\n").unwrap();
        } else {
            assert!(line.contains("BEGIN"), "{line}");
            let mut start = [0; 16];
            lines.read_exact(&mut start).unwrap();
            return u32::from_le_bytes(start[8..12].try_into().unwrap());
        }
    }
}

/// A message without a body that answers a call, with an optional extra header field: its code and a text.
fn message(kind: u8, answers: u32, more: Option<(u8, &str)>) -> Vec<u8> {
    let word = |n: usize| u32::try_from(n).unwrap().to_le_bytes();
    let mut fields = vec![5, 1, b'u', 0];
    fields.extend(answers.to_le_bytes());
    if let Some((code, text)) = more {
        fields.extend([code, 1, b's', 0]);
        fields.extend(word(text.len()));
        fields.extend(text.as_bytes());
        fields.push(0);
    }
    let mut message = vec![b'l', kind, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0];
    message.extend(word(fields.len()));
    message.extend(fields);
    message.resize(message.len().next_multiple_of(8), 0);
    message
}

/// The message of `hotadd status` when a partition answers its first request with this.
fn status_of(kind: u8, more: Option<(u8, &'static str)>) -> String {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("hotadd");
    std::fs::DirBuilder::new().mode(0o700).create(&place).unwrap();
    let listener = UnixListener::bind(place.join("demo")).unwrap();
    let stranger = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let first = greet(&stream);
        stream.write_all(&message(kind, first, more)).unwrap();
        // Until the client closes.
        let _ = stream.read_to_end(&mut Vec::new());
    });
    let output = hotadd(&["status"]).env("XDG_RUNTIME_DIR", folder.path()).output().unwrap();
    stranger.join().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    stderr(&output)
}

#[test]
fn an_invalid_name_in_a_message_is_an_error_and_not_a_panic() {
    for (kind, code, what) in [(2, 7, "sender"), (3, 4, "error name"), (4, 2, "interface")] {
        let said = status_of(kind, Some((code, "-")));
        let expected = format!("it sent a message with an invalid {what}");
        assert!(
            said.contains("does not follow the protocol") && said.contains(&expected),
            "{said}"
        );
    }
}

#[test]
fn an_answer_of_a_wrong_type_is_an_error() {
    let said = status_of(2, None);
    assert!(said.contains("the partition's answer to GetCandidates is invalid"), "{said}");
}

#[test]
fn a_path_without_a_partition_is_described_with_advice() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("hotadd");
    std::fs::create_dir(&place).unwrap();
    std::fs::write(place.join("file"), "").unwrap();
    drop(UnixListener::bind(place.join("left")).unwrap());
    let said = |args: &[&str], code: i32| {
        let output = hotadd(args).env("XDG_RUNTIME_DIR", folder.path()).output().unwrap();
        assert_eq!(output.status.code(), Some(code), "{args:?}: {}", stderr(&output));
        stderr(&output)
    };
    let begins = "`hotadd run --name";
    for (name, what, advice) in [
        ("none", "there is no running partition none (nothing is at ", begins),
        ("file", "file, which is not a socket; ", begins),
        ("left", "partition left has ended: no process listens at ", begins),
        ("/nowhere/none", "(nothing is at /nowhere/none); ", "without -p"),
        ("/etc/passwd", "/etc/passwd, which is not a socket; ", "without -p"),
    ] {
        let said = said(&["status", "-p", name], 3);
        assert!(said.contains(what) && said.contains(advice), "{name}: {said}");
    }
    said(&["status", "-p", ""], 2);
}

/// Characters that control a terminal, break a line, change the direction of text, or are invisible.
const EVIL: &str =
    "pool\u{1b}[2J\u{9b}H\r\u{202e}\u{2066}\u{2028}\u{200b}\u{feff}\u{e0041}\u{3164}!";

#[test]
fn control_characters_of_a_partition_are_not_printed_in_lines_or_json() {
    let event = serde_json::json!({ "event": "refused", "driver": EVIL, "id": 1, "reason": EVIL });
    let event = event.to_string();
    let fake = Fake::new(move |name, call| match name {
        "Add" => {
            let body = (EVIL.to_owned(), 0xC000_0001, 0, 1, EVIL.to_owned());
            refusal(call, "org.hotadd.Error.Vetoed", &body)
        }
        "GetParties" => reply(call, &vec![(1_u64, EVIL, 0_i32, true)]),
        "GetMissing" => reply(call, &vec![(EVIL, 1_u64, 0xC000_0001_u32, EVIL)]),
        "GetHistory" => reply(call, &vec![event.as_str()]),
        "Rehearse" => {
            let no = (1_u64, EVIL, 0_i32, false, 0xC000_0001_u32, EVIL, 1_u64);
            reply(call, &((1_u32, 0_u16, 1_u8, 1_u32), vec![no]))
        }
        _ => refusal(call, "org.hotadd.Error.Strange", &(EVIL.to_owned(), 0, 0, 0, String::new())),
    });
    for args in [
        &["add", "1"][..],
        &["rehearse", "1"],
        &["parties"],
        &["history"],
        &["status"],
        &["parties", "--restart", "pool"],
    ] {
        for more in [&[][..], &["--json"]] {
            let args = [args, more].concat();
            let output = hotadd(&args).env("XDG_RUNTIME_DIR", fake.runtime_dir()).output().unwrap();
            for said in [stdout(&output), stderr(&output)] {
                let bad: Vec<char> =
                    said.chars().filter(|c| *c != '\n' && !hotadd::text::is_plain(*c)).collect();
                assert!(bad.is_empty(), "{args:?} prints {bad:?}: {said:?}");
                assert!(!said.contains("\\u"), "{args:?} only escapes it: {said:?}");
            }
            let all = stdout(&output) + &stderr(&output);
            assert!(all.contains("pool\u{fffd}[2J"), "{args:?} prints the remaining text: {all:?}");
        }
    }
}

#[test]
fn r7_a_partition_with_an_invisible_name_does_not_begin() {
    for name in
        ["", " ", "\u{3164}", "de\u{200b}mo", "demo\u{202e}", "d\u{1b}[2J", "d\u{ad}", "d/x", ".d"]
    {
        let output =
            hotadd(&["run", "--name", name, "--simulate", "1+1", "--", "true"]).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{name:?} is accepted as a name");
    }
}
