//! [`Agent`]: an agent that speaks D-Bus in raw bytes, as fast as possible.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::thread;
use std::time::Duration;

use hotadd_wire as wire;
use zbus::Message;
use zbus::zvariant::ObjectPath;

use crate::Outcome;
use crate::asking::ready;
use crate::bare::REPLY;

/// The process of the agents: a connection and a thread for each.
pub(crate) fn agents(path: &Path, count: u32, delay: Duration) -> Outcome<()> {
    let agents: Result<Vec<_>, _> = (0..count).map(|_| Agent::register(path)).collect();
    let agents = agents?;
    ready()?;
    let threads: Vec<_> =
        agents.into_iter().map(|agent| thread::spawn(move || agent.answer(delay))).collect();
    for thread in threads {
        thread.join().map_err(|_| "an agent panicked")?;
    }
    Ok(())
}

/// An agent in raw bytes: one read and one write for a call.
struct Agent {
    stream: UnixStream,
    buffer: [u8; 4096],
    /// The filled length of the buffer.
    filled: usize,
}

impl Agent {
    fn register(path: &Path) -> Outcome<Self> {
        let mut stream = UnixStream::connect(path)?;
        let agent = ObjectPath::try_from("/agent")?;
        let call = Message::method_call(wire::PARTITION_PATH, "Register")?
            .interface(wire::PARTITION)?
            .build(&(agent, "agent", wire::LATER_ONLY, 0_i32, 0_u32))?;
        stream.write_all(b"\0AUTH EXTERNAL\r\nDATA\r\nBEGIN\r\n")?;
        stream.write_all(call.data())?;
        // The answers to the handshake are two lines.
        let (mut byte, mut lines) = ([0], 0);
        while lines < 2 {
            stream.read_exact(&mut byte)?;
            lines += u32::from(byte[0] == b'\n');
        }
        let mut agent = Self { stream, buffer: [0; 4096], filled: 0 };
        // No party is asked before all are registered, so the first message is the answer.
        match agent.message()?[1] {
            2 => Ok(agent),
            _ => Err("it was not registered".into()),
        }
    }

    /// The next message.
    fn message(&mut self) -> std::io::Result<Vec<u8>> {
        loop {
            if let Some(length) = length(&self.buffer[..self.filled]) {
                let message = self.buffer[..length].to_vec();
                self.buffer.copy_within(length..self.filled, 0);
                self.filled -= length;
                return Ok(message);
            }
            match self.stream.read(&mut self.buffer[self.filled..])? {
                0 => return Err(std::io::ErrorKind::UnexpectedEof.into()),
                got => self.filled += got,
            }
        }
    }

    /// Agrees to everything until the partition closes.
    fn answer(mut self, delay: Duration) {
        let mut reply = [0_u8; REPLY];
        reply[..4].copy_from_slice(&[b'l', 2, 1, 1]);
        reply[8] = 1;
        reply[12] = 8;
        reply[16..20].copy_from_slice(&[5, 1, b'u', 0]);
        while let Ok(message) = self.message() {
            if message[1] != 1 {
                continue;
            }
            // Only preparing takes time; an outcome does not.
            if !delay.is_zero() && message.windows(9).any(|word| word == b"AddStart\0") {
                thread::sleep(delay);
            }
            reply[20..].copy_from_slice(&message[8..12]);
            if self.stream.write_all(&reply).is_err() {
                return;
            }
        }
    }
}

/// The length of the first message in these bytes, if it is complete.
fn length(bytes: &[u8]) -> Option<usize> {
    let number = |at: usize| {
        let bytes = bytes.get(at..at + 4)?.try_into().ok()?;
        usize::try_from(u32::from_ne_bytes(bytes)).ok()
    };
    let length = 16 + number(12)?.next_multiple_of(8) + number(4)?;
    (bytes.len() >= length).then_some(length)
}
