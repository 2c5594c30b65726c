//! [`Reader`]: whole messages from a socket, and nothing larger, slower or stranger than a message may be.
//!
//! It buffers by itself, so that what is decoded is complete and of a size that was checked.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use hotadd::wire::message::{self, Unsound};
use tokio::time::{Instant, timeout_at};
use zbus::Message;

use crate::socket::Socket;

/// How long a message may take from its first byte to its last.
const PATIENCE: Duration = Duration::from_secs(5);

/// What is read at once: most messages are some 200 bytes.
const CHUNK: usize = 4096;

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
    #[error("its connection was closed, because {0}")]
    Unsound(#[from] Unsound),
    #[error("its connection was closed, because it sent a part of a message and then nothing for {} s", PATIENCE.as_secs())]
    Halfway,
}

/// The reading side of a connection.
#[derive(Debug)]
pub(crate) struct Reader {
    socket: Arc<Socket>,
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
    pub(crate) const fn new(socket: Arc<Socket>) -> Self {
        let buffer = Vec::new();
        Self { socket, buffer, taken: 0, deadline: None, sequence: 0, forwarded: false, excess: 0 }
    }

    /// Reads from a bus: a message that is too large, or is none, is its sender's doing, and not the bus's.
    pub(crate) const fn of_bus(socket: Arc<Socket>) -> Self {
        let mut reader = Self::new(socket);
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
                Err(Lost::Unsound(Unsound::TooLarge(excess))) if self.forwarded => {
                    self.excess = excess;
                    self.deadline = None;
                    continue;
                }
                length => length?,
            };
            self.deadline = None;
            self.sequence += 1;
            let decoded =
                message::decode(self.rest().get(..length).unwrap_or_default(), self.sequence);
            self.taken += length;
            match decoded {
                Ok(Some(message)) => return Ok(message),
                Ok(None) => {}
                // What one sender sends is not to cost the others the bus.
                Err(_) if self.forwarded => {}
                Err(error) => return Err(error.into()),
            }
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
            let missing = match message::length(rest)? {
                Some(length) if rest.len() >= length => return Ok(length),
                Some(length) => length - rest.len(),
                None => message::START - rest.len(),
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

    /// Reads what there is, at least a byte, with room for `least`.
    async fn fill(&mut self, least: usize) -> Result<(), Lost> {
        self.buffer.drain(..self.taken);
        self.taken = 0;
        match self.socket.read(&mut self.buffer, least).await? {
            0 => Err(Lost::Closed),
            _ => Ok(()),
        }
    }
}
