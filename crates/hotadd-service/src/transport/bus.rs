//! [`Bus`]: a partition on a message bus. One connection to the bus daemon carries all peers. Each peer is served as if it
//! had a connection of its own, with the same limits. The peer's connection is lost when its name disappears from the bus (L3).
//!
//! Only the daemon knows a peer's identity. It is asked when the peer's first message arrives, and the peer's messages wait
//! until the daemon has answered. The daemon also sets the sender of each message: no peer can send in the name of another.

use std::collections::HashMap;
use std::future::poll_fn;
use std::num::NonZeroU32;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use hotadd::Status;
use hotadd_wire::bus::{
    Credentials, DO_NOT_QUEUE, PRIMARY_OWNER, PeerName, call, credentials, error_text,
    name_owner_changed,
};
use hotadd_wire::freedesktop::{BUS, NAMES_GOING, NO_REPLY, POLKIT, POLKIT_OWNERS};
use hotadd_wire::{BusAddress, Encode, Kind, Message};
use rustix::process::geteuid;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::{Instant, sleep_until};

use crate::access::authority::{Authority, Claim, Question};
use crate::access::peer;
use crate::access::policy::Trust;
use crate::access::polkit::Polkit;
use crate::object::core::Core;
use crate::object::serve::{Served, take};
use crate::object::session::Session;
use crate::parties::connection::Connection;
use crate::parties::loss::Loss;
use crate::parties::shares::MOST_CONNECTIONS;
use crate::transport::handshake;
use crate::transport::outbox::Outbox;
use crate::transport::reader::{Lost, Reader};
use crate::transport::route::{OverBus, Route};
use crate::transport::socket::Socket;

/// The maximum number of peers that may only look, of one user and of all users. The rest is reserved for
/// other peers.
const MOST_STRANGERS_OF_USER: usize = 64;
const MOST_STRANGERS: usize = MOST_CONNECTIONS / 2;

/// The maximum number of a peer's messages that wait until its identity is known.
const MOST_WAITING: usize = 64;

/// A partition on a bus.
pub(crate) struct Bus {
    core: Arc<Core>,
    address: BusAddress,
    reader: Reader,
    outbox: Arc<Outbox>,
    peers: HashMap<PeerName, Peer>,
    /// The peers that the bus was asked about, by the serial of the question.
    asked: HashMap<NonZeroU32, PeerName>,
    leave: UnboundedSender<(PeerName, u64)>,
    left: UnboundedReceiver<(PeerName, u64)>,
    polkit: Polkit,
    ask: UnboundedSender<Question>,
    questions: UnboundedReceiver<Question>,
    /// Messages that arrived before serving began. If a peer's call starts the service, that call arrives before the bus
    /// reports that the service owns the name.
    early: Vec<Message>,
}

/// A peer on the bus that has sent a message.
enum Peer {
    /// The bus was asked for its identity.
    Unknown(Vec<Message>),
    Known(u64, Served),
}

/// Why a peer is not served.
const TOO_MANY: &str = "there are too many connections";

/// The next thing to do.
enum Next {
    Message(Message),
    Leave(PeerName, u64),
    Question(Question),
    /// A question has expired.
    Late,
    Sent,
}

impl Bus {
    /// Joins the bus and takes the partition's name there.
    pub(crate) async fn join(core: Arc<Core>, address: BusAddress) -> Result<Self, String> {
        let socket = address.connect().and_then(Socket::new);
        let socket = Arc::new(socket.map_err(|error| error.to_string())?);
        let mut reader = Reader::of_bus(Arc::clone(&socket));
        let said = |error: Lost| error.to_string();
        handshake::introduce(&mut reader, &socket, geteuid().as_raw()).await.map_err(said)?;
        let outbox = Arc::new(Outbox::new(socket));
        let (leave, left) = unbounded_channel();
        let (ask, questions) = unbounded_channel();
        let (peers, asked) = (HashMap::new(), HashMap::new());
        let polkit = Polkit::new(&core.access);
        let mut bus = Self {
            core,
            address,
            reader,
            outbox,
            peers,
            asked,
            leave,
            left,
            polkit,
            ask,
            questions,
            early: Vec::new(),
        };
        bus.ask("Hello", &()).await?;
        bus.ask("AddMatch", &NAMES_GOING).await?;
        if bus.core.access.is_machine() {
            bus.ask("AddMatch", &POLKIT_OWNERS).await?;
        }
        let name = bus.core.bus_name.clone();
        let reply = bus.ask("RequestName", &(name.as_str(), DO_NOT_QUEUE)).await?;
        match reply.arguments::<u32>() {
            Ok(PRIMARY_OWNER) => Ok(bus),
            Ok(_) => Err(format!("{name} is already owned by another process on the bus")),
            Err(error) => Err(error.to_string()),
        }
    }

    /// Calls the bus and waits for its reply. Used only before any peer is served.
    async fn ask(&mut self, method: &str, arguments: &impl Encode) -> Result<Message, String> {
        let call = call(method, arguments).map_err(|error| error.to_string())?;
        self.outbox.send(call.bytes(), &[]).map_err(|error| error.to_string())?;
        let serial = call.serial();
        loop {
            let message = self.reader.message().await.map_err(|error| error.to_string())?;
            if message.reply_to() != Some(serial) {
                if self.early.len() < MOST_WAITING {
                    self.early.push(message);
                }
                continue;
            }
            return match message.kind() {
                Kind::Reply => Ok(message),
                _ => Err(error_text(&message)),
            };
        }
    }

    /// Serves all peers on the bus, until the connection to the bus ends.
    pub(crate) async fn serve(mut self) {
        std::mem::take(&mut self.early).into_iter().for_each(|message| self.take(message));
        let lost = loop {
            match self.next().await {
                Ok(Next::Message(message)) => self.take(message),
                Ok(Next::Leave(name, number)) => {
                    // The name may belong to a new peer by now.
                    if let Some(Peer::Known(of, _)) = self.peers.get(&name)
                        && *of == number
                    {
                        self.peers.remove(&name);
                        let calls = self.polkit.forget(&name);
                        self.send_all(&calls);
                    }
                }
                Ok(Next::Question(question)) => self.put(question),
                Ok(Next::Late) => {
                    let calls = self.polkit.expire(Instant::now());
                    self.send_all(&calls);
                }
                Ok(Next::Sent) => {}
                Err(lost) => break lost,
            }
            // However many messages arrive over the bus, other connections get their turn.
            tokio::task::coop::consume_budget().await;
        };
        self.outbox.close();
        if !self.core.is_stopping() {
            (self.core.log)(&format!("{}: {lost}", self.address));
        }
        let loss =
            Loss { reason: "the connection to its bus was closed".to_owned(), ..Loss::from(lost) };
        for (_, peer) in self.peers.drain() {
            if let Peer::Known(_, served) = peer {
                served.session.connection.close(loss.clone());
            }
        }
    }

    async fn next(&mut self) -> Result<Next, Lost> {
        let room = self.outbox.has_room();
        let mut late = pin!(self.polkit.deadline().map(sleep_until));
        let mut message = pin!(self.reader.message());
        let mut drained = pin!(self.outbox.drain());
        poll_fn(|context| {
            if let Poll::Ready(Some((name, number))) = self.left.poll_recv(context) {
                return Poll::Ready(Ok(Next::Leave(name, number)));
            }
            if let Poll::Ready(Some(question)) = self.questions.poll_recv(context) {
                return Poll::Ready(Ok(Next::Question(question)));
            }
            if let Some(late) = late.as_mut().as_pin_mut()
                && late.poll(context).is_ready()
            {
                return Poll::Ready(Ok(Next::Late));
            }
            // If the bus accepts less than it is sent, no further message of it is read.
            if room && let Poll::Ready(message) = message.as_mut().poll(context) {
                return Poll::Ready(message.map(Next::Message));
            }
            match drained.as_mut().poll(context) {
                Poll::Ready(Ok(())) => Poll::Ready(Ok(Next::Sent)),
                Poll::Ready(Err(stuck)) => {
                    (self.core.log)(&format!("{}: {stuck}", self.address));
                    Poll::Ready(Err(Lost::Closed))
                }
                Poll::Pending => Poll::Pending,
            }
        })
        .await
    }

    fn take(&mut self, message: Message) {
        let Some(sender) = message.head().sender() else { return };
        if sender.as_str() == BUS {
            return self.heard(&message);
        }
        if self.polkit.answered(&sender, &message) {
            return;
        }
        match self.peers.get_mut(&sender) {
            Some(Peer::Known(_, served)) => pass_on(served, message),
            // The message is answered later. Further messages above the limit are dropped.
            Some(Peer::Unknown(waiting)) if waiting.len() < MOST_WAITING => waiting.push(message),
            Some(Peer::Unknown(_)) => {}
            None if message.kind() == Kind::Call => self.look_up(sender, message),
            None => {}
        }
    }

    /// Asks the bus for a new peer's identity.
    fn look_up(&mut self, name: PeerName, first: Message) {
        if self.peers.len() >= MOST_CONNECTIONS {
            // The peer is unknown, and asking about it would take another place in the full table.
            self.core.refused_unknown(&name, TOO_MANY);
            return self.turn_away(&[first], TOO_MANY);
        }
        let Ok(question) = call("GetConnectionCredentials", &name.as_str()) else { return };
        self.asked.insert(question.serial(), name.clone());
        self.peers.insert(name, Peer::Unknown(vec![first]));
        self.send(&question);
    }

    /// Handles a message of the bus itself.
    fn heard(&mut self, message: &Message) {
        let Some(serial) = message.reply_to() else {
            if let Some((name, owner)) = name_owner_changed(message) {
                if name == POLKIT {
                    self.polkit.owned_by(owner);
                } else if let (Some(name), None) = (PeerName::parse(&name), owner) {
                    self.gone(&name);
                }
            }
            return;
        };
        if let Some(calls) = self.polkit.heard(serial, message) {
            return self.send_all(&calls);
        }
        if let Some(name) = self.asked.remove(&serial) {
            return self.identified(name, message);
        }
        let head = message.head();
        // A `NoReply` because the peer has gone is ignored. The end of its name reports that better.
        if message.kind() == Kind::Error && head.error_name() != NO_REPLY {
            let reason =
                format!("the bus did not deliver a message to it: {}", error_text(message));
            let loss = Loss { status: Status::IO_DEVICE_ERROR, reason };
            for peer in self.peers.values() {
                if let Peer::Known(_, served) = peer {
                    served.session.connection.pending.lost(serial, &loss);
                }
            }
        }
    }

    /// A name is gone, and so is the peer that owned it.
    fn gone(&mut self, name: &PeerName) {
        let calls = self.polkit.forget(name);
        self.send_all(&calls);
        if let Some(Peer::Known(_, served)) = self.peers.remove(name) {
            let reason = "its connection to the bus was closed".to_owned();
            served.session.connection.close(Loss { status: Status::PIPE_BROKEN, reason });
        }
    }

    /// The bus has reported a peer's identity.
    fn identified(&mut self, name: PeerName, reply: &Message) {
        let Some(Peer::Unknown(waiting)) = self.peers.remove(&name) else { return };
        // A peer without known credentials is refused. A peer that has gone meanwhile need not be told.
        let Some(Credentials { uid, pid, groups }) = credentials(reply) else {
            let why = "its user is unknown";
            self.core.refused_unknown(&name, why);
            return self.turn_away(&waiting, why);
        };
        let peer = peer::Peer { uid, pid, groups };
        let id = self.core.next_id();
        let refusal = match self.core.access.trust_on_bus(&peer) {
            None => Err(format!("only {} may use this partition", self.core.access)),
            Some(trust) => {
                let authority = match trust {
                    Trust::Full => Authority::Full,
                    Trust::AsAuthorized { member } => Authority::Asked(Claim {
                        peer: peer.clone(),
                        asker: (name.clone(), id),
                        member,
                        questions: self.ask.clone(),
                    }),
                };
                if self.is_full_for(&authority) { Err(TOO_MANY.to_owned()) } else { Ok(authority) }
            }
        };
        let authority = match refusal {
            Ok(authority) => authority,
            Err(why) => {
                self.core.refused(&peer, &why);
                return self.turn_away(&waiting, &format!("{peer} was refused, because {why}"));
            }
        };
        let over = OverBus {
            outbox: Arc::clone(&self.outbox),
            name: name.clone(),
            number: id,
            leave: self.leave.clone(),
        };
        let connection = Arc::new(Connection::new(id, Route::Bus(over), peer.name(), None));
        if let Err(full) = self.core.join(&connection, Some(peer.uid)) {
            self.core.refused(&peer, full);
            return self.turn_away(&waiting, &full.to_string());
        }
        connection.open();
        let session = Arc::new(Session::new(Arc::clone(&self.core), connection, authority));
        let served = Served { session, ending: None };
        for message in waiting {
            pass_on(&served, message);
        }
        self.peers.insert(name, Peer::Known(id, served));
    }

    /// Whether one more peer that may only look would be too many.
    fn is_full_for(&self, authority: &Authority) -> bool {
        let Some(uid) = authority.stranger() else { return false };
        let strangers = self.peers.values().filter_map(|peer| match peer {
            Peer::Known(_, served) => served.session.authority.stranger(),
            Peer::Unknown(_) => None,
        });
        let strangers: Vec<u32> = strangers.collect();
        strangers.len() >= MOST_STRANGERS
            || strangers.iter().filter(|one| **one == uid).count() >= MOST_STRANGERS_OF_USER
    }

    /// Asks whether a peer's request is allowed.
    fn put(&mut self, question: Question) {
        let (name, number) = &question.claim.asker;
        // The question of a peer that has gone is dropped.
        if matches!(self.peers.get(name), Some(Peer::Known(of, _)) if of == number) {
            let calls = self.polkit.ask(question, Instant::now());
            self.send_all(&calls);
        }
    }

    /// Refuses a peer's calls.
    fn turn_away(&self, messages: &[Message], why: &str) {
        for message in messages {
            if message.kind() == Kind::Call
                && message.expects_reply()
                && let Ok(error) = message.standard_error("AccessDenied", why)
            {
                self.send(&error);
            }
        }
    }

    fn send_all(&self, messages: &[Message]) {
        messages.iter().for_each(|message| self.send(message));
    }

    fn send(&self, message: &Message) {
        if let Err(stuck) = self.outbox.send(message.bytes(), &[]) {
            (self.core.log)(&format!("{}: {stuck}", self.address));
            self.outbox.close();
        }
    }
}

/// Handles a message of a known peer. An invalid message ends the peer's session, as it ends a connection.
fn pass_on(served: &Served, message: Message) {
    if let Err(loss) = take(&served.session, message) {
        served.session.connection.close(loss);
    }
}
