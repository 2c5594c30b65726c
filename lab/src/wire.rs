//! The protocol on the serial port between a test and the agent in its guest.
//!
//! A frame is the length of its head and of its body, 32 bits each, little-endian; then the head, a JSON object; then the body,
//! raw bytes. The agent begins with [`Reply::Ready`]; after that each request has one reply.

use std::io::{self, Read, Write};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// The largest body. Larger files are included in the guest's image, which is also much faster.
pub const BODY: usize = 16 << 20;

/// The largest head.
const HEAD: usize = 1 << 20;

/// How much of a file goes into one frame: a serial port's driver buffers 64 KiB while nothing reads.
pub const CHUNK: usize = 32 << 10;

/// A request of a test.
#[derive(Debug, Serialize, Deserialize)]
pub enum Request {
    /// Run a program to its end, or kill it at its time limit.
    Run {
        /// Its name and arguments.
        argv: Vec<String>,
        /// Its time limit.
        limit_ms: u64,
    },
    /// Start a program and do not wait. Its output goes to a file.
    Start {
        /// Its name and arguments.
        argv: Vec<String>,
        /// The file.
        output: String,
    },
    /// Wait for a program that was started.
    Wait {
        /// Its process id.
        pid: u32,
        /// The time limit.
        limit_ms: u64,
    },
    /// Send a signal to a program that was started.
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
    /// Write the body to a file that exists, with a single write.
    Write {
        /// Its path.
        path: String,
    },
    /// Write the body at an offset in a file. With offset 0 the file is created or emptied.
    Put {
        /// Its path.
        path: String,
        /// The offset.
        offset: u64,
    },
    /// Get all uevents from a number on.
    Uevents {
        /// The first number.
        from: usize,
    },
    /// Wait for a uevent.
    Await {
        /// The first number that counts.
        from: usize,
        /// How it begins: `add@/devices/system/cpu/`.
        head: String,
        /// The time limit.
        limit_ms: u64,
    },
    /// Wait for a line of a file. The line is the reply's body.
    Line {
        /// The file's path.
        path: String,
        /// A part of the line.
        part: String,
        /// The time limit.
        limit_ms: u64,
    },
}

/// A reply of the agent.
#[derive(Debug, Serialize, Deserialize)]
pub enum Reply {
    /// The guest is up.
    Ready,
    /// The request is done. What was read is the body.
    Done,
    /// A program ran. The body is its stdout, followed by its stderr.
    Ran {
        /// Its wait status, as `wait` returns it.
        status: i32,
        /// The length of its stdout in the body.
        output: usize,
    },
    /// A program was started.
    Started {
        /// Its process id.
        pid: u32,
    },
    /// Uevents.
    Uevents(Vec<Uevent>),
    /// It did not happen within the time limit.
    Late,
    /// The request was refused.
    Refused {
        /// The error number, if the kernel refused.
        errno: Option<i32>,
        /// The reason as text.
        reason: String,
    },
}

/// A uevent of the kernel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Uevent {
    /// Its number among all uevents since the guest is up. Numbers are missing where messages were lost.
    pub number: usize,
    /// When the agent received it, in microseconds of the guest's `CLOCK_MONOTONIC`.
    pub at_us: u64,
    /// The event and its device: `add@/devices/system/cpu/cpu1`.
    pub head: String,
}

/// Sends a frame.
///
/// # Errors
/// If the other end is closed, or the frame is too large.
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
/// If the other end is closed, or sends an invalid frame.
pub fn receive<T: DeserializeOwned>(from: &mut impl Read) -> io::Result<(T, Vec<u8>)> {
    let mut length = |most: usize| {
        let mut bytes = [0; 4];
        from.read_exact(&mut bytes)?;
        let length = u32::from_le_bytes(bytes) as usize;
        if length > most { Err(io::Error::other("not a valid frame")) } else { Ok(length) }
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
    fn frames_arrive_unchanged_and_in_order() {
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
    fn noise_is_refused_without_allocating() {
        let noise = [0xff; 64];
        let error = receive::<Reply>(&mut &noise[..]).unwrap_err();
        assert_eq!(error.to_string(), "not a valid frame");
        let error = send(&mut Vec::new(), &Reply::Done, &vec![0; BODY + 1]).unwrap_err();
        assert!(error.to_string().contains("too many"), "{error}");
    }
}
