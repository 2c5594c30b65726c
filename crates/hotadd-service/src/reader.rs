//! [`Reader`]: whole messages from a socket, and nothing larger, slower or stranger than a message may be.
//!
//! It buffers by itself and looks at a message's header before zbus does, so that what zbus decodes is complete and of a
//! size that was checked. A plain `recv` without room for control messages makes the kernel close whatever descriptors
//! were sent along.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use hotadd::wire::MAX_MESSAGE;
use rustix::net::{RecvFlags, recv};
use tokio::io::Interest;
use tokio::net::UnixStream;
use tokio::time::{Instant, timeout_at};
use zbus::Message;
use zbus::connection::socket::ReadHalf;

use crate::header;

/// How long a message may take from its first byte to its last.
const PATIENCE: Duration = Duration::from_secs(5);

/// What is read at once: most messages are some 200 bytes.
const CHUNK: usize = 4096;

/// The part of a header that says how long all of it is.
const PRIMARY: usize = 16;

/// The flags of a message that are defined; others are to be ignored, and zbus does not.
const FLAGS: u8 = 0x7;

/// The types of message that are defined; others are to be ignored.
const TYPES: std::ops::RangeInclusive<u8> = 1..=4;

/// Why no more can be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Lost {
    /// The peer has closed the connection, between two messages or within one.
    #[error("its connection was closed")]
    Closed,
    #[error("its connection was closed: {0}")]
    Failed(#[from] io::Error),
    #[error("its connection was closed, because it sent {0}")]
    Garbled(&'static str),
    #[error(
        "its connection was closed, because it announced a message of {0} bytes, and {MAX_MESSAGE} are the most"
    )]
    TooLarge(u64),
    #[error("its connection was closed, because it sent a part of a message and then nothing for {} s", PATIENCE.as_secs())]
    Halfway,
}

/// The reading side of a connection.
#[derive(Debug)]
pub(crate) struct Reader {
    stream: Arc<UnixStream>,
    buffer: Vec<u8>,
    /// What of the buffer was handed out already.
    taken: usize,
    /// When the message at the front must be complete.
    deadline: Option<Instant>,
    sequence: u64,
    /// Others than the one at the other end have written what is read: what cannot be taken is passed over.
    forwarded: bool,
    /// How much of a message that is passed over is still to come.
    excess: u64,
}

impl Reader {
    pub(crate) const fn new(stream: Arc<UnixStream>) -> Self {
        let buffer = Vec::new();
        Self { stream, buffer, taken: 0, deadline: None, sequence: 0, forwarded: false, excess: 0 }
    }

    /// Reads from a bus: a message that is too large, or is none, is its sender's doing, and not the bus's.
    pub(crate) const fn of_bus(stream: Arc<UnixStream>) -> Self {
        let mut reader = Self::new(stream);
        reader.forwarded = true;
        reader
    }

    /// What was read and not handed out.
    fn rest(&self) -> &[u8] {
        self.buffer.get(self.taken..).unwrap_or_default()
    }

    /// The next line, without its end. Of the handshake only, which is a matter of a few short lines.
    ///
    /// May be dropped at any point and called again.
    pub(crate) async fn line(&mut self, longest: usize) -> Result<Vec<u8>, Lost> {
        loop {
            if let Some(end) = self.rest().windows(2).position(|two| two == b"\r\n") {
                let line = self.rest().get(..end).unwrap_or_default().to_vec();
                self.taken += end + 2;
                return Ok(line);
            }
            if self.rest().len() > longest {
                return Err(Lost::Garbled("a handshake without end"));
            }
            self.fill(CHUNK).await?;
        }
    }

    /// The next message.
    ///
    /// May be dropped at any point and called again: nothing is handed out before it is complete.
    pub(crate) async fn message(&mut self) -> Result<Message, Lost> {
        loop {
            self.pass_over().await?;
            let length = match self.whole_message().await {
                Err(Lost::TooLarge(excess)) if self.forwarded => {
                    self.excess = excess;
                    self.deadline = None;
                    continue;
                }
                length => length?,
            };
            self.deadline = None;
            let kind = self.rest().get(1).copied().unwrap_or_default();
            if kind != 0 && !TYPES.contains(&kind) {
                self.taken += length;
                continue;
            }
            if let Some(flags) = self.buffer.get_mut(self.taken + 2) {
                *flags &= FLAGS;
            }
            let end = self.taken + length;
            if self.rest().get(..length).is_some_and(header::is_sound) {
                self.sequence += 1;
                let sequence = self.sequence;
                // Never waits: all of the message is there.
                let (mut no_bytes, mut no_descriptors) = (Vec::new(), Vec::new());
                let received =
                    self.receive_message(sequence, &mut no_bytes, &mut no_descriptors).await;
                if let Ok(message) = received {
                    return Ok(message);
                }
            }
            if !self.forwarded {
                return Err(Lost::Garbled("what is no message"));
            }
            self.taken = end;
        }
    }

    /// Reads what is left of a message that is passed over.
    async fn pass_over(&mut self) -> Result<(), Lost> {
        while self.excess > 0 {
            let passed = self.rest().len().min(usize::try_from(self.excess).unwrap_or(usize::MAX));
            self.taken += passed;
            self.excess -= passed as u64;
            if self.excess > 0 {
                self.fill(CHUNK).await?;
            }
        }
        Ok(())
    }

    /// Waits until all of the message at the front is there, and says how long it is.
    async fn whole_message(&mut self) -> Result<usize, Lost> {
        loop {
            let rest = self.rest();
            let missing = match length(rest)? {
                Some(length) if rest.len() >= length => return Ok(length),
                Some(length) => length - rest.len(),
                None => PRIMARY - rest.len(),
            };
            if rest.is_empty() {
                self.fill(CHUNK).await?;
                self.deadline = Some(Instant::now() + PATIENCE);
                continue;
            }
            let deadline = *self.deadline.get_or_insert_with(|| Instant::now() + PATIENCE);
            let filled = timeout_at(deadline, self.fill(missing.max(CHUNK))).await;
            filled.map_err(|_| Lost::Halfway)??;
        }
    }

    /// Reads what there is, at least a byte and at most `most`.
    async fn fill(&mut self, most: usize) -> Result<(), Lost> {
        loop {
            self.stream.readable().await?;
            // From here to the end nothing waits, so that this may be dropped while it waits.
            self.buffer.drain(..self.taken);
            self.taken = 0;
            let filled = self.buffer.len();
            self.buffer.resize(filled + most, 0);
            let room = self.buffer.get_mut(filled..).unwrap_or_default();
            let stream = &*self.stream;
            let mut read = None;
            let tried = stream.try_io(Interest::READABLE, || {
                let (_, got) = recv(stream, room, RecvFlags::empty())?;
                read = Some(got);
                // Less than there is room for is all there is: to say so spares the call that would find nothing. The end
                // of the stream stays where it is.
                if (1..most).contains(&got) {
                    Err(io::ErrorKind::WouldBlock.into())
                } else {
                    Ok(())
                }
            });
            self.buffer.truncate(filled + read.unwrap_or(0));
            match (read, tried) {
                (Some(0), _) => return Err(Lost::Closed),
                (Some(_), _) => return Ok(()),
                (None, Err(error)) if is_passing(&error) => {}
                (None, Err(error)) => return Err(error.into()),
                (None, Ok(())) => {}
            }
        }
    }
}

/// Whether it goes away by itself.
fn is_passing(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}

/// How long the message is that begins so; `None` if that is too little to tell.
fn length(bytes: &[u8]) -> Result<Option<usize>, Lost> {
    let Some(header) = bytes.first_chunk::<PRIMARY>() else { return Ok(None) };
    let number = |at: usize| {
        let bytes = [header[at], header[at + 1], header[at + 2], header[at + 3]];
        let number = match header[0] {
            b'l' => u32::from_le_bytes(bytes),
            b'B' => u32::from_be_bytes(bytes),
            _ => return Err(Lost::Garbled("what is no message")),
        };
        Ok(u64::from(number))
    };
    // The fields of the header end on a multiple of eight.
    let length = PRIMARY as u64 + number(12)?.next_multiple_of(8) + number(4)?;
    match usize::try_from(length) {
        Ok(length) if length <= MAX_MESSAGE => Ok(Some(length)),
        _ => Err(Lost::TooLarge(length)),
    }
}

#[async_trait::async_trait]
impl ReadHalf for Reader {
    async fn recvmsg(&mut self, buffer: &mut [u8]) -> io::Result<(usize, Vec<OwnedFd>)> {
        let rest = self.rest();
        let taken = rest.len().min(buffer.len());
        for (to, from) in buffer.iter_mut().zip(rest) {
            *to = *from;
        }
        self.taken += taken;
        Ok((taken, Vec::new()))
    }
}
