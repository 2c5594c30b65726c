//! Entry points for the fuzz targets. They exist only with `--cfg fuzzing`, and are not part of this crate's API.

use hotadd::State;
use hotadd_wire::handshake::{self, Answer, LONGEST, Step};
use hotadd_wire::{DirectBus, Properties, Request, Stream};

use crate::parties::driver::judge;

/// Reads a peer's input: the handshake, then its calls and answers. Returns the number of messages.
#[must_use]
pub fn peer(bytes: &[u8]) -> usize {
    let mut stream = Stream::of_peer();
    stream.room().extend_from_slice(bytes);
    let mut step = Step::default();
    loop {
        let Some(line) = stream.line().filter(|line| line.len() <= LONGEST) else { return 0 };
        let Ok(line) = std::str::from_utf8(&line) else { return 0 };
        match handshake::answer(&mut step, line.trim_start_matches('\0'), Some(0), "guid") {
            Answer::Begin => break,
            Answer::Line(answer) => assert!(answer.ends_with("\r\n"), "{answer:?} has no end"),
        }
    }
    messages(&mut stream)
}

/// Reads input from a bus, whose messages other peers have written. Returns the number of messages.
#[must_use]
pub fn bus(bytes: &[u8]) -> usize {
    let mut stream = Stream::of_bus();
    stream.room().extend_from_slice(bytes);
    messages(&mut stream)
}

/// A direct connection that the peer treats as a bus.
const BUS: DirectBus<'_> = DirectBus {
    partition: "org.hotadd.Partition.demo",
    client: 1,
    is_greeted: false,
    guid: "guid",
    user: 0,
    process: 1,
    machine: None,
};

const PARTITION: Properties<'_> =
    Properties { name: "demo", hardware: "simulated", epoch: 1, machine: Some("id") };

fn messages(stream: &mut Stream) -> usize {
    let mut count = 0;
    loop {
        if stream.agreement().is_none() {
            let Ok(Some(message)) = stream.message() else { return count };
            let _ = format!("{message:?}");
            let _ = Request::read(&message, message.head().member());
            let _ = BUS.answer(&message);
            let _ = PARTITION.answer(&message);
            if let Err(veto) = judge(&message, State::AddStart) {
                let control = veto.reason().chars().any(char::is_control);
                assert!(!control, "{:?} is shown to people", veto.reason());
            }
        }
        count += 1;
    }
}
