//! What is said over the serial port between a test and the agent in its guest.
//!
//! A frame is the length of its head and of its body, 32 bits each, little-endian; then the head, a JSON object; then the
//! body, bytes as they are. The agent begins with [`Reply::Ready`]; after that each request has one reply.

use std::io::{self, Read, Write};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// The largest body. Larger files come with the guest, which is also much faster.
pub const BODY: usize = 16 << 20;

/// The largest head.
const HEAD: usize = 1 << 20;

/// How much of a file goes into one frame: what a serial port's driver keeps while nobody reads is 64 KiB.
pub const CHUNK: usize = 32 << 10;

/// What a test asks.
#[derive(Debug, Serialize, Deserialize)]
pub enum Request {
    /// Run a program to its end, or kill it when its time is up.
    Run {
        /// Its name and arguments.
        argv: Vec<String>,
        /// Its time.
        limit_ms: u64,
    },
    /// Start a program and leave it. What it says goes to a file.
    Start {
        /// Its name and arguments.
        argv: Vec<String>,
        /// The file.
        output: String,
    },
    /// Wait for one that was started.
    Wait {
        /// Its process id.
        pid: u32,
        /// How long.
        limit_ms: u64,
    },
    /// Send a signal to one that was started.
    Signal {
        /// Its process id.
        pid: u32,
        /// The signal.
        signal: i32,
    },
    /// Read a file.
    Read {
        /// Its path.
        path: String,
    },
    /// Write the body to a file that exists, in one go.
    Write {
        /// Its path.
        path: String,
    },
    /// Put the body at a place in a file, which is made, or emptied, if the place is its beginning.
    Put {
        /// Its path.
        path: String,
        /// The place.
        offset: u64,
    },
    /// The uevents since one, and how many there have been.
    Uevents {
        /// The first.
        from: usize,
    },
    /// Wait for a uevent.
    Await {
        /// The first that counts.
        from: usize,
        /// How it begins: `add@/devices/system/cpu/`.
        head: String,
        /// How long.
        limit_ms: u64,
    },
    /// Wait for a line of a file; it is the body.
    Line {
        /// The file's path.
        path: String,
        /// What is in the line.
        part: String,
        /// How long.
        limit_ms: u64,
    },
}

/// What the agent answers.
#[derive(Debug, Serialize, Deserialize)]
pub enum Reply {
    /// The guest is up.
    Ready,
    /// It was done. What was read is the body.
    Done,
    /// A program ran; the body is what it wrote to its output, and then to its errors.
    Ran {
        /// How it ended, as `wait` gives it.
        status: i32,
        /// How much of the body is output.
        output: usize,
    },
    /// A program runs.
    Started {
        /// Its process id.
        pid: u32,
    },
    /// Uevents.
    Uevents(Vec<Uevent>),
    /// It did not happen in its time.
    Late,
    /// The kernel refused it.
    Refused {
        /// With this error number, if it was the kernel.
        errno: Option<i32>,
        /// In words.
        reason: String,
    },
}

/// What the kernel told everybody.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Uevent {
    /// Its place among all since the guest is up. One is missing where messages were lost.
    pub number: usize,
    /// When the agent heard it, in microseconds of the guest's `CLOCK_MONOTONIC`.
    pub at_us: u64,
    /// What happened, and to what: `add@/devices/system/cpu/cpu1`.
    pub head: String,
}

/// Sends a frame.
///
/// # Errors
/// If the other end is gone, or the frame too large.
pub fn send(to: &mut impl Write, head: &impl Serialize, body: &[u8]) -> io::Result<()> {
    let head = serde_json::to_vec(head)?;
    let length = |bytes: &[u8], most: usize| match u32::try_from(bytes.len()) {
        Ok(length) if bytes.len() <= most => Ok(length.to_le_bytes()),
        _ => Err(io::Error::other(format!("{} bytes are too many for a frame", bytes.len()))),
    };
    let mut frame = Vec::with_capacity(8 + head.len() + body.len());
    frame.extend(length(&head, HEAD)?);
    frame.extend(length(body, BODY)?);
    frame.extend(head);
    frame.extend(body);
    to.write_all(&frame)?;
    to.flush()
}

/// Receives a frame.
///
/// # Errors
/// If the other end is gone, or sends what is no frame.
pub fn receive<T: DeserializeOwned>(from: &mut impl Read) -> io::Result<(T, Vec<u8>)> {
    let mut length = |most: usize| {
        let mut bytes = [0; 4];
        from.read_exact(&mut bytes)?;
        let length = u32::from_le_bytes(bytes) as usize;
        if length > most { Err(io::Error::other("no frame")) } else { Ok(length) }
    };
    let (head, body) = (length(HEAD)?, length(BODY)?);
    let mut bytes = vec![0; head + body];
    from.read_exact(&mut bytes)?;
    let body = bytes.split_off(head);
    Ok((serde_json::from_slice(&bytes)?, body))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_arrive_as_they_were_sent_one_behind_the_other() {
        let mut wire = Vec::new();
        let body: Vec<u8> = (0..=255).collect();
        send(&mut wire, &Request::Read { path: "/a\n\"b".into() }, &body).unwrap();
        send(&mut wire, &Request::Uevents { from: 7 }, &[]).unwrap();

        let mut wire = &*wire;
        let (first, bytes) = receive::<Request>(&mut wire).unwrap();
        assert!(matches!(&first, Request::Read { path } if path == "/a\n\"b"), "{first:?}");
        assert_eq!(bytes, body, "a body has every byte, also those that terminals change");
        let (second, bytes) = receive::<Request>(&mut wire).unwrap();
        assert!(matches!(second, Request::Uevents { from: 7 }) && bytes.is_empty(), "{second:?}");
        assert!(receive::<Request>(&mut wire).is_err(), "the end is no frame");
    }

    #[test]
    fn noise_is_no_frame_and_no_reason_to_allocate() {
        let noise = [0xff; 64];
        let error = receive::<Reply>(&mut &noise[..]).unwrap_err();
        assert_eq!(error.to_string(), "no frame");
        let error = send(&mut Vec::new(), &Reply::Done, &vec![0; BODY + 1]).unwrap_err();
        assert!(error.to_string().contains("too many"), "{error}");
    }
}
