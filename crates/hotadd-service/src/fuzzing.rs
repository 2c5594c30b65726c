//! What the fuzz targets call. Built with `--cfg fuzzing` alone, and no part of what this crate promises.

use hotadd::State;
use hotadd_wire::handshake::{self, Answer, LONGEST, Step};
use hotadd_wire::{Request, Stream};

use crate::parties::driver::judge;

/// Reads what a peer sends: the handshake, and behind it its calls and its answers. Returns how many messages it was.
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

/// The same of what comes over a bus, which others have written.
#[must_use]
pub fn bus(bytes: &[u8]) -> usize {
    let mut stream = Stream::of_bus();
    stream.room().extend_from_slice(bytes);
    messages(&mut stream)
}

fn messages(stream: &mut Stream) -> usize {
    let mut count = 0;
    loop {
        if stream.agreement().is_none() {
            let Ok(Some(message)) = stream.message() else { return count };
            let _ = format!("{message:?}");
            let _ = Request::read(&message, message.head().member());
            if let Err(veto) = judge(&message, State::AddStart) {
                let control = veto.reason().chars().any(char::is_control);
                assert!(!control, "{:?} is shown to people", veto.reason());
            }
        }
        count += 1;
    }
}
