//! [`Reader`]: reads whole messages from a socket, and enforces the limits on their size, duration and form.

use std::io;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use hotadd_wire::{Message, Stream, Unsound};
use tokio::time::{Instant, timeout_at};

use crate::transport::socket::Socket;

/// The time limit of a message from its first byte to its last.
const PATIENCE: Duration = Duration::from_secs(5);

/// Why reading has ended.
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
    #[error("its connection was closed, because it sent an incomplete message and then nothing for {} s", PATIENCE.as_secs())]
    Halfway,
}

/// Input from a peer.
pub(crate) enum Received {
    /// The peer agrees to the call with this serial.
    Agreed(NonZeroU32),
    /// Any other message.
    Message(Message),
}

/// The reading side of a connection.
#[derive(Debug)]
pub(crate) struct Reader {
    socket: Arc<Socket>,
    stream: Stream,
    /// The time by which the message at the front must be complete.
    deadline: Option<Instant>,
}

impl Reader {
    pub(crate) fn new(socket: Arc<Socket>) -> Self {
        Self { socket, stream: Stream::of_peer(), deadline: None }
    }

    /// A reader of a bus. A message that is too large or invalid is the fault of its sender, and not of the bus.
    pub(crate) fn of_bus(socket: Arc<Socket>) -> Self {
        Self { socket, stream: Stream::of_bus(), deadline: None }
    }

    /// The next line, without its end. This is only for the handshake, which is a few short lines.
    ///
    /// The future may be dropped at any point and called again.
    pub(crate) async fn line(&mut self, longest: usize) -> Result<Vec<u8>, Lost> {
        loop {
            if let Some(line) = self.stream.line() {
                return Ok(line);
            }
            if self.stream.len() > longest {
                return Err(Lost::Garbled("a handshake that is too long"));
            }
            self.fill().await?;
        }
    }

    /// The next message.
    ///
    /// The future may be dropped at any point and called again: no input is returned before it is complete.
    pub(crate) async fn message(&mut self) -> Result<Message, Lost> {
        loop {
            if let Some(message) = self.stream.message()? {
                self.deadline = None;
                return Ok(message);
            }
            self.more().await?;
        }
    }

    /// The next input from the peer.
    ///
    /// The future may be dropped at any point and called again, as [`message`](Self::message).
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

    /// Reads more, within the time limit.
    async fn more(&mut self) -> Result<(), Lost> {
        if !self.stream.is_midway() {
            self.deadline = None;
            return self.fill().await;
        }
        let deadline = *self.deadline.get_or_insert_with(|| Instant::now() + PATIENCE);
        timeout_at(deadline, self.fill()).await.map_err(|_| Lost::Halfway)?
    }

    /// Reads what is available, at least a byte.
    async fn fill(&mut self) -> Result<(), Lost> {
        let midway = !self.stream.is_empty();
        match self.socket.read(self.stream.room(), midway).await? {
            0 => Err(Lost::Closed),
            _ => Ok(()),
        }
    }
}
