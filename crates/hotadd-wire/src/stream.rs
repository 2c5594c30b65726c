//! [`Stream`]: the bytes received from a peer, and the messages in them.

use std::collections::VecDeque;
use std::num::NonZeroU32;
use std::os::fd::OwnedFd;

use crate::decode::{self, Unsound};
use crate::message::Message;

/// The minimum free space before each read. Most messages have about 200 bytes.
const ROOM: usize = 4096;

/// The maximum number of descriptors that wait for their message.
const MOST_DESCRIPTORS: usize = 16;

/// Bytes that were read from a peer and not yet taken. A message is taken only if it is complete, of a checked size, and sound.
#[derive(Debug, Default)]
pub struct Stream {
    bytes: Vec<u8>,
    /// The number of bytes taken.
    taken: usize,
    sequence: u64,
    /// The bytes were written by other peers than the direct one.
    forwarded: bool,
    /// The number of bytes of a skipped message that have not arrived yet.
    excess: u64,
    /// The descriptors that arrived with the bytes, in order.
    descriptors: VecDeque<OwnedFd>,
}

impl Stream {
    /// The stream of one peer. After a message that is not sound, no more are taken.
    #[must_use]
    pub fn of_peer() -> Self {
        Self::default()
    }

    /// The stream of a message bus. A message that is not sound, or too large, is the fault of its sender and not of the
    /// bus, and is skipped.
    #[must_use]
    pub fn of_bus() -> Self {
        Self { forwarded: true, ..Self::default() }
    }

    /// The buffer to read into, after the bytes that it contains. It has free space.
    pub fn room(&mut self) -> &mut Vec<u8> {
        self.bytes.drain(..self.taken);
        self.taken = 0;
        self.bytes.reserve(ROOM);
        &mut self.bytes
    }

    /// Adds descriptors that arrived together with the bytes that were read last. Those beyond a small number are closed.
    pub fn give(&mut self, descriptors: impl IntoIterator<Item = OwnedFd>) {
        let room = MOST_DESCRIPTORS.saturating_sub(self.descriptors.len());
        self.descriptors.extend(descriptors.into_iter().take(room));
    }

    /// Whether the stream contains a part of a message that is not skipped.
    #[must_use]
    pub fn is_midway(&self) -> bool {
        !self.rest().is_empty() && self.excess == 0
    }

    /// The number of bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rest().len()
    }

    /// Whether the stream is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rest().is_empty()
    }

    fn rest(&self) -> &[u8] {
        self.bytes.get(self.taken..).unwrap_or_default()
    }

    /// Takes a line without its end; `None` if there is no complete one. Only for the handshake.
    pub fn line(&mut self) -> Option<Vec<u8>> {
        let end = self.rest().windows(2).position(|two| two == b"\r\n")?;
        let line = self.rest().get(..end).unwrap_or_default().to_vec();
        self.taken += end + 2;
        Some(line)
    }

    /// Takes a message that [agrees](decode::agreement) and has no other content; `None` if the next message is another one,
    /// or not complete.
    pub fn agreement(&mut self) -> Option<NonZeroU32> {
        let agreed = decode::agreement(self.rest().first_chunk()?);
        let agreed = agreed.filter(|_| self.excess == 0)?;
        self.taken += decode::AGREEMENT;
        self.sequence += 1;
        Some(agreed)
    }

    /// Takes a message; `None` if there is no complete one. Messages of an undefined type are skipped.
    ///
    /// # Errors
    /// If the message is not sound. The bytes after it cannot be trusted either.
    pub fn message(&mut self) -> Result<Option<Message>, Unsound> {
        loop {
            let passed = self.rest().len().min(usize::try_from(self.excess).unwrap_or(usize::MAX));
            self.taken += passed;
            self.excess -= passed as u64;
            let length = match decode::length(self.rest()) {
                Err(Unsound::TooLarge(excess)) if self.forwarded => {
                    self.excess = excess;
                    continue;
                }
                length => length?,
            };
            let rest = self.bytes.get(self.taken..).unwrap_or_default();
            let Some(whole) = length.and_then(|length| rest.get(..length)) else {
                return Ok(None);
            };
            let length = whole.len();
            let decoded = decode::decode(whole, self.sequence + 1, &mut self.descriptors);
            self.sequence += 1;
            self.taken += length;
            match decoded {
                Ok(Some(message)) => return Ok(Some(message)),
                Ok(None) => {}
                Err(_) if self.forwarded => {}
                Err(unsound) => return Err(unsound),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use zbus::zvariant::ObjectPath;

    use super::*;
    use crate::limits::MAX_MESSAGE;

    fn call(member: &'static str, body: &str) -> Vec<u8> {
        let path = ObjectPath::from_static_str_unchecked("/a");
        let call = zbus::Message::method_call(path, member).unwrap().build(&body).unwrap();
        call.data().to_vec()
    }

    /// The members of the messages that are read when these bytes arrive in pieces of this size.
    fn reads(mut stream: Stream, bytes: &[u8], size: usize) -> Result<Vec<String>, Unsound> {
        let mut members = Vec::new();
        for piece in bytes.chunks(size) {
            stream.room().extend_from_slice(piece);
            while let Some(message) = stream.message()? {
                members.push(message.head().member().to_owned());
            }
        }
        assert!(!stream.is_midway(), "{} bytes are left", stream.len());
        Ok(members)
    }

    #[test]
    fn messages_are_reassembled_from_pieces_of_any_size() {
        let bytes = [call("First", "x"), call("Second", &"y".repeat(5000))].concat();
        for size in [1, 7, 16, 4096, 100_000] {
            assert_eq!(reads(Stream::of_peer(), &bytes, size).unwrap(), ["First", "Second"]);
        }
    }

    #[test]
    fn an_unsound_message_ends_a_peers_connection_and_is_skipped_from_a_bus() {
        let mut unsound_name = call("Name", "x");
        let at = unsound_name.windows(4).position(|name| name == b"Name").unwrap();
        unsound_name[at] = b'-';
        let large = call("Large", &"x".repeat(2 * MAX_MESSAGE));
        for bad in [unsound_name, large] {
            let bytes = [bad, call("Next", "x")].concat();
            for size in [100, 4096, bytes.len()] {
                assert!(
                    reads(Stream::of_peer(), &bytes, size).is_err(),
                    "an unsound message ends a peer's connection"
                );
                let read = reads(Stream::of_bus(), &bytes, size).unwrap();
                assert_eq!(read, ["Next"], "an unsound message from a bus is skipped");
            }
        }
    }

    #[test]
    fn descriptors_belong_to_the_messages_that_announce_them() {
        let (plain, call) = (call("First", "x"), Message::call("/a", "a.b", "Get", &()).unwrap());
        let numbers = || rustix::fs::memfd_create("n", rustix::fs::MemfdFlags::CLOEXEC).unwrap();
        let with = call.reply_descriptor(numbers()).unwrap();
        assert_eq!(with.descriptors().len(), 1);
        let mut stream = Stream::of_peer();
        stream.room().extend_from_slice(&[plain, with.bytes().to_vec()].concat());
        stream.give([numbers()]);
        let first = stream.message().unwrap().unwrap();
        assert!(first.descriptors().is_empty(), "it announces none");
        let second = stream.message().unwrap().unwrap();
        second.descriptor().expect("it has its descriptor");

        stream.room().extend_from_slice(with.bytes());
        let bare = stream.message().unwrap().unwrap();
        bare.descriptor().expect_err("none was sent along");
        stream.give((0..100).map(|_| numbers()));
        assert_eq!(stream.descriptors.len(), MOST_DESCRIPTORS, "the others are closed");
    }

    #[test]
    fn an_agreement_is_read_only_when_it_is_next_and_complete() {
        let mut stream = Stream::of_peer();
        let five = NonZeroU32::new(5).unwrap();
        let bytes = [call("First", "x"), decode::agree(five).to_vec()].concat();
        stream.room().extend_from_slice(&bytes[..bytes.len() - 1]);
        assert_eq!(stream.agreement(), None, "another message comes first");
        assert!(stream.message().unwrap().is_some());
        assert_eq!(stream.agreement(), None, "the agreement is incomplete");
        stream.room().extend_from_slice(&bytes[bytes.len() - 1..]);
        assert_eq!(stream.agreement(), Some(five));
        assert!(stream.is_empty());
    }

    #[test]
    fn lines_are_read_without_their_ends_and_messages_follow() {
        let mut stream = Stream::of_peer();
        stream.room().extend_from_slice(b"OK 12\r\nAGREE");
        assert_eq!(stream.line().unwrap(), b"OK 12");
        assert_eq!(stream.line(), None, "the second line is incomplete");
        stream.room().extend_from_slice(b"\r\n");
        stream.room().extend_from_slice(&call("First", "x"));
        assert_eq!(stream.line().unwrap(), b"AGREE");
        let first = stream.message().unwrap().unwrap();
        assert_eq!(first.head().member(), "First");
    }
}
