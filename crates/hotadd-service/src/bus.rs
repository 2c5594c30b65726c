//! [`Bus`]: a partition on a message bus. One connection to the bus's daemon carries all peers; each of them is served as if
//! it had a connection of its own, with the same limits, and has lost it when its name is gone from the bus (L3).
//!
//! Who a peer is, only the daemon knows. It is asked when the peer's first message comes, and what the peer says waits
//! until the daemon has answered. The senders of messages are the daemon's word too: nobody can speak for somebody else.

use std::collections::HashMap;
use std::future::poll_fn;
use std::num::NonZeroU32;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use hotadd::Status;
use rustix::process::geteuid;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::{Instant, sleep_until};
use zbus::Message;
use zbus::message::{Flags, Type};
use zbus::names::UniqueName;
use zbus::zvariant::{DynamicType, OwnedValue};

use crate::address::BusAddress;
use crate::authority::{Authority, Question};
use crate::connection::{Connection, Served, loss_of};
use crate::core::Core;
use crate::handshake;
use crate::outbox::Outbox;
use crate::pending::Loss;
use crate::polkit::{self, Polkit};
use crate::reader::{Lost, Reader};
use crate::route::{OverBus, Route};
use crate::shares::MOST_CONNECTIONS;
use crate::socket::Socket;

/// The bus itself, as a peer on it.
const BUS: &str = "org.freedesktop.DBus";
const BUS_PATH: &str = "/org/freedesktop/DBus";

/// Tells us who the authority is from now on.
const AUTHORITY: &str = "type='signal',sender='org.freedesktop.DBus',\
    interface='org.freedesktop.DBus',member='NameOwnerChanged',arg0='org.freedesktop.PolicyKit1'";

/// How many of one user are served who may only look, and how many of all users: the others have the rest.
const MOST_STRANGERS_OF_USER: usize = 64;
const MOST_STRANGERS: usize = MOST_CONNECTIONS / 2;

/// How many calls of one connection the system bus forwards that are not answered (`max_replies_per_connection`, unless it is
/// configured otherwise). More would be refused in the middle of a transaction.
pub(crate) const MOST_UNANSWERED: usize = 128;

/// How many parties there may be on the bus of a machine's partition: all of them may be asked at once.
pub(crate) const MOST_PARTIES: usize = 96;

/// How many messages of a peer wait until it is known who it is.
const MOST_WAITING: usize = 64;

/// Flag of RequestName: fail rather than queue.
const DO_NOT_QUEUE: u32 = 4;

/// What RequestName replies if the name is ours.
const PRIMARY_OWNER: u32 = 1;

/// Tells us of every name that goes.
const GOING: &str = "type='signal',sender='org.freedesktop.DBus',interface='org.freedesktop.DBus',\
    member='NameOwnerChanged',arg2=''";

/// What the partition of a machine is called on a bus.
pub const MACHINE_BUS_NAME: &str = "org.hotadd.Hotadd1";

/// The well-known name of a partition on a bus, but of that of a machine.
#[must_use]
pub fn bus_name(partition: &str) -> String {
    format!("org.hotadd.Partition.{partition}")
}

/// A partition on a bus.
pub(crate) struct Bus {
    core: Arc<Core>,
    address: BusAddress,
    reader: Reader,
    outbox: Arc<Outbox>,
    peers: HashMap<UniqueName<'static>, Peer>,
    /// Whom the bus was asked about, by the serial of the question.
    asked: HashMap<NonZeroU32, UniqueName<'static>>,
    leave: UnboundedSender<(UniqueName<'static>, u64)>,
    left: UnboundedReceiver<(UniqueName<'static>, u64)>,
    polkit: Polkit,
    ask: UnboundedSender<Question>,
    questions: UnboundedReceiver<Question>,
    /// What came before it began to serve: who has it started by calling it is told to it before it is told that the name is its.
    early: Vec<Message>,
}

/// Somebody on the bus who has sent us something.
enum Peer {
    /// The bus was asked who it is.
    Unknown(Vec<Message>),
    Known(u64, Served),
}

/// Why somebody is not served.
const TOO_MANY: &str = "there are too many";

/// What there is to do next.
enum Next {
    Message(Message),
    Leave(UniqueName<'static>, u64),
    Question(Question),
    /// Something has waited too long.
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
        let (peers, asked, polkit) = (HashMap::new(), HashMap::new(), Polkit::default());
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
        bus.ask("AddMatch", &GOING).await?;
        if bus.core.access.is_machine() {
            bus.ask("AddMatch", &AUTHORITY).await?;
        }
        let name = bus.core.bus_name();
        let reply = bus.ask("RequestName", &(name.as_str(), DO_NOT_QUEUE)).await?;
        match reply.body().deserialize::<u32>() {
            Ok(PRIMARY_OWNER) => Ok(bus),
            Ok(_) => Err(format!("{name} is somebody else's there")),
            Err(error) => Err(error.to_string()),
        }
    }

    /// Calls the bus and waits for its reply. Before it serves anybody only.
    async fn ask<B>(&mut self, method: &str, body: &B) -> Result<Message, String>
    where
        B: serde::Serialize + DynamicType,
    {
        let call = to_bus(method, body).map_err(|error| error.to_string())?;
        self.outbox.send(call.data()).map_err(|error| error.to_string())?;
        let serial = call.primary_header().serial_num();
        loop {
            let message = self.reader.message().await.map_err(|error| error.to_string())?;
            if message.header().reply_serial() != Some(serial) {
                if self.early.len() < MOST_WAITING {
                    self.early.push(message);
                }
                continue;
            }
            return match message.message_type() {
                Type::MethodReturn => Ok(message),
                _ => Err(said(&message)),
            };
        }
    }

    /// Serves everybody on the bus, until the bus is gone.
    pub(crate) async fn serve(mut self) {
        std::mem::take(&mut self.early).into_iter().for_each(|message| self.take(message));
        let lost = loop {
            match self.next().await {
                Ok(Next::Message(message)) => self.take(message),
                Ok(Next::Leave(name, number)) => {
                    // The name may be a new peer's by now.
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
            // However much comes over the bus, other connections have their turn.
            tokio::task::coop::consume_budget().await;
        };
        self.outbox.close();
        if !self.core.is_stopping() {
            (self.core.log)(&format!("{}: {lost}", self.address));
        }
        let loss =
            Loss { reason: "the connection to its bus was closed".to_owned(), ..loss_of(&lost) };
        for (_, peer) in self.peers.drain() {
            if let Peer::Known(_, served) = peer {
                served.connection.close(loss.clone());
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
            // A bus that takes less than it is sent is not asked for more.
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
        let Some(sender) = message.header().sender().map(UniqueName::to_owned) else { return };
        if sender == BUS {
            return self.heard(&message);
        }
        if self.polkit.answered(&sender, &message) {
            return;
        }
        match self.peers.get_mut(&sender) {
            Some(Peer::Known(_, served)) => pass_on(served, message),
            // It will be answered in its time; who floods us before that is not.
            Some(Peer::Unknown(waiting)) if waiting.len() < MOST_WAITING => waiting.push(message),
            Some(Peer::Unknown(_)) => {}
            None if message.message_type() == Type::MethodCall => self.look_up(sender, message),
            None => {}
        }
    }

    /// Asks the bus who a new peer is.
    fn look_up(&mut self, name: UniqueName<'static>, first: Message) {
        if self.peers.len() >= MOST_CONNECTIONS {
            // Nobody knows who it is, and to ask would take what there is too little of.
            self.core.refused_unknown(&name, TOO_MANY);
            return self.turn_away(&[first], TOO_MANY);
        }
        let Ok(question) = to_bus("GetConnectionCredentials", &name) else { return };
        self.asked.insert(question.primary_header().serial_num(), name.clone());
        self.peers.insert(name, Peer::Unknown(vec![first]));
        self.send(&question);
    }

    /// Something that the bus says itself.
    fn heard(&mut self, message: &Message) {
        let header = message.header();
        let Some(serial) = header.reply_serial() else {
            if header.member().is_some_and(|member| member == "NameOwnerChanged")
                && let Ok((name, _, owner)) = message.body().deserialize::<(&str, &str, &str)>()
            {
                let owner = UniqueName::try_from(owner).ok();
                if name == polkit::NAME {
                    self.polkit.owned_by(owner.map(|owner| owner.to_owned()));
                } else if let (Ok(name), None) = (UniqueName::try_from(name), owner) {
                    self.gone(&name.to_owned());
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
        let error = header.error_name().map_or("", |name| name.as_str());
        // That no reply will come because the peer has gone is said better by its name's end.
        if message.message_type() == Type::Error && error != "org.freedesktop.DBus.Error.NoReply" {
            let reason = format!("the bus did not take a message to it: {}", said(message));
            let loss = Loss { status: Status::IO_DEVICE_ERROR, reason };
            for peer in self.peers.values() {
                if let Peer::Known(_, served) = peer {
                    served.connection.pending.lost(serial, &loss);
                }
            }
        }
    }

    /// A name is gone, and with it the peer whose it was.
    fn gone(&mut self, name: &UniqueName<'static>) {
        let calls = self.polkit.forget(name);
        self.send_all(&calls);
        if let Some(Peer::Known(_, served)) = self.peers.remove(name) {
            let reason = "its connection to the bus was closed".to_owned();
            served.connection.close(Loss { status: Status::PIPE_BROKEN, reason });
        }
    }

    /// The bus has said who a peer is.
    fn identified(&mut self, name: UniqueName<'static>, reply: &Message) {
        let Some(Peer::Unknown(waiting)) = self.peers.remove(&name) else { return };
        // One that nothing is known of is not let in; one that has gone meanwhile need not be told.
        let Some(peer) = credentials(reply) else {
            let why = "it is of unknown user";
            self.core.refused_unknown(&name, why);
            return self.turn_away(&waiting, why);
        };
        let refusal = match self.core.access.trust_on_bus(&peer) {
            None => Err(format!("it is not one of those who may: {}", self.core.access)),
            Some(trust) => {
                let authority = Authority::new(&peer, trust, &self.ask);
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
        let id = self.core.next_id();
        let over = OverBus {
            outbox: Arc::clone(&self.outbox),
            name: name.clone(),
            number: id,
            leave: self.leave.clone(),
        };
        let (core, route) = (Arc::clone(&self.core), Route::Bus(over));
        let connection = Arc::new(Connection::new(core, route, authority, peer.name()));
        if let Err(full) = self.core.join(&connection, Some(peer.uid)) {
            self.core.refused(&peer, full);
            return self.turn_away(&waiting, &full.to_string());
        }
        connection.open();
        let served = Served { connection, ending: None };
        for message in waiting {
            pass_on(&served, message);
        }
        self.peers.insert(name, Peer::Known(id, served));
    }

    /// Whether there are so many who may only look that this one is too many.
    fn is_full_for(&self, authority: &Authority) -> bool {
        let Some(uid) = authority.stranger() else { return false };
        let strangers = self.peers.values().filter_map(|peer| match peer {
            Peer::Known(_, served) => served.connection.authority.stranger(),
            Peer::Unknown(_) => None,
        });
        let strangers: Vec<u32> = strangers.collect();
        strangers.len() >= MOST_STRANGERS
            || strangers.iter().filter(|one| **one == uid).count() >= MOST_STRANGERS_OF_USER
    }

    /// Asks whether a peer may do what it wants.
    fn put(&mut self, question: Question) {
        // Of one that has gone nobody wants to know.
        let Route::Bus(over) = &question.prepared.connection().route else { return };
        let (name, number) = (over.name.clone(), over.number);
        if matches!(self.peers.get(&name), Some(Peer::Known(of, _)) if *of == number) {
            let calls = self.polkit.ask(question, name, Instant::now());
            self.send_all(&calls);
        }
    }

    /// Answers what a peer asked for with a refusal.
    fn turn_away(&self, messages: &[Message], why: &str) {
        for message in messages {
            let expected = !message.primary_header().flags().contains(Flags::NoReplyExpected);
            if message.message_type() == Type::MethodCall
                && expected
                && let Ok(error) =
                    Message::error(&message.header(), "org.freedesktop.DBus.Error.AccessDenied")
                && let Ok(error) = error.build(&why)
            {
                self.send(&error);
            }
        }
    }

    fn send_all(&self, messages: &[Message]) {
        messages.iter().for_each(|message| self.send(message));
    }

    fn send(&self, message: &Message) {
        if let Err(stuck) = self.outbox.send(message.data()) {
            (self.core.log)(&format!("{}: {stuck}", self.address));
            self.outbox.close();
        }
    }
}

/// Serves a message of a known peer. One that makes no sense ends it, as it ends a connection.
fn pass_on(served: &Served, message: Message) {
    if let Err(lost) = served.connection.take(message) {
        served.connection.close(loss_of(&lost));
    }
}

/// Who somebody is, as the bus says; `None` if it does not.
fn credentials(reply: &Message) -> Option<crate::peer::Peer> {
    let body = reply.body();
    let mut said = body.deserialize::<HashMap<String, OwnedValue>>().ok()?;
    let number = |key| said.get(key).and_then(|value| u32::try_from(value).ok());
    let (uid, pid) = (number("UnixUserID")?, number("ProcessID"));
    let groups = said.remove("UnixGroupIDs").and_then(|value| Vec::try_from(value).ok());
    Some(crate::peer::Peer { uid, pid, groups: groups.unwrap_or_default() })
}

/// A call of the bus.
pub(crate) fn to_bus<B: serde::Serialize + DynamicType>(
    method: &str,
    body: &B,
) -> zbus::Result<Message> {
    Message::method_call(BUS_PATH, method)?.destination(BUS)?.interface(BUS)?.build(body)
}

/// What an error says.
pub(crate) fn said(error: &Message) -> String {
    let text = error.body().deserialize::<String>();
    text.unwrap_or_else(|_| {
        error.header().error_name().map_or_else(String::new, ToString::to_string)
    })
}
