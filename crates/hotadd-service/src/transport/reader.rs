//! [`Reader`]: whole messages from a socket, and nothing larger, slower or stranger than a message may be.

use std::io;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use hotadd_wire::{Message, Stream, Unsound};
use tokio::time::{Instant, timeout_at};

use crate::transport::socket::Socket;

/// How long a message may take from its first byte to its last.
const PATIENCE: Duration = Duration::from_secs(5);

/// Why no more is read.
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

/// What a peer has sent.
pub(crate) enum Received {
    /// It agrees to the call with this serial.
    Agreed(NonZeroU32),
    /// Anything else.
    Message(Message),
}

/// The reading side of a connection.
#[derive(Debug)]
pub(crate) struct Reader {
    socket: Arc<Socket>,
    stream: Stream,
    /// When the message at the front must be complete.
    deadline: Option<Instant>,
}

impl Reader {
    pub(crate) fn new(socket: Arc<Socket>) -> Self {
        Self { socket, stream: Stream::of_peer(), deadline: None }
    }

    /// Reads from a bus: a message that is too large, or is none, is its sender's doing, and not the bus's.
    pub(crate) fn of_bus(socket: Arc<Socket>) -> Self {
        Self { socket, stream: Stream::of_bus(), deadline: None }
    }

    /// The next line, without its end. Of the handshake only, which is a matter of a few short lines.
    ///
    /// May be dropped at any point and called again.
    pub(crate) async fn line(&mut self, longest: usize) -> Result<Vec<u8>, Lost> {
        loop {
            if let Some(line) = self.stream.line() {
                return Ok(line);
            }
            if self.stream.len() > longest {
                return Err(Lost::Garbled("a handshake without end"));
            }
            self.fill().await?;
        }
    }

    /// The next message.
    ///
    /// May be dropped at any point and called again: nothing is handed out before it is complete.
    pub(crate) async fn message(&mut self) -> Result<Message, Lost> {
        loop {
            if let Some(message) = self.stream.message()? {
                self.deadline = None;
                return Ok(message);
            }
            self.more().await?;
        }
    }

    /// What was sent next.
    ///
    /// May be dropped at any point and called again, as [`message`](Self::message).
    pub(crate) async fn received(&mut self) -> Result<Received, Lost> {
        loop {
            let agreed = self.stream.agreement().map(Received::Agreed);
            let received = match agreed {
                None => self.stream.message()?.map(Received::Message),
                agreed => agreed,
            };
            if let Some(received) = received {
                self.deadline = None;
                return Ok(received);
            }
            self.more().await?;
        }
    }

    /// Reads more, if it comes in time.
    async fn more(&mut self) -> Result<(), Lost> {
        if !self.stream.is_midway() {
            self.deadline = None;
            return self.fill().await;
        }
        let deadline = *self.deadline.get_or_insert_with(|| Instant::now() + PATIENCE);
        timeout_at(deadline, self.fill()).await.map_err(|_| Lost::Halfway)?
    }

    /// Reads what there is, at least a byte.
    async fn fill(&mut self) -> Result<(), Lost> {
        match self.socket.read(self.stream.room()).await? {
            0 => Err(Lost::Closed),
            _ => Ok(()),
        }
    }
}
