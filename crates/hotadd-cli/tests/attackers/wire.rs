//! A peer's end of a connection in raw bytes, so that it can send anything.

use std::io::{ErrorKind, Read, Write};
use std::num::NonZeroU32;
use std::os::unix::net::UnixStream;

use hotadd_wire as wire;
use serde::Serialize;
use zbus::Message;
use zbus::zvariant::{DynamicType, ObjectPath};

/// A connection after its handshake.
pub(crate) struct Peer(pub(crate) UnixStream);

impl Peer {
    pub(crate) fn send(&mut self, message: &Message) {
        self.0.write_all(message.data()).unwrap();
    }

    /// The next message of a kind: its serial, and its content as text.
    pub(crate) fn next(&mut self, kind: u8) -> (u32, String) {
        loop {
            let (came, serial, said) = self.read();
            if came == kind {
                return (serial, said);
            }
        }
    }

    fn read(&mut self) -> (u8, u32, String) {
        let mut start = [0; 16];
        self.0.read_exact(&mut start).unwrap();
        let word = |at: usize| u32::from_le_bytes(start[at..at + 4].try_into().unwrap());
        let mut rest = vec![0; (word(12).next_multiple_of(8) + word(4)) as usize];
        self.0.read_exact(&mut rest).unwrap();
        (start[1], word(8), String::from_utf8_lossy(&rest).into_owned())
    }

    /// Calls the partition. Returns 2 for a reply or 3 for an error, and its content as text.
    pub(crate) fn call<B: Serialize + DynamicType>(
        &mut self,
        method: &str,
        body: &B,
    ) -> (u8, String) {
        self.send(&call(method, body));
        loop {
            let (kind, _, said) = self.read();
            if kind == 2 || kind == 3 {
                return (kind, said);
            }
        }
    }

    /// Checks that a call is refused with this error. Returns the message.
    pub(crate) fn refused<B: Serialize + DynamicType>(
        &mut self,
        method: &str,
        body: &B,
        by: &str,
    ) -> String {
        let (kind, said) = self.call(method, body);
        assert!(kind == 3 && said.contains(by), "{method} was answered with {kind}: {said:?}");
        let mut words =
            said.split(|c: char| c.is_control() || c == '\u{fffd}').filter(|part| part.len() > 3);
        words.next_back().unwrap_or_default().to_owned()
    }

    pub(crate) fn register(&mut self, name: &str, limit: u32) -> (u8, String) {
        let path = ObjectPath::try_from("/a").unwrap();
        self.call("Register", &(path, name, wire::LATER_ONLY, 0_i32, limit))
    }
}

/// Whether the handshake succeeds.
pub(crate) fn begins(stream: &mut UnixStream) -> bool {
    let mut said = Vec::new();
    let mut byte = [0];
    let _ = stream.write_all(b"\0AUTH EXTERNAL\r\nDATA\r\nBEGIN\r\n");
    while said.iter().filter(|byte| **byte == b'\n').count() < 2 {
        match stream.read(&mut byte) {
            Ok(1) => said.push(byte[0]),
            _ => return false,
        }
    }
    said.starts_with(b"DATA\r\nOK ")
}

/// Checks that the daemon closes this connection. Returns how much it sent before.
pub(crate) fn closed(stream: &mut UnixStream) -> usize {
    let mut rest = Vec::new();
    match stream.read_to_end(&mut rest) {
        Ok(_) => {}
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::ConnectionReset, "the connection stays open");
        }
    }
    rest.len()
}

/// An empty reply to this serial, with additional header fields.
pub(crate) fn agreement(serial: u32, more: &[u8]) -> Vec<u8> {
    let mut reply = vec![b'l', 2, 1, 1, 0, 0, 0, 0, 1, 0, 0, 0];
    reply.extend((8 + u32::try_from(more.len()).unwrap()).to_le_bytes());
    reply.extend([5, 1, b'u', 0]);
    reply.extend(serial.to_le_bytes());
    reply.extend(more);
    reply.resize(reply.len().next_multiple_of(8), 0);
    reply
}

/// A refusal of the call with this serial.
pub(crate) fn refusal(serial: u32, name: &str, reason: &str) -> Message {
    let call = Message::method_call("/", "Ping").unwrap().build(&()).unwrap();
    let error = Message::error(&call.header(), name).unwrap();
    error.reply_serial(NonZeroU32::new(serial)).build(&reason).unwrap()
}

/// An agreement with content, although it must be empty.
pub(crate) fn talkative(serial: u32) -> Message {
    let call = Message::method_call("/", "Ping").unwrap().build(&()).unwrap();
    let reply = Message::method_return(&call.header()).unwrap();
    reply.reply_serial(NonZeroU32::new(serial)).build(&("yes", 1_u32)).unwrap()
}

/// A call of the partition.
pub(crate) fn call<B: Serialize + DynamicType>(method: &str, body: &B) -> Message {
    let call = Message::method_call(wire::PARTITION_PATH, method).unwrap();
    call.interface(wire::PARTITION).unwrap().build(body).unwrap()
}
