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
use tokio::net::UnixStream;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use zbus::Message;
use zbus::message::{Flags, Type};
use zbus::names::UniqueName;
use zbus::zvariant::{DynamicType, OwnedValue};

use crate::address::BusAddress;
use crate::connection::{Connection, Served, loss_of};
use crate::core::{Core, MOST_CONNECTIONS};
use crate::handshake;
use crate::outbox::Outbox;
use crate::pending::Loss;
use crate::reader::{Lost, Reader};
use crate::route::{OverBus, Route};

/// The bus itself, as a peer on it.
const BUS: &str = "org.freedesktop.DBus";
const BUS_PATH: &str = "/org/freedesktop/DBus";

/// How many messages of a peer wait until it is known who it is.
const MOST_WAITING: usize = 64;

/// Flag of RequestName: fail rather than queue.
const DO_NOT_QUEUE: u32 = 4;

/// What RequestName replies if the name is ours.
const PRIMARY_OWNER: u32 = 1;

/// Tells us of every name that goes.
const GOING: &str = "type='signal',sender='org.freedesktop.DBus',interface='org.freedesktop.DBus',\
    member='NameOwnerChanged',arg2=''";

/// The well-known name of a partition on a bus.
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
}

/// Somebody on the bus who has sent us something.
enum Peer {
    /// The bus was asked who it is.
    Unknown(Vec<Message>),
    Known(u64, Served),
}

/// What there is to do next.
enum Next {
    Message(Message),
    Leave(UniqueName<'static>, u64),
    Sent,
}

impl Bus {
    /// Joins the bus and takes the partition's name there.
    pub(crate) async fn join(core: Arc<Core>, address: BusAddress) -> Result<Self, String> {
        let stream = address.connect().and_then(UnixStream::from_std);
        let stream = Arc::new(stream.map_err(|error| error.to_string())?);
        let mut reader = Reader::of_bus(Arc::clone(&stream));
        let said = |error: Lost| error.to_string();
        handshake::introduce(&mut reader, &stream, geteuid().as_raw()).await.map_err(said)?;
        let outbox = Arc::new(Outbox::new(stream));
        let (leave, left) = unbounded_channel();
        let (peers, asked) = (HashMap::new(), HashMap::new());
        let mut bus = Self { core, address, reader, outbox, peers, asked, leave, left };
        bus.ask("Hello", &()).await?;
        bus.ask("AddMatch", &GOING).await?;
        let name = bus_name(&bus.core.name);
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
        self.outbox.send(&call).map_err(|error| error.to_string())?;
        let serial = call.primary_header().serial_num();
        loop {
            let message = self.reader.message().await.map_err(|error| error.to_string())?;
            if message.header().reply_serial() != Some(serial) {
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
        let lost = loop {
            match self.next().await {
                Ok(Next::Message(message)) => self.take(message),
                Ok(Next::Leave(name, number)) => {
                    // The name may be a new peer's by now.
                    if let Some(Peer::Known(of, _)) = self.peers.get(&name)
                        && *of == number
                    {
                        self.peers.remove(&name);
                    }
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
        let mut message = pin!(self.reader.message());
        let mut drained = pin!(self.outbox.drain());
        poll_fn(|context| {
            if let Poll::Ready(Some((name, number))) = self.left.poll_recv(context) {
                return Poll::Ready(Ok(Next::Leave(name, number)));
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
            return self.turn_away(&[first], &name, "there are too many");
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
                && let Ok((name, _, "")) =
                    message.body().deserialize::<(UniqueName<'_>, &str, &str)>()
            {
                self.gone(&name.to_owned());
            }
            return;
        };
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
        if let Some(Peer::Known(_, served)) = self.peers.remove(name) {
            let reason = "its connection to the bus was closed".to_owned();
            served.connection.close(Loss { status: Status::PIPE_BROKEN, reason });
        }
    }

    /// The bus has said who a peer is.
    fn identified(&mut self, name: UniqueName<'static>, reply: &Message) {
        let Some(Peer::Unknown(waiting)) = self.peers.remove(&name) else { return };
        type Credentials = HashMap<String, OwnedValue>;
        let credentials = reply.body().deserialize::<Credentials>().unwrap_or_default();
        let number = |key| credentials.get(key).and_then(|value| u32::try_from(value).ok());
        // One that nothing is known of is not let in; one that has gone meanwhile need not be told.
        let uid = number("UnixUserID");
        if uid.is_none_or(|uid| uid != geteuid().as_raw() && uid != 0) {
            let why =
                uid.map_or_else(|| "of unknown user".to_owned(), |uid| format!("of user {uid}"));
            return self.turn_away(&waiting, &name, &format!("it is {why}"));
        }
        let peer = match number("ProcessID") {
            Some(pid) => format!("process {pid}"),
            None => name.to_string(),
        };
        let id = self.core.next_id();
        let over = OverBus {
            outbox: Arc::clone(&self.outbox),
            name: name.clone(),
            number: id,
            leave: self.leave.clone(),
        };
        let connection = Arc::new(Connection::new(Arc::clone(&self.core), Route::Bus(over), peer));
        if !self.core.join(&connection) {
            return self.turn_away(&waiting, &name, "there are too many");
        }
        connection.open();
        let served = Served { connection, ending: None };
        for message in waiting {
            pass_on(&served, message);
        }
        self.peers.insert(name, Peer::Known(id, served));
    }

    /// Answers what a peer asked for with a refusal, and forgets it.
    fn turn_away(&self, messages: &[Message], name: &UniqueName<'_>, why: &str) {
        (self.core.log)(&format!("{name}: refused, because {why}"));
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

    fn send(&self, message: &Message) {
        if let Err(stuck) = self.outbox.send(message) {
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

/// A call of the bus.
fn to_bus<B: serde::Serialize + DynamicType>(method: &str, body: &B) -> zbus::Result<Message> {
    Message::method_call(BUS_PATH, method)?.destination(BUS)?.interface(BUS)?.build(body)
}

/// What an error of the bus says.
fn said(error: &Message) -> String {
    let text = error.body().deserialize::<String>();
    text.unwrap_or_else(|_| {
        error.header().error_name().map_or_else(String::new, ToString::to_string)
    })
}
