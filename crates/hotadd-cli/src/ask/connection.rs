//! [`Connection`]: sends calls to a partition or a bus, and reads their replies. It rejects messages that are malformed or larger
//! than the protocol allows.

use std::cell::{OnceCell, RefCell};
use std::collections::BTreeMap;
use std::io;
use std::num::NonZeroU32;

use hotadd_wire::{Decode, Encode, Kind, Message, Stream, Unsound, bus, handshake};
use rustix::process::geteuid;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::Mutex;

/// The most bytes of the handshake before the first message.
const MAX_HANDSHAKE: usize = 16 * 1024;

/// Why there is no reply.
#[derive(Clone, Debug, thiserror::Error)]
pub(super) enum Lost {
    #[error("I/O error: {0}")]
    Failed(String),
    /// The other side closed the connection.
    #[error("I/O error: {0}")]
    Closed(String),
    /// This side closed the connection, because a message from it was malformed.
    #[error("I/O error: {0}")]
    Unsound(#[from] Unsound),
    #[error("D-Bus handshake failed: {0}")]
    Refused(String),
}

impl From<io::Error> for Lost {
    fn from(error: io::Error) -> Self {
        use io::ErrorKind::{BrokenPipe, ConnectionReset, UnexpectedEof};
        match error.kind() {
            UnexpectedEof | ConnectionReset | BrokenPipe => Self::Closed(error.to_string()),
            _ => Self::Failed(error.to_string()),
        }
    }
}

/// A connection. Calls may overlap: one of them reads, for all.
pub(super) struct Connection {
    input: Mutex<Input>,
    output: Mutex<OwnedWriteHalf>,
    /// The calls that were sent, and their replies.
    replies: RefCell<BTreeMap<NonZeroU32, Option<Message>>>,
    lost: OnceCell<Lost>,
}

struct Input {
    /// The kernel closes file descriptors that are sent along: this protocol has none.
    half: OwnedReadHalf,
    stream: Stream,
}

impl Connection {
    /// Opens a connection over this socket, whose input is `stream`.
    pub(super) async fn open(socket: UnixStream, stream: Stream) -> Result<Self, Lost> {
        let (half, mut output) = socket.into_split();
        let mut input = Input { half, stream };
        output.write_all(handshake::introduction(geteuid().as_raw()).as_bytes()).await?;
        let answer = input.line().await?;
        if !handshake::is_welcome(&answer) {
            let answer = String::from_utf8_lossy(&answer);
            return Err(Lost::Refused(match answer.split_once(' ').unwrap_or((&answer, "")) {
                ("REJECTED", others) => format!(
                    "EXTERNAL rejected by the server. Accepted mechanisms: [{}]",
                    others.replace(' ', ", ")
                ),
                ("ERROR", _) => format!("Received error from server: {answer}"),
                _ => format!("Unknown command: {answer}"),
            }));
        }
        output.write_all(handshake::BEGIN).await?;
        Ok(Self {
            input: Mutex::new(input),
            output: Mutex::new(output),
            replies: RefCell::default(),
            lost: OnceCell::new(),
        })
    }

    /// Sends a call and waits for its reply.
    pub(super) async fn call(&self, call: &Message) -> Result<Message, Lost> {
        let serial = call.serial();
        self.replies.borrow_mut().insert(serial, None);
        self.output.lock().await.write_all(call.bytes()).await?;
        loop {
            let mut input = self.input.lock().await;
            let reply = self.replies.borrow_mut().get_mut(&serial).and_then(Option::take);
            if let Some(reply) = reply {
                self.replies.borrow_mut().remove(&serial);
                return Ok(reply);
            }
            if let Some(lost) = self.lost.get() {
                return Err(lost.clone());
            }
            match input.message().await {
                Ok(message) if matches!(message.kind(), Kind::Reply | Kind::Error) => {
                    let answered = message.reply_to();
                    let mut replies = self.replies.borrow_mut();
                    if let Some(place) = answered.and_then(|serial| replies.get_mut(&serial)) {
                        *place = Some(message);
                    }
                }
                Ok(_) => {}
                Err(lost) => drop(self.lost.set(lost)),
            }
        }
    }

    /// Calls the bus. Returns what it replies, or why it does not.
    pub(super) async fn call_bus<R: Decode>(
        &self,
        method: &str,
        arguments: &impl Encode,
    ) -> Result<R, String> {
        let call = bus::call(method, arguments).map_err(|error| error.to_string())?;
        let reply = self.call(&call).await.map_err(|lost| lost.to_string())?;
        if reply.kind() == Kind::Error {
            let text = reply.first_text();
            let text = text.as_deref().unwrap_or("no details");
            return Err(format!("{}: {text}", reply.head().error_name()));
        }
        reply.arguments().map_err(|error| error.to_string())
    }
}

impl Input {
    /// The next line, without its end.
    async fn line(&mut self) -> Result<Vec<u8>, Lost> {
        loop {
            if let Some(line) = self.stream.line() {
                return Ok(line);
            }
            if self.stream.len() > MAX_HANDSHAKE {
                return Err(Lost::Failed("the handshake is longer than allowed".to_owned()));
            }
            self.fill().await?;
        }
    }

    /// The next message. The future may be dropped at any point and called again.
    async fn message(&mut self) -> Result<Message, Lost> {
        loop {
            match self.stream.message()? {
                Some(message) => return Ok(message),
                None => self.fill().await?,
            }
        }
    }

    /// Waits for more bytes.
    async fn fill(&mut self) -> io::Result<()> {
        match self.half.read_buf(self.stream.room()).await? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use tokio::runtime::Builder;

    use super::*;

    #[test]
    fn why_a_connection_was_closed_from_here_is_known() {
        let (ours, mut theirs) = std::os::unix::net::UnixStream::pair().unwrap();
        theirs.write_all(b"OK 0\r\n").unwrap();
        theirs.write_all(&[b'x'; 64]).unwrap();
        ours.set_nonblocking(true).unwrap();
        let said = Builder::new_current_thread().enable_io().build().unwrap().block_on(async {
            let ours = UnixStream::from_std(ours).unwrap();
            let connection = Connection::open(ours, Stream::of_peer()).await.unwrap();
            let call = bus::call("Hello", &()).unwrap();
            (connection.call(&call).await, connection.call(&call).await)
        });
        let (Err(Lost::Unsound(Unsound::NoMessage)), Err(Lost::Unsound(_))) = said else {
            panic!("{said:?}");
        };
    }
}
