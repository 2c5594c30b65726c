//! The protocol between a test and the agent in its guest.
//!
//! A frame is a head, a JSON object, and behind it a body, raw bytes. It is written to the memory that both share, from its
//! beginning on. Then the lengths of its head and its body go over the serial port: 32 bits each, little-endian. The port takes
//! 13 µs for a byte in an emulated machine, so nothing else goes over it. The agent begins with [`Reply::Ready`]; after that each
//! request has one reply, so the memory never holds two frames that are needed.

use std::io::{self, Read, Write};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// The largest body. Larger files are sent in parts.
pub const BODY: usize = 16 << 20;

/// The largest head.
const HEAD: usize = 1 << 20;

/// The size of the shared memory: a power of two, as a device's memory must be.
pub const MEMORY: usize = 32 << 20;

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
        /// Whether all may run the file. Its folder is then made if necessary.
        program: bool,
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

/// The memory through which frames go.
pub trait Memory {
    /// Writes a head, and a body behind it.
    ///
    /// # Errors
    /// If the memory cannot be written.
    fn put(&mut self, head: &[u8], body: &[u8]) -> io::Result<()>;

    /// Reads bytes from an offset on.
    ///
    /// # Errors
    /// If the memory cannot be read.
    fn get(&mut self, offset: usize, length: usize) -> io::Result<Vec<u8>>;
}

/// Sends a frame.
///
/// # Errors
/// If the other end is closed, or the frame is too large.
pub fn send(
    to: &mut impl Write,
    memory: &mut impl Memory,
    head: &impl Serialize,
    body: &[u8],
) -> io::Result<()> {
    let head = serde_json::to_vec(head)?;
    let length = |bytes: &[u8], most: usize| match u32::try_from(bytes.len()) {
        Ok(length) if bytes.len() <= most => Ok(length.to_le_bytes()),
        _ => Err(io::Error::other(format!("{} bytes are too many for a frame", bytes.len()))),
    };
    let lengths = [length(&head, HEAD)?, length(body, BODY)?].concat();
    memory.put(&head, body)?;
    to.write_all(&lengths)?;
    to.flush()
}

/// Receives a frame.
///
/// # Errors
/// If the other end is closed, or sends an invalid frame.
pub fn receive<T: DeserializeOwned>(
    from: &mut impl Read,
    memory: &mut impl Memory,
) -> io::Result<(T, Vec<u8>)> {
    let mut length = |most: usize| {
        let mut bytes = [0; 4];
        from.read_exact(&mut bytes)?;
        let length = u32::from_le_bytes(bytes) as usize;
        if length > most { Err(io::Error::other("not a valid frame")) } else { Ok(length) }
    };
    let (head, body) = (length(HEAD)?, length(BODY)?);
    let value = serde_json::from_slice(&memory.get(0, head)?)?;
    Ok((value, memory.get(head, body)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Memory for Vec<u8> {
        fn put(&mut self, head: &[u8], body: &[u8]) -> io::Result<()> {
            *self = [head, body].concat();
            Ok(())
        }

        fn get(&mut self, offset: usize, length: usize) -> io::Result<Vec<u8>> {
            Ok(self[offset..offset + length].to_vec())
        }
    }

    #[test]
    fn frames_arrive_unchanged_and_in_order() {
        let (mut wire, mut memory) = (Vec::new(), Vec::new());
        let body: Vec<u8> = (0..=255).collect();
        send(&mut wire, &mut memory, &Request::Read { path: "/a\n\"b".into() }, &body).unwrap();
        let (first, bytes) = receive::<Request>(&mut &*wire, &mut memory).unwrap();
        assert!(matches!(&first, Request::Read { path } if path == "/a\n\"b"), "{first:?}");
        assert_eq!(bytes, body, "a body has every byte");

        wire.clear();
        send(&mut wire, &mut memory, &Request::Uevents { from: 7 }, &[]).unwrap();
        let mut wire = &*wire;
        let (second, bytes) = receive::<Request>(&mut wire, &mut memory).unwrap();
        assert!(matches!(second, Request::Uevents { from: 7 }) && bytes.is_empty(), "{second:?}");
        assert!(receive::<Request>(&mut wire, &mut memory).is_err(), "the end is not a frame");
    }

    #[test]
    fn noise_is_refused_without_allocating() {
        let (noise, mut memory) = ([0xff; 64], Vec::new());
        let error = receive::<Reply>(&mut &noise[..], &mut memory).unwrap_err();
        assert_eq!(error.to_string(), "not a valid frame");
        let large = vec![0; BODY + 1];
        let error = send(&mut Vec::new(), &mut memory, &Reply::Done, &large).unwrap_err();
        assert!(error.to_string().contains("too many"), "{error}");
    }
}
