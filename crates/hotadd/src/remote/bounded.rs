//! [`Bounded`]: the receiving half of a socket, which reads in large pieces and takes no message larger or stranger than
//! the protocol allows.

use std::future::poll_fn;
use std::io;
use std::os::fd::OwnedFd;
use std::pin::Pin;
use std::task::ready;

use tokio::io::{AsyncRead, ReadBuf};
use tokio::net::unix::OwnedReadHalf;
use zbus::Message;
use zbus::connection::socket::ReadHalf;
use zbus::export::async_trait::async_trait;

use crate::wire::message::{self, START, Unsound};

/// How much is read at once. A notice fits in.
const PIECE: usize = 4096;

/// How much may be said before the first message.
const MAX_HANDSHAKE: usize = 16 * 1024;

/// A socket's receiving half that checks each message before it is decoded. File descriptors that come along are closed by the
/// kernel: this protocol has none.
#[derive(Debug)]
pub(super) struct Bounded {
    half: OwnedReadHalf,
    bytes: Vec<u8>,
    /// How much of `bytes` was handed on.
    used: usize,
    /// How much was handed on before the first message.
    handshake: usize,
}

impl Bounded {
    pub(super) const fn new(half: OwnedReadHalf) -> Self {
        Self { half, bytes: Vec::new(), used: 0, handshake: 0 }
    }

    /// Why the connection was closed from here, if this error of zbus comes from here.
    pub(super) fn unsound(error: &zbus::Error) -> Option<Unsound> {
        let zbus::Error::InputOutput(error) = error else { return None };
        error.get_ref()?.downcast_ref().copied()
    }

    fn rest(&self) -> &[u8] {
        &self.bytes[self.used..]
    }

    /// Waits until at least this much is there.
    async fn fill(&mut self, length: usize) -> io::Result<()> {
        if self.rest().len() >= length {
            return Ok(());
        }
        self.bytes.drain(..self.used);
        self.used = 0;
        while self.bytes.len() < length {
            let Self { half, bytes, .. } = self;
            let read = poll_fn(|cx| {
                let mut piece = [0; PIECE];
                let mut piece = ReadBuf::new(&mut piece);
                ready!(Pin::new(&mut *half).poll_read(cx, &mut piece))?;
                bytes.extend_from_slice(piece.filled());
                io::Result::Ok(piece.filled().len()).into()
            });
            if read.await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        Ok(())
    }

    /// The next message, the `sequence`th.
    async fn message(&mut self, sequence: u64) -> io::Result<Message> {
        let closed = |unsound: Unsound| io::Error::new(io::ErrorKind::InvalidData, unsound);
        loop {
            self.fill(START).await?;
            let length = message::length(self.rest()).map_err(closed)?.unwrap_or(START);
            self.fill(length).await?;
            let decoded = message::decode(&self.rest()[..length], sequence);
            self.used += length;
            if let Some(message) = decoded.map_err(closed)? {
                return Ok(message);
            }
        }
    }
}

#[async_trait]
impl ReadHalf for Bounded {
    async fn receive_message(
        &mut self,
        sequence: u64,
        before: &mut Vec<u8>,
        _: &mut Vec<OwnedFd>,
    ) -> zbus::Result<Message> {
        // Said in one breath with the handshake.
        self.bytes.splice(self.used..self.used, before.drain(..));
        Ok(self.message(sequence).await?)
    }

    /// Only the handshake comes this way.
    async fn recvmsg(&mut self, piece: &mut [u8]) -> io::Result<(usize, Vec<OwnedFd>)> {
        self.fill(1).await?;
        let length = piece.len().min(self.rest().len());
        piece[..length].copy_from_slice(&self.rest()[..length]);
        self.used += length;
        self.handshake += length;
        if self.handshake > MAX_HANDSHAKE {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "the handshake does not end"));
        }
        Ok((length, Vec::new()))
    }
}
