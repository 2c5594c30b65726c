//! Partitions that are none: `hotadd` asks whoever listens, and what it is told ends in an error, never in a panic. And one that
//! is served by an older program.

mod common;

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::mpsc::channel;
use std::thread;

use hotadd::Partition;
use hotadd::hardware::Simulated;
use hotadd::wire::{self, PARTITION_PATH, WireSet};
use serde_json::{Value, json};
use zbus::{Guid, connection};

use common::{hotadd, stay_out, stderr, stdout};

/// Has the handshake with a client, and says the serial of its first call.
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

/// A message without a body that answers a call, and perhaps one more field of its header: a code, and a text.
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

/// What `hotadd status` says of a partition that says this to its first question.
fn status_of(kind: u8, more: Option<(u8, &'static str)>) -> String {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("hotadd");
    std::fs::DirBuilder::new().mode(0o700).create(&place).unwrap();
    let listener = UnixListener::bind(place.join("demo")).unwrap();
    let stranger = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let first = greet(&stream);
        stream.write_all(&message(kind, first, more)).unwrap();
        // Until it hangs up.
        let _ = stream.read_to_end(&mut Vec::new());
    });
    let output = hotadd(&["status"]).env("XDG_RUNTIME_DIR", folder.path()).output().unwrap();
    stranger.join().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    stderr(&output)
}

#[test]
fn a_name_that_is_none_ends_in_an_error_and_not_in_a_panic() {
    for (kind, code, what) in [(2, 7, "sender"), (3, 4, "error name"), (4, 2, "interface")] {
        let said = status_of(kind, Some((code, "-")));
        let expected = format!("it sent a message whose {what} is none");
        assert!(
            said.contains("does not follow the protocol") && said.contains(&expected),
            "{said}"
        );
    }
}

#[test]
fn an_answer_of_another_type_is_called_nonsense() {
    let said = status_of(2, None);
    assert!(said.contains("the partition answered GetSet with nonsense"), "{said}");
}

/// A partition that is served by a program of before there was GetRefusals.
struct Older {
    set: WireSet,
    events: Vec<Value>,
}

#[zbus::interface(name = "org.hotadd.Partition1")]
impl Older {
    fn get_set(&self) -> (WireSet, Vec<u32>) {
        (self.set.clone(), vec![2])
    }

    fn get_parties(&self) -> Vec<(u64, String, i32, bool)> {
        Vec::new()
    }

    fn get_waiting(&self) -> Vec<(String, String, u32, u64)> {
        Vec::new()
    }

    fn get_history(&self, most: u32) -> Vec<String> {
        assert_eq!(most, 1000);
        self.events.iter().map(Value::to_string).collect()
    }
}

#[test]
fn status_of_an_older_service_says_what_its_history_does() {
    let refused = |id: u32, reason: &str| json!({ "event": "refused", "driver": "pool", "id": id, "reason": reason });
    let partition = Partition::simulated(&Simulated::new(2, 1).unwrap()).unwrap();
    let older = Older {
        set: wire::set(&partition.active()),
        events: vec![
            refused(1, "no room"),
            refused(2, "none at all"),
            json!({ "event": "joined", "id": 1 }),
            json!({ "event": "refused", "id": 0, "reason": "it is active already", "clause": "A8" }),
        ],
    };
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("hotadd");
    std::fs::DirBuilder::new().mode(0o700).create(&place).unwrap();
    let (listens, listening) = channel();
    let serving = thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let listener = tokio::net::UnixListener::bind(place.join("demo")).unwrap();
            listens.send(()).unwrap();
            let (stream, _) = listener.accept().await.unwrap();
            let served = connection::Builder::unix_stream(stream).p2p();
            let served = served.server(Guid::generate()).unwrap();
            let served = served.serve_at(PARTITION_PATH, older).unwrap().build().await.unwrap();
            // Until it hangs up.
            served.closed().await;
        });
    });
    listening.recv().unwrap();
    let output = hotadd(&["status"]).env("XDG_RUNTIME_DIR", folder.path()).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let said = stdout(&output);
    assert_eq!(stay_out(&said), [(2, "pool refused: none at all")], "{said}");
    serving.join().unwrap();
}
