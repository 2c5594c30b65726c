//! [`Connection`]: one connection to a partition, from the handshake to its end.

use std::cell::Cell;
use std::io::{self, ErrorKind, IoSliceMut};
use std::mem::MaybeUninit;
use std::num::NonZeroU32;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use hotadd_core::ActiveSet;
use hotadd_page::board::{BoardReader, Call, Entry, Garbled};
use hotadd_wire::{self as wire, Message, Request, Stream, Unsound, handshake};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendFlags, SocketAddrUnix,
    SocketFlags, SocketType, connect, recvmsg, send, socket_with,
};
use rustix::process::geteuid;

use crate::error::Error;
use crate::remote::command::Command;
use crate::remote::command_queue::{Asked, Inbox, Woken};
use crate::remote::read;
use crate::remote::replica::Replica;

/// How long a partition may take to answer a new connection.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long to wait before connecting again to a partition that has no room for another connection.
const BREATH: Duration = Duration::from_millis(10);

/// How much is read at once, in bytes.
const ROOM: usize = 4096;

/// The maximum number of descriptors that are read at once.
const DESCRIPTORS: usize = 4;

/// How long to watch for the next call before sleeping, if the partition asks nobody else.
const WATCH: Duration = Duration::from_micros(50);

/// The maximum number of messages that may arrive before a partition has sent its set.
const MAX_EARLY: usize = 1000;

/// The way to the partition.
pub(super) enum Source {
    /// It listens at this path.
    Path(PathBuf),
    /// It is at the other end of this socket. There is no second connection.
    Socket(Cell<Option<UnixStream>>),
}

pub(super) struct Connection {
    /// A non-blocking socket.
    socket: UnixStream,
    stream: Stream,
    /// The number of bytes of messages that were read.
    received: u64,
    /// Calls come over it, if there is one.
    board: Option<BoardReader>,
    /// A call on the board that follows messages which have not arrived yet.
    held: Option<(Entry, Call)>,
    /// The partition may ask again at once, because it asks nobody else.
    alone: bool,
}

/// The state of a new connection.
pub(super) struct Opened {
    pub(super) connection: Connection,
    /// Taken when it is used.
    pub(super) set: Option<(Replica, ActiveSet)>,
    pub(super) hardware: String,
    /// The messages that arrived meanwhile.
    pub(super) early: Vec<Message>,
}

/// Waits for a connection until a time, and refuses the commands that arrive meanwhile.
pub(super) struct Patience<'a> {
    pub(super) inbox: &'a mut Inbox,
    pub(super) refuse: &'a mut dyn FnMut(Command),
    pub(super) until: Instant,
}

/// Why a wait has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Over {
    Late,
    /// The connection is lost. If this side closed it, this is the reason.
    Lost(Option<Fault>),
    /// No handle is left.
    Closed,
}

/// The next thing to do.
pub(super) enum Next {
    Message(Message),
    /// A call on the board.
    Asked(Entry, Call),
    Command(Command),
    /// The given time was reached.
    Now,
    /// The connection is lost. If this side closed it, this is the reason.
    Lost(Option<Fault>),
    /// No handle is left.
    Closed,
}

/// Why this side closes a connection: what the partition sent is not valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Fault {
    #[error(transparent)]
    Message(#[from] Unsound),
    #[error(transparent)]
    Board(#[from] Garbled),
}

/// The connection is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Lost;

/// The error for requests whose connection is lost.
pub(super) fn lost(fault: Option<Fault>) -> Error {
    fault.map_or(Error::Disconnected, |why| {
        Error::Protocol(format!(
            "{why}, and the connection was closed; the request may or may not have been carried out"
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
        wire::denied(match self {
            Self::Path(path) => path,
            Self::Socket(_) => Path::new(""),
        })
    }

    /// Connects, and reads the active set.
    pub(super) fn open(
        &self,
        inbox: &mut Inbox,
        refuse: &mut dyn FnMut(Command),
    ) -> Result<Opened, Error> {
        let until = Instant::now() + PATIENCE;
        let socket = match self {
            Self::Path(path) => loop {
                match connected(path) {
                    // More clients are connecting at this moment than the partition has room for.
                    Err(error)
                        if error.kind() == ErrorKind::WouldBlock && Instant::now() < until =>
                    {
                        let until = Instant::now() + BREATH;
                        if (Patience { inbox, refuse, until }).sleep() == Over::Closed {
                            return Err(Error::Disconnected);
                        }
                    }
                    connected => break connected,
                }
            },
            Self::Socket(socket) => {
                let Some(socket) = socket.take() else { return Err(Error::Disconnected) };
                socket.set_nonblocking(true).map(|()| socket)
            }
        };
        let socket = socket.map_err(|error| {
            self.unreachable(match error.kind() {
                ErrorKind::NotFound => {
                    "nothing exists there. Start the partition first, or check the path".to_owned()
                }
                ErrorKind::ConnectionRefused => {
                    "no process listens there. The partition has ended: start it again".to_owned()
                }
                ErrorKind::PermissionDenied => self.denied(),
                ErrorKind::WouldBlock => {
                    "it accepts no connection: its queue of pending connections is full".to_owned()
                }
                _ => error.to_string(),
            })
        })?;
        let connection = Connection {
            socket,
            stream: Stream::of_peer(),
            received: 0,
            board: None,
            held: None,
            alone: false,
        };
        let patience = Patience { inbox, refuse, until };
        connection.begin(patience).map_err(|failed| match failed {
            Failed::Over(Over::Late) => {
                self.unreachable("a process listens there, but it does not answer")
            }
            Failed::Over(Over::Closed) => Error::Disconnected,
            Failed::Over(Over::Lost(None)) => {
                self.unreachable("the connection was closed during the handshake")
            }
            Failed::Over(Over::Lost(Some(fault))) => lost(Some(fault)),
            Failed::Otherwise(error) => error,
        })
    }
}

/// Why a connection was not made.
enum Failed {
    Over(Over),
    Otherwise(Error),
}

impl From<Over> for Failed {
    fn from(over: Over) -> Self {
        Self::Over(over)
    }
}

impl From<Lost> for Failed {
    fn from(Lost: Lost) -> Self {
        Self::Over(Over::Lost(None))
    }
}

impl From<Error> for Failed {
    fn from(error: Error) -> Self {
        Self::Otherwise(error)
    }
}

/// Connects, unless the queue of connections to be accepted is full.
fn connected(path: &Path) -> io::Result<UnixStream> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    connect(&socket, &SocketAddrUnix::new(path)?)?;
    Ok(socket.into())
}

impl Patience<'_> {
    /// Waits until a connection is readable.
    fn wait(&mut self, socket: &UnixStream) -> Result<(), Over> {
        self.wait_for(Some(socket))
    }

    /// Waits until the time is reached, or no handle is left.
    pub(super) fn sleep(&mut self) -> Over {
        self.wait_for(None).err().unwrap_or(Over::Late)
    }

    fn wait_for(&mut self, connection: Option<&UnixStream>) -> Result<(), Over> {
        loop {
            match self.inbox.wait(connection, None, Some(self.until)) {
                Ok(Woken::Ready | Woken::Called) => return Ok(()),
                Ok(Woken::Late) => return Err(Over::Late),
                Ok(Woken::Rung) => match self.inbox.take() {
                    Asked::Command(command) => (self.refuse)(command),
                    Asked::Nothing => {}
                    Asked::Closed => return Err(Over::Closed),
                },
                Err(_) => return Err(Over::Lost(None)),
            }
        }
    }
}

impl Connection {
    /// Authenticates as this user, and reads the active set and the name of the hardware.
    fn begin(mut self, mut patience: Patience<'_>) -> Result<Opened, Failed> {
        let protocol = |why: &str| Failed::from(Error::Protocol(why.to_owned()));
        self.write(handshake::introduction(geteuid().as_raw()).as_bytes())?;
        if !handshake::is_welcome(&self.line(&mut patience)?) {
            return Err(protocol("it does not accept this process's identity"));
        }
        self.write(handshake::DESCRIPTORS.as_bytes())?;
        if !handshake::passes_descriptors(&self.line(&mut patience)?) {
            return Err(protocol(
                "it does not hand out its page, because it passes no descriptors",
            ));
        }
        self.write(handshake::BEGIN)?;
        self.received = 0;
        self.greet(patience)
    }

    /// The next line of the handshake.
    fn line(&mut self, patience: &mut Patience<'_>) -> Result<Vec<u8>, Failed> {
        loop {
            if let Some(line) = self.stream.line() {
                return Ok(line);
            }
            if self.stream.len() > handshake::LONGEST {
                return Err(
                    Error::Protocol("the handshake is longer than allowed".to_owned()).into()
                );
            }
            patience.wait(&self.socket)?;
            self.read()?;
        }
    }

    fn greet(mut self, mut patience: Patience<'_>) -> Result<Opened, Failed> {
        let get_page = Request::GetPage.call().map_err(read::protocol)?;
        // Now, and not when a driver registers: then its calls may be on the way.
        let open_board = Request::OpenBoard.call().map_err(read::protocol)?;
        let get_hardware = wire::hardware_call().map_err(read::protocol)?;
        for call in [&get_page, &open_board, &get_hardware] {
            self.send(call)?;
        }
        let (mut set, mut hardware, mut early) = (None, None, Vec::new());
        loop {
            let message = loop {
                match self.stream.message() {
                    Ok(Some(message)) => break message,
                    Ok(None) => {}
                    Err(unsound) => return Err(Over::Lost(Some(unsound.into())).into()),
                }
                patience.wait(&self.socket)?;
                self.read()?;
            };
            let reply_to = message.reply_to();
            if reply_to == Some(get_page.serial()) {
                set = Some(Replica::new(read::page(&message)?)?);
            } else if reply_to == Some(open_board.serial()) {
                // Without a board, calls come as messages.
                let two = message.two_descriptors().ok();
                self.board = two.and_then(|(memory, bell)| BoardReader::open(memory, bell).ok());
            } else if reply_to == Some(get_hardware.serial()) {
                // A partition need not give the name.
                let name = wire::hardware(&message);
                hardware = Some(name.unwrap_or_else(|| "unknown".to_owned()));
            } else if early.len() < MAX_EARLY {
                early.push(message);
            } else {
                return Err(Error::Protocol("it does not hand out its page".to_owned()).into());
            }
            (set, hardware) = match (set, hardware) {
                (Some(set), Some(hardware)) => {
                    let set = Some(set);
                    return Ok(Opened { connection: self, set, hardware, early });
                }
                some => some,
            };
        }
    }

    /// Sends a message. If the partition does not read, this waits for it.
    pub(super) fn send(&self, message: &Message) -> Result<(), Lost> {
        self.write(message.bytes())
    }

    /// Agrees to a call of the partition.
    pub(super) fn agree(&self, call: NonZeroU32) -> Result<(), Lost> {
        self.write(&wire::agree(call))
    }

    fn write(&self, mut bytes: &[u8]) -> Result<(), Lost> {
        use rustix::io::Errno;
        while !bytes.is_empty() {
            // If the peer is gone, this raises no signal, even in a program that does not ignore SIGPIPE.
            match send(&self.socket, bytes, SendFlags::NOSIGNAL) {
                Ok(sent) => bytes = bytes.get(sent..).unwrap_or_default(),
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => {
                    let mut room = [PollFd::new(&self.socket, PollFlags::OUT)];
                    // The send is retried even if the poll was interrupted.
                    let _ = poll(&mut room, None);
                }
                Err(_) => return Err(Lost),
            }
        }
        Ok(())
    }

    /// Reads what is available, with the descriptors that were sent along.
    fn read(&mut self) -> Result<(), Lost> {
        use rustix::io::Errno;
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS))];
        let mut along = RecvAncillaryBuffer::new(&mut space);
        let bytes = self.stream.room();
        let had = bytes.len();
        bytes.resize(had + ROOM, 0);
        let mut room = [IoSliceMut::new(bytes.get_mut(had..).unwrap_or_default())];
        let got = recvmsg(&self.socket, &mut room, &mut along, RecvFlags::CMSG_CLOEXEC);
        bytes.truncate(had + got.as_ref().map_or(0, |got| got.bytes));
        for message in along.drain() {
            if let RecvAncillaryMessage::ScmRights(descriptors) = message {
                self.stream.give(descriptors);
            }
        }
        match got.map(|got| got.bytes) {
            Ok(0) => Err(Lost),
            Ok(got) => {
                self.received += got as u64;
                Ok(())
            }
            Err(Errno::INTR | Errno::AGAIN) => Ok(()),
            Err(_) => Err(Lost),
        }
    }

    pub(super) const fn has_board(&self) -> bool {
        self.board.is_some()
    }

    /// Agrees to a call on the board. `alone` says that the partition asks nobody else.
    pub(super) fn agree_on_board(&mut self, entry: Entry, alone: bool) {
        if let Some(board) = &self.board {
            board.agree(entry);
            self.alone = alone;
        }
    }

    /// Frees the place of a call on the board that was answered by a message.
    pub(super) fn free_on_board(&self, entry: Entry) {
        if let Some(board) = &self.board {
            board.skip(entry);
        }
    }

    /// The next call on the board, if all messages that were sent before it have arrived.
    fn asked(&mut self) -> Result<Option<(Entry, Call)>, Garbled> {
        let Some(board) = &mut self.board else { return Ok(None) };
        if self.held.is_none() {
            self.held = board.next().transpose()?;
        }
        Ok(self.held.take_if(|(_, call)| call.after <= self.received))
    }

    /// The next thing to do. Messages come first, so that everything is handled in the order in which it was sent.
    pub(super) fn next(&mut self, inbox: &mut Inbox, until: Option<Instant>) -> Next {
        loop {
            match self.stream.message() {
                Ok(Some(message)) => return Next::Message(message),
                Ok(None) => {}
                Err(unsound) => return Next::Lost(Some(unsound.into())),
            }
            match self.asked() {
                Ok(Some((entry, call))) => return Next::Asked(entry, call),
                Ok(None) => {}
                Err(garbled) => return Next::Lost(Some(garbled.into())),
            }
            let board = self.board.as_mut().filter(|_| self.held.is_none());
            if let Some(board) = board
                && std::mem::take(&mut self.alone)
                && board.watch(WATCH)
            {
                continue;
            }
            let doorbell = self.board.as_ref().filter(|_| self.held.is_none());
            match inbox.wait(Some(&self.socket), doorbell.map(BoardReader::doorbell), until) {
                Ok(Woken::Called) => {
                    self.board.as_ref().inspect(|board| board.silence());
                }
                Ok(Woken::Ready) => {
                    if self.read() == Err(Lost) {
                        return Next::Lost(None);
                    }
                }
                Ok(Woken::Rung) => match inbox.take() {
                    Asked::Command(command) => return Next::Command(command),
                    Asked::Nothing => {}
                    Asked::Closed => return Next::Closed,
                },
                Ok(Woken::Late) => return Next::Now,
                Err(_) => return Next::Lost(None),
            }
        }
    }
}
