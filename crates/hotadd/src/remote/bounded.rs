//! [`Bounded`]: the receiving half of a socket, which reads in large pieces and takes no message larger than the protocol
//! allows.

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

use crate::wire::MAX_MESSAGE;

/// How much is read at once. A notice fits in.
const PIECE: usize = 4096;

/// The fixed part of every message.
const PRIMARY: usize = 16;

/// How much may be said before the first message.
const MAX_HANDSHAKE: usize = 16 * 1024;

/// A socket's receiving half that checks the size of each message before it makes room for it. File descriptors that come
/// along are closed by the kernel: this protocol has none.
#[derive(Debug)]
pub(super) struct Bounded(Buffered);

/// What [`Bounded`] checked already is handed on piece by piece.
#[derive(Debug)]
struct Buffered {
    half: OwnedReadHalf,
    bytes: Vec<u8>,
    /// How much of `bytes` was handed on.
    used: usize,
    handshake: usize,
}

impl Bounded {
    pub(super) const fn new(half: OwnedReadHalf) -> Self {
        Self(Buffered { half, bytes: Vec::new(), used: 0, handshake: 0 })
    }
}

impl Buffered {
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
}

/// How long a message is, by its fixed part.
fn length(primary: &[u8]) -> usize {
    let number = |at: usize| {
        let bytes = [primary[at], primary[at + 1], primary[at + 2], primary[at + 3]];
        if primary[0] == b'B' { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) }
    };
    let (body, fields) = (number(4) as usize, number(12) as usize);
    (PRIMARY.saturating_add(fields)).next_multiple_of(8).saturating_add(body)
}

#[async_trait]
impl ReadHalf for Bounded {
    async fn receive_message(
        &mut self,
        seq: u64,
        before: &mut Vec<u8>,
        fds: &mut Vec<OwnedFd>,
    ) -> zbus::Result<Message> {
        let Self(buffered) = self;
        if !before.is_empty() {
            // Said in one breath with the handshake.
            let used = buffered.used;
            buffered.bytes.splice(used..used, before.drain(..));
        }
        buffered.fill(PRIMARY).await?;
        let length = length(buffered.rest());
        if length > MAX_MESSAGE {
            return Err(zbus::Error::ExcessData);
        }
        buffered.fill(length).await?;
        buffered.receive_message(seq, before, fds).await
    }

    /// Only the handshake comes this way.
    async fn recvmsg(&mut self, piece: &mut [u8]) -> io::Result<(usize, Vec<OwnedFd>)> {
        let received = self.0.recvmsg(piece).await?;
        self.0.handshake += received.0;
        if self.0.handshake > MAX_HANDSHAKE {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "the handshake does not end"));
        }
        Ok(received)
    }
}

#[async_trait]
impl ReadHalf for Buffered {
    async fn recvmsg(&mut self, piece: &mut [u8]) -> io::Result<(usize, Vec<OwnedFd>)> {
        self.fill(1).await?;
        let length = piece.len().min(self.rest().len());
        piece[..length].copy_from_slice(&self.rest()[..length]);
        self.used += length;
        Ok((length, Vec::new()))
    }
}

#[cfg(test)]
mod tests {
    use super::length;

    #[test]
    fn the_length_of_a_message_is_read_in_both_byte_orders() {
        for (order, body, fields) in [
            (b'l', 5_u32.to_le_bytes(), 9_u32.to_le_bytes()),
            (b'B', 5_u32.to_be_bytes(), 9_u32.to_be_bytes()),
        ] {
            let mut primary = [0; 16];
            primary[0] = order;
            primary[4..8].copy_from_slice(&body);
            primary[12..].copy_from_slice(&fields);
            assert_eq!(length(&primary), 32 + 5);
        }
        assert!(length(&[0xFF; 16]) > super::MAX_MESSAGE);
    }
}
