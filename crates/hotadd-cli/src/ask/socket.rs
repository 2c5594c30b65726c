//! Sockets for connections of zbus. They read in large pieces, and reject messages that are larger than the protocol allows or
//! malformed.

use std::future::poll_fn;
use std::io;
use std::os::fd::OwnedFd;
use std::pin::Pin;
use std::task::ready;

use hotadd_wire::{Stream, Unsound};
use tokio::io::{AsyncRead, ReadBuf};
use tokio::net::UnixStream;
use tokio::net::unix::OwnedReadHalf;
use zbus::Message;
use zbus::connection::socket::{BoxedSplit, ReadHalf, Split};
use zbus::export::async_trait::async_trait;

/// How much is read at once, in bytes.
const PIECE: usize = 4096;

/// The most bytes of the handshake before the first message.
const MAX_HANDSHAKE: usize = 16 * 1024;

/// A socket to one peer. A malformed message from it ends the connection; [`unsound`] gives the reason.
pub(super) fn checked(socket: UnixStream) -> BoxedSplit {
    split(socket, Stream::of_peer())
}

/// A socket to a message bus. A malformed message comes from its sender, not from the bus, so it is skipped.
pub(super) fn checked_bus(socket: UnixStream) -> BoxedSplit {
    split(socket, Stream::of_bus())
}

/// Why this side closed the connection, if this error of zbus comes from a malformed message.
pub(super) fn unsound(error: &zbus::Error) -> Option<Unsound> {
    let zbus::Error::InputOutput(error) = error else { return None };
    error.get_ref()?.downcast_ref().copied()
}

fn split(socket: UnixStream, stream: Stream) -> BoxedSplit {
    let (half, write) = socket.into_split();
    Split::new(Box::new(Checked { half, stream, handshake: 0 }), Box::new(write))
}

/// A socket's receiving half that checks each message before it is decoded. The kernel closes file descriptors that are sent
/// along: this protocol has none.
#[derive(Debug)]
struct Checked {
    half: OwnedReadHalf,
    stream: Stream,
    /// How many bytes were passed on before the first message.
    handshake: usize,
}

impl Checked {
    /// Waits for more bytes.
    async fn fill(&mut self) -> io::Result<()> {
        let Self { half, stream, .. } = self;
        let read = poll_fn(|cx| {
            let mut piece = [0; PIECE];
            let mut piece = ReadBuf::new(&mut piece);
            ready!(Pin::new(&mut *half).poll_read(cx, &mut piece))?;
            stream.room().extend_from_slice(piece.filled());
            io::Result::Ok(piece.filled().len()).into()
        });
        if read.await? == 0 { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(()) }
    }
}

#[async_trait]
impl ReadHalf for Checked {
    async fn receive_message(
        &mut self,
        _: u64,
        before: &mut Vec<u8>,
        _: &mut Vec<OwnedFd>,
    ) -> zbus::Result<Message> {
        // Bytes that arrived together with the handshake.
        self.stream.put_back(before);
        loop {
            let message = self.stream.message();
            let message = message.map_err(|e| io::Error::new(io::ErrorKind::InvalidData, e))?;
            match message {
                Some(message) => return Ok(message.into()),
                None => self.fill().await?,
            }
        }
    }

    /// Only the handshake is read this way.
    async fn recvmsg(&mut self, piece: &mut [u8]) -> io::Result<(usize, Vec<OwnedFd>)> {
        if self.stream.is_empty() {
            self.fill().await?;
        }
        let length = self.stream.take(piece);
        self.handshake += length;
        if self.handshake > MAX_HANDSHAKE {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "the handshake is longer than allowed",
            ));
        }
        Ok((length, Vec::new()))
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use tokio::runtime::Builder;

    use super::*;

    #[test]
    fn an_unsound_message_is_found_in_the_error_of_the_connection() {
        let (ours, mut theirs) = std::os::unix::net::UnixStream::pair().unwrap();
        theirs.write_all(&[b'x'; 64]).unwrap();
        ours.set_nonblocking(true).unwrap();
        let read = Builder::new_current_thread().enable_io().build().unwrap().block_on(async {
            let (half, _write) = UnixStream::from_std(ours).unwrap().into_split();
            let mut half = Checked { half, stream: Stream::of_peer(), handshake: 0 };
            half.receive_message(1, &mut Vec::new(), &mut Vec::new()).await
        });
        assert_eq!(unsound(&read.unwrap_err()), Some(Unsound::NoMessage));
    }
}
