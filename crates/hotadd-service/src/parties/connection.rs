//! [`Connection`]: the route to one peer, its pending calls, and its parties.

use std::io;
use std::os::fd::BorrowedFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

use hotadd::Status;
use hotadd_page::board::BoardWriter;
use hotadd_wire::bus::PeerName;
use hotadd_wire::{Addressing, Message, Signal};

use crate::lock::lock;
use crate::parties::loss::Loss;
use crate::parties::named::NamedConnection;
use crate::parties::pending::Pending;
use crate::parties::registered::Parties;
use crate::transport::route::Route;

/// The connection to one peer.
pub(crate) struct Connection {
    pub(crate) id: u64,
    pub(crate) pending: Pending,
    pub(crate) route: Route,
    /// The name of the peer in the log.
    peer: String,
    pub(crate) parties: Parties,
    /// The required party that every agent on this connection stands for (L4), if this is the connection of
    /// that party's process.
    pub(crate) named: Option<Arc<NamedConnection>>,
    /// The peer has sent a message, and may be sent signals.
    open: AtomicBool,
    /// The peer's name, if the peer treats this connection as a bus: it has called Hello.
    greeted: OnceLock<PeerName>,
    /// The peer accepts descriptors.
    descriptors: AtomicBool,
    board: OnceLock<Arc<BoardWriter>>,
    /// Why the connection ended.
    closed: Mutex<Option<Loss>>,
    /// The connection has ended. No party registers over it from now on.
    ///
    /// Relaxed: parties that registered just before are deregistered when the session ends.
    pub(crate) is_closed: AtomicBool,
}

impl Connection {
    pub(crate) fn new(
        id: u64,
        route: Route,
        peer: String,
        named: Option<Arc<NamedConnection>>,
    ) -> Self {
        let (pending, parties) = (Pending::default(), Parties::default());
        let not_yet = || AtomicBool::new(false);
        Self {
            id,
            pending,
            route,
            peer,
            parties,
            named,
            open: not_yet(),
            greeted: OnceLock::new(),
            descriptors: not_yet(),
            board: OnceLock::new(),
            closed: Mutex::default(),
            is_closed: not_yet(),
        }
    }

    /// Records whether the peer may be sent descriptors.
    pub(crate) fn agreed(&self, descriptors: bool) {
        self.descriptors.store(descriptors, Ordering::Release);
    }

    /// Begins to send the peer signals. A peer that has called nothing yet gets none: it may treat the connection as a bus, and
    /// then the first message must be the reply to Hello.
    pub(crate) fn open(&self) {
        // Release: a thread that reads `true` also sees that the last line of the handshake and the reply to Hello were sent.
        self.open.store(true, Ordering::Release);
    }

    /// Whether the peer treats this connection as a bus.
    pub(crate) fn is_greeted(&self) -> bool {
        self.greeted.get().is_some()
    }

    /// Records that the peer treats this connection as a bus.
    pub(crate) fn greet(&self) {
        self.greeted.get_or_init(|| PeerName::of_client(self.id));
    }

    /// The names in the header of a message to the peer.
    pub(crate) fn addressing(&self) -> Addressing<'_> {
        match (self.route.peer(), self.greeted.get()) {
            (Some(peer), _) => Addressing::Bus(peer),
            (None, Some(peer)) => Addressing::Greeted(peer),
            (None, None) => Addressing::Direct,
        }
    }

    /// Sends a message. May be called on any thread; does not block.
    pub(crate) fn send(&self, message: &Message) {
        self.deliver(message.bytes(), &message.descriptors());
    }

    /// Sends the bytes of a message. May be called on any thread; does not block.
    pub(crate) fn send_bytes(&self, message: &[u8]) {
        self.deliver(message, &[]);
    }

    fn deliver(&self, message: &[u8], descriptors: &[BorrowedFd<'_>]) {
        if let Err(stuck) = self.route.send(message, descriptors) {
            self.close(stuck.into());
        }
    }

    /// The board over which the peer's agents are called, if it has opened one.
    pub(crate) fn board(&self) -> Option<&Arc<BoardWriter>> {
        self.board.get()
    }

    /// Makes the board, if there is none yet.
    pub(crate) fn open_board(&self) -> io::Result<&Arc<BoardWriter>> {
        if let Some(board) = self.board.get() {
            return Ok(board);
        }
        let board = Arc::new(BoardWriter::create()?);
        Ok(self.board.get_or_init(|| board))
    }

    /// Whether the peer may be sent descriptors.
    pub(crate) fn passes_descriptors(&self) -> bool {
        self.descriptors.load(Ordering::Acquire)
    }

    /// Sends the peer a signal, if it has sent a message before. `plain` is the signal without a name in its header. On a bus
    /// each peer is sent a signal of its own: a peer that has not shown that it may talk to the partition must not receive
    /// signals either.
    pub(crate) fn tell(&self, signal: &Signal, plain: &Message) {
        if !self.open.load(Ordering::Acquire) {
            return;
        }
        match self.addressing() {
            Addressing::Direct => self.send(plain),
            // A signal that can be encoded without a name in its header can be encoded with one as well.
            to => drop(signal.message(to).map(|signal| self.send(&signal))),
        }
    }

    /// Closes the connection from this side. The first reason is kept.
    pub(crate) fn close(&self, loss: Loss) {
        self.ended(|| loss);
    }

    /// Closes the connection because the service ends: its parties are not called any more, and veto nothing.
    pub(crate) fn stop(&self) {
        self.parties.leave();
        let reason = "its partition is no longer served".to_owned();
        self.close(Loss { status: Status::CANCELLED, reason });
    }

    /// Marks the connection as ended. Returns the reason that is recorded here, or else `otherwise`.
    pub(crate) fn ended(&self, otherwise: impl FnOnce() -> Loss) -> Loss {
        let loss = lock(&self.closed).get_or_insert_with(otherwise).clone();
        // This comes first: when the peer reads the end of the stream, it can no longer register.
        self.is_closed.store(true, Ordering::Relaxed);
        self.route.close();
        loss
    }

    /// The log line that says why the connection ended.
    pub(crate) fn report(&self, loss: &Loss) -> String {
        let names = self.parties.names();
        let names = if names.is_empty() { names } else { format!(" ({names})") };
        format!("{}{names}: {}", self.peer, loss.reason)
    }
}
