//! [`Link`]: one connection to a partition, from the handshake to its end.

use std::cell::Cell;
use std::future::poll_fn;
use std::io::ErrorKind;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use hotadd_core::{ActiveSet, HardwareId};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::Instant;
use zbus::export::futures_core::Stream;
use zbus::zvariant::OwnedValue;
use zbus::{Connection, Message, MessageStream, connection};

use crate::error::Error;
use crate::remote::client::Command;
use crate::remote::read;
use crate::wire::{self, message::Unsound, socket};

/// How long a partition may take to say who it is.
const PATIENCE: Duration = Duration::from_secs(10);

/// How many messages may come before a partition has said what is active.
const MAX_EARLY: usize = 1000;

/// Where the partition is.
pub(super) enum Source {
    /// It listens here.
    Path(PathBuf),
    /// It is at the other end of this, which cannot be had a second time.
    Socket(Cell<Option<UnixStream>>),
}

pub(super) struct Link {
    connection: Connection,
    stream: MessageStream,
}

/// What a new connection begins with.
pub(super) struct Opened {
    pub(super) link: Link,
    pub(super) set: ActiveSet,
    pub(super) candidates: Vec<HardwareId>,
    pub(super) hardware: String,
    /// What came meanwhile.
    pub(super) early: Vec<Message>,
}

/// What there is to do next.
pub(super) enum Next {
    Message(Message),
    Command(Command),
    /// The moment that was waited for.
    Now,
    /// The connection is gone; if it was closed from here, why.
    Lost(Option<Unsound>),
    /// All handles are gone.
    Closed,
}

/// The connection is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Lost;

/// What whoever waits is told of a connection that is gone.
pub(super) fn lost(unsound: Option<Unsound>) -> Error {
    unsound.map_or(Error::Disconnected, |why| {
        Error::Protocol(format!(
            "{why}, and the connection was closed; whether it was done is not known"
        ))
    })
}

impl Source {
    pub(super) const fn is_lasting(&self) -> bool {
        matches!(self, Self::Path(_))
    }

    fn unreachable(&self, reason: impl Into<String>) -> Error {
        let path = match self {
            Self::Path(path) => path.clone(),
            Self::Socket(_) => "the other end of a socket".into(),
        };
        Error::Unreachable { path, reason: reason.into() }
    }

    fn denied(&self) -> String {
        socket::denied(match self {
            Self::Path(path) => path,
            Self::Socket(_) => Path::new(""),
        })
    }

    /// Connects, and reads what is active.
    pub(super) async fn open(&self) -> Result<Opened, Error> {
        match tokio::time::timeout(PATIENCE, self.open_slowly()).await {
            Ok(opened) => opened,
            Err(_) => Err(self.unreachable("something is there, but it does not answer")),
        }
    }

    async fn open_slowly(&self) -> Result<Opened, Error> {
        let socket = match self {
            Self::Path(path) => tokio::net::UnixStream::connect(path).await,
            Self::Socket(socket) => {
                let Some(socket) = socket.take() else { return Err(Error::Disconnected) };
                socket.set_nonblocking(true).and_then(|()| tokio::net::UnixStream::from_std(socket))
            }
        };
        let socket = socket.map_err(|error| {
            self.unreachable(match error.kind() {
                ErrorKind::NotFound => {
                    "nothing is there. Start the partition first, or check the path".to_owned()
                }
                ErrorKind::ConnectionRefused => {
                    "nobody listens there. The partition has ended: start it again".to_owned()
                }
                ErrorKind::PermissionDenied => self.denied(),
                _ => error.to_string(),
            })
        })?;
        let connection = connection::Builder::socket(socket::checked(socket)).p2p().build().await;
        let connection = connection
            .map_err(|error| self.unreachable(format!("no connection came about: {error}")))?;
        // On this thread alone nothing is read before the stream is there.
        let stream = MessageStream::from(&connection);
        Link { connection, stream }.greet().await
    }
}

impl Link {
    /// Reads what is active and what the hardware is called.
    async fn greet(mut self) -> Result<Opened, Error> {
        let get_set = read::call("GetSet", &())?;
        let get_hardware = Message::method_call(wire::PARTITION_PATH, "Get")
            .and_then(|call| call.interface("org.freedesktop.DBus.Properties"))
            .and_then(|call| call.build(&(wire::PARTITION, "Hardware")))
            .map_err(|error| Error::Protocol(error.to_string()))?;
        for call in [&get_set, &get_hardware] {
            self.send(call).await.map_err(|Lost| Error::Disconnected)?;
        }
        let (mut set, mut hardware, mut early) = (None, None, Vec::new());
        loop {
            let message = self.receive().await?;
            let reply_to = message.header().reply_serial();
            if reply_to == Some(get_set.primary_header().serial_num()) {
                set = Some(read::set(&message)?);
            } else if reply_to == Some(get_hardware.primary_header().serial_num()) {
                // One that does not say is no worse for it.
                let value = message.body().deserialize::<OwnedValue>().ok();
                let name = value.and_then(|value| String::try_from(value).ok());
                hardware = Some(name.unwrap_or_else(|| "unknown".to_owned()));
            } else if early.len() < MAX_EARLY {
                early.push(message);
            } else {
                return Err(Error::Protocol("it does not say what is active".to_owned()));
            }
            if let (Some((set, candidates)), Some(hardware)) = (&set, &hardware) {
                let (set, candidates) = (ActiveSet::clone(set), Vec::clone(candidates));
                return Ok(Opened {
                    link: self,
                    set,
                    candidates,
                    hardware: hardware.clone(),
                    early,
                });
            }
        }
    }

    pub(super) async fn send(&self, message: &Message) -> Result<(), Lost> {
        self.connection.send(message).await.map_err(|_| Lost)
    }

    /// The next message.
    async fn receive(&mut self) -> Result<Message, Error> {
        let next = poll_fn(|cx| Pin::new(&mut self.stream).poll_next(cx)).await;
        next.ok_or(Error::Disconnected)?.map_err(|error| lost(socket::unsound(&error)))
    }

    /// What there is to do next, messages first.
    pub(super) async fn next(
        &mut self,
        commands: &mut UnboundedReceiver<Command>,
        until: Option<Instant>,
    ) -> Next {
        let mut sleep = until.map(|until| Box::pin(tokio::time::sleep_until(until)));
        poll_fn(|cx| {
            match Pin::new(&mut self.stream).poll_next(cx) {
                Poll::Ready(Some(Ok(message))) => return Poll::Ready(Next::Message(message)),
                Poll::Ready(Some(Err(error))) => {
                    return Poll::Ready(Next::Lost(socket::unsound(&error)));
                }
                Poll::Ready(None) => return Poll::Ready(Next::Lost(None)),
                Poll::Pending => {}
            }
            if let Poll::Ready(command) = commands.poll_recv(cx) {
                return Poll::Ready(command.map_or(Next::Closed, Next::Command));
            }
            match &mut sleep {
                Some(sleep) => sleep.as_mut().poll(cx).map(|()| Next::Now),
                None => Poll::Pending,
            }
        })
        .await
    }
}
