//! Sockets for connections of zbus, which read in large pieces and take no message larger or stranger than the protocol
//! allows.

use std::future::poll_fn;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::pin::Pin;
use std::task::ready;

use tokio::io::{AsyncRead, ReadBuf};
use tokio::net::UnixStream;
use tokio::net::unix::OwnedReadHalf;
use zbus::Message;
use zbus::connection::socket::{BoxedSplit, ReadHalf, Split};
use zbus::export::async_trait::async_trait;

use crate::wire::message::{self, START, Unsound};

/// How much is read at once. A notice fits in.
const PIECE: usize = 4096;

/// How much may be said before the first message.
const MAX_HANDSHAKE: usize = 16 * 1024;

/// A socket to one peer. A message from it that is not sound ends the connection, as [`unsound`] tells.
#[must_use]
pub fn checked(socket: UnixStream) -> BoxedSplit {
    split(socket, false)
}

/// A socket to a message bus. A message that is not sound is its sender's doing, and not the bus's: it is passed over.
#[must_use]
pub fn checked_bus(socket: UnixStream) -> BoxedSplit {
    split(socket, true)
}

/// Why the connection was closed from here, if this error of zbus comes from a message that is not sound.
#[must_use]
pub fn unsound(error: &zbus::Error) -> Option<Unsound> {
    let zbus::Error::InputOutput(error) = error else { return None };
    error.get_ref()?.downcast_ref().copied()
}

/// What to say to somebody who may not connect to a partition's socket: for whom it is.
#[must_use]
pub fn denied(path: &Path) -> String {
    match std::fs::metadata(path) {
        // A machine's partition is for a group.
        Ok(found) if found.mode() & 0o020 != 0 => {
            let group = found.gid();
            format!(
                "access is denied. It is for root and the members of group {group} (`getent group {group}`); who has just \
                 become one logs in again"
            )
        }
        _ => "access is denied. Run as the user that started the partition".to_owned(),
    }
}

fn split(socket: UnixStream, forwarded: bool) -> BoxedSplit {
    let (read, write) = socket.into_split();
    Split::new(Box::new(Checked::new(read, forwarded)), Box::new(write))
}

/// A socket's receiving half that checks each message before it is decoded. File descriptors that come along are closed by the
/// kernel: this protocol has none.
#[derive(Debug)]
struct Checked {
    half: OwnedReadHalf,
    bytes: Vec<u8>,
    /// How much of `bytes` was handed on.
    used: usize,
    /// How much was handed on before the first message.
    handshake: usize,
    /// Others than the one at the other end have written what is read.
    forwarded: bool,
    /// How much of a message that is passed over is still to come.
    excess: u64,
}

impl Checked {
    const fn new(half: OwnedReadHalf, forwarded: bool) -> Self {
        Self { half, bytes: Vec::new(), used: 0, handshake: 0, forwarded, excess: 0 }
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
            self.pass_over().await?;
            self.fill(START).await?;
            let length = match message::length(self.rest()) {
                Err(Unsound::TooLarge(excess)) if self.forwarded => {
                    self.excess = excess;
                    continue;
                }
                length => length.map_err(closed)?.unwrap_or(START),
            };
            self.fill(length).await?;
            let decoded = message::decode(&self.rest()[..length], sequence);
            self.used += length;
            match decoded {
                Ok(Some(message)) => return Ok(message),
                Ok(None) => {}
                Err(_) if self.forwarded => {}
                Err(unsound) => return Err(closed(unsound)),
            }
        }
    }

    /// Reads what is left of a message that is passed over.
    async fn pass_over(&mut self) -> io::Result<()> {
        while self.excess > 0 {
            self.fill(1).await?;
            let there = self.rest().len();
            let passed = usize::try_from(self.excess).map_or(there, |excess| excess.min(there));
            self.used += passed;
            self.excess -= passed as u64;
        }
        Ok(())
    }
}

#[async_trait]
impl ReadHalf for Checked {
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

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::os::unix::net::UnixListener;

    use tokio::runtime::{Builder, Runtime};
    use zbus::zvariant::ObjectPath;

    use super::*;
    use crate::wire::MAX_MESSAGE;

    fn runtime() -> Runtime {
        Builder::new_current_thread().enable_io().build().unwrap()
    }

    fn call(member: &'static str, body: &str) -> Vec<u8> {
        let path = ObjectPath::from_static_str_unchecked("/a");
        let call = Message::method_call(path, member).unwrap().build(&body).unwrap();
        call.data().to_vec()
    }

    /// What is read of these bytes: the member of the first message that is taken.
    fn reads(bytes: &[u8], forwarded: bool) -> zbus::Result<String> {
        let (ours, mut theirs) = std::os::unix::net::UnixStream::pair().unwrap();
        let bytes = bytes.to_vec();
        let writing = std::thread::spawn(move || drop(theirs.write_all(&bytes)));
        ours.set_nonblocking(true).unwrap();
        let read = runtime().block_on(async {
            let (half, _write) = UnixStream::from_std(ours).unwrap().into_split();
            let mut half = Checked::new(half, forwarded);
            half.receive_message(1, &mut Vec::new(), &mut Vec::new()).await
        });
        writing.join().unwrap();
        read.map(|message| message.header().member().unwrap().to_string())
    }

    #[test]
    fn what_is_not_sound_ends_a_connection_and_over_a_bus_it_is_passed_over() {
        let mut unsound_name = call("Name", "x");
        let at = unsound_name.windows(4).position(|name| name == b"Name").unwrap();
        unsound_name[at] = b'-';
        let large = call("Large", &"x".repeat(2 * MAX_MESSAGE));
        for bad in [unsound_name, large] {
            let bytes = [bad, call("Next", "x")].concat();
            let error = reads(&bytes, false).unwrap_err();
            assert!(unsound(&error).is_some(), "the peer's own doing: {error}");
            assert_eq!(reads(&bytes, true).unwrap(), "Next", "one sender does not cost us the bus");
        }
    }

    #[test]
    fn who_may_not_connect_is_told_for_whom_it_is() {
        use std::os::unix::fs::PermissionsExt;

        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("demo");
        let _listener = UnixListener::bind(&path).unwrap();
        let mode = |mode| {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            denied(&path)
        };
        assert!(mode(0o600).contains("as the user that started"));
        let group = std::fs::metadata(&path).unwrap().gid();
        assert!(mode(0o660).contains(&format!("root and the members of group {group} ")));
    }
}
