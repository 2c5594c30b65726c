//! [`Connection`]: one peer, its parties, and the task that reads what it sends.

use std::future::poll_fn;
use std::io;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::Duration;

use hotadd::{Event, Registration, Status};
use tokio::time::timeout;
use zbus::Message;
use zbus::message::Type;

use crate::authority::Authority;
use crate::bus::MOST_PARTIES;
use crate::core::Core;
use crate::host::rights::Trespass;
use crate::named::NamedConnection;
use crate::outbox::Stuck;
use crate::parties::{Parties, Party};
use crate::pending::{Loss, Pending};
use crate::reader::{Lost, Reader, Received};
use crate::remote::Agent;
use crate::route::Route;
use crate::service::Ending;
use crate::socket::Socket;
use crate::{dispatch, handshake, lock};

/// How long the handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(5);

/// How many of its requests may be under way that wait for somebody.
const MOST_REQUESTS: usize = 16;

/// One peer.
pub(crate) struct Connection {
    pub(crate) id: u64,
    pub(crate) core: Arc<Core>,
    pub(crate) pending: Pending,
    pub(crate) route: Route,
    pub(crate) authority: Authority,
    /// The peer as the log calls it.
    peer: String,
    pub(crate) parties: Parties,
    /// The required party that everybody on it stands for (L4), if it is that of its process.
    pub(crate) named: Option<Arc<NamedConnection>>,
    requests: AtomicUsize,
    /// The handshake is over, and messages may be sent.
    open: AtomicBool,
    /// Why it was closed from here.
    closed: Mutex<Option<Loss>>,
}

/// What tidies up behind a connection, however it ends.
pub(crate) struct Served {
    pub(crate) connection: Arc<Connection>,
    pub(crate) ending: Option<Ending>,
}

/// A request that has a thread, until it is dropped.
pub(crate) struct UnderWay {
    pub(crate) connection: Arc<Connection>,
    /// It counts among those of all connections.
    shared: bool,
}

impl Connection {
    pub(crate) fn new(core: Arc<Core>, route: Route, authority: Authority, peer: String) -> Self {
        Self {
            id: core.next_id(),
            core,
            pending: Pending::default(),
            route,
            authority,
            peer,
            parties: Parties::default(),
            named: None,
            requests: AtomicUsize::new(0),
            open: AtomicBool::new(false),
            closed: Mutex::new(None),
        }
    }

    /// Serves a connection of its own until it ends. `uid` is who the kernel says the peer is, where that is asked for.
    pub(crate) async fn serve(
        self: Arc<Self>,
        socket: Arc<Socket>,
        uid: Option<u32>,
        ending: Option<Ending>,
    ) {
        let served = Served { connection: self, ending };
        let connection = &served.connection;
        let mut reader = Reader::new(Arc::clone(&socket));
        let shaking = handshake::perform(&mut reader, &socket, uid, &connection.core.guid);
        let lost = match timeout(HANDSHAKE, shaking).await {
            Ok(Ok(())) => {
                connection.open();
                connection.read(&mut reader).await
            }
            Ok(Err(lost)) => lost,
            Err(_) => Lost::Garbled("no handshake in 5 s"),
        };
        connection.close(loss_of(&lost));
    }

    /// Who the peer is, is known: it is told what happens.
    pub(crate) fn open(&self) {
        // Release: who sees it sees a handshake whose last line is sent.
        self.open.store(true, Ordering::Release);
    }

    /// Reads and dispatches until no more can be read.
    async fn read(self: &Arc<Self>, reader: &mut Reader) -> Lost {
        // Over a bus it is the bus that is read.
        let Route::Own(outbox) = &self.route else { return Lost::Closed };
        loop {
            let room = outbox.has_room();
            let next = {
                let mut message = pin!(reader.received());
                let mut drained = pin!(outbox.drain());
                poll_fn(|context| {
                    // A peer that is sent more than it reads is not asked for more.
                    if room && let Poll::Ready(message) = message.as_mut().poll(context) {
                        return Poll::Ready(message.map(Some));
                    }
                    match drained.as_mut().poll(context) {
                        Poll::Ready(Ok(())) => Poll::Ready(Ok(None)),
                        Poll::Ready(Err(stuck)) => {
                            self.stuck(stuck);
                            Poll::Ready(Err(Lost::Closed))
                        }
                        Poll::Pending => Poll::Pending,
                    }
                })
                .await
            };
            let taken = match next {
                Ok(Some(Received::Agreed(serial))) => {
                    self.pending.agreed(serial);
                    Ok(())
                }
                Ok(Some(Received::Message(message))) => self.take(message),
                Ok(None) => Ok(()),
                Err(lost) => Err(lost),
            };
            if let Err(lost) = taken {
                return lost;
            }
            // However much one peer sends, the others have their turn.
            tokio::task::coop::consume_budget().await;
        }
    }

    /// Serves a message of the peer.
    pub(crate) fn take(self: &Arc<Self>, message: Message) -> Result<(), Lost> {
        match message.message_type() {
            Type::MethodReturn | Type::Error => {
                let serial = message.header().reply_serial();
                let serial = serial.ok_or(Lost::Garbled("an answer to nothing"))?;
                self.pending.answered(serial, message);
                Ok(())
            }
            Type::MethodCall => dispatch::call(self, &message),
            Type::Signal => Ok(()),
        }
    }

    /// Sends a message. From any thread; never waits.
    pub(crate) fn send(&self, message: &Message) {
        self.send_bytes(message.data());
    }

    /// Sends the bytes of a message. From any thread; never waits.
    pub(crate) fn send_bytes(&self, message: &[u8]) {
        if let Err(stuck) = self.route.send(message) {
            self.stuck(stuck);
        }
    }

    /// Tells the peer of an event, unless the handshake is not over yet. `plain` is the signal without a destination.
    pub(crate) fn tell(&self, event: &Event, plain: &Message) {
        if self.open.load(Ordering::Acquire)
            && let Some(signal) = self.route.signal(event, plain)
        {
            self.send(&signal);
        }
    }

    fn stuck(&self, stuck: Stuck) {
        self.close(Loss { status: Status::IO_TIMEOUT, reason: stuck.to_string() });
    }

    /// Closes it from here. The first reason counts.
    pub(crate) fn close(&self, loss: Loss) {
        lock(&self.closed).get_or_insert(loss);
        self.route.close();
    }

    /// Closes it because the service ends: its parties are not called any more, and veto nothing.
    pub(crate) fn stop(&self) {
        self.parties.leave();
        let reason = "its partition is served no longer".to_owned();
        self.close(Loss { status: Status::CANCELLED, reason });
    }

    /// Takes in the party for which a place was reserved.
    pub(crate) fn enroll(&self, registration: Registration, agent: Arc<Agent>) {
        let id = registration.party().id.0;
        if let Some(party) = self.parties.insert(id, Party { registration, agent }) {
            lock(&self.core.ledger).strike(id);
            self.part_with(id, party);
        }
    }

    /// The partition has deregistered this party.
    pub(crate) fn deregistered(&self, id: u64) {
        if let Some(party) = self.parties.remove(id) {
            self.part_with(id, party);
        }
    }

    fn part_with(&self, id: u64, party: Party) {
        if let Some(farewell) = party.agent.farewell(&self.route, id) {
            self.send(&farewell);
        }
        self.core.bury(party.registration);
    }

    /// Deregisters a party of this connection. Nothing is sent to it behind what was sent when this returns (D1). False
    /// if there is no such party (D2).
    pub(crate) fn deregister(&self, party: u64) -> bool {
        let Some(Party { registration, agent }) = self.parties.remove(party) else { return false };
        // First: until it is deregistered it is asked, and from then on it is missing.
        if let Some(named) = &self.named {
            named.leaves();
        }
        agent.leave();
        lock(&self.core.ledger).strike(party);
        self.core.bury(registration);
        true
    }

    /// Whether its bus could not forward the calls of one more party. Only the thread of the connections asks, and lets it
    /// register.
    pub(crate) fn is_on_full_bus(&self) -> bool {
        let limited = self.core.access.is_machine() && matches!(self.route, Route::Bus(_));
        limited && self.core.parties_on_buses() >= MOST_PARTIES
    }

    /// One more of its requests has a thread. `None` if there are too many, here or all in all. The only one of a
    /// connection always has: whatever others ask for, nobody is kept from registering.
    ///
    /// Relaxed, here and below: the number limits how many there are, and orders nothing.
    pub(crate) fn begin_request(self: &Arc<Self>) -> Option<UnderWay> {
        let more = |requests| (requests < MOST_REQUESTS).then_some(requests + 1);
        let before = self.requests.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).ok()?;
        let shared = before > 0;
        if shared && !self.core.begin_request() {
            self.requests.fetch_sub(1, Ordering::Relaxed);
            return None;
        }
        Some(UnderWay { connection: Arc::clone(self), shared })
    }

    /// Nobody waits any more for what was asked over this connection, and its parties are deregistered.
    fn end(&self, loss: &Loss) {
        // Before: no processor joins between the one and the other (L4).
        if let Some(named) = &self.named {
            named.lost(loss.status, &loss.reason);
        }
        self.pending.fail_all(loss);
        for party in self.parties.close() {
            self.core.bury(party.registration);
        }
    }

    /// Says why a connection ended, if that is not the peer's own wish.
    fn report(&self, loss: &Loss) {
        let names = self.parties.names();
        let names = if names.is_empty() { names } else { format!(" ({names})") };
        (self.core.log)(&format!("{}{names}: {}", self.peer, loss.reason));
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        if self.shared {
            self.connection.core.end_request();
        }
        self.connection.requests.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let connection = Arc::clone(&self.connection);
        connection.core.part(connection.id);
        let lost = || Loss {
            status: Status::DRIVER_INTERNAL_ERROR,
            reason: "its connection was closed, because reading from it failed inside".to_owned(),
        };
        // There is no reason only if the task panicked.
        let mut loss = lock(&connection.closed).get_or_insert_with(lost).clone();
        connection.route.close();
        let own_wish = match loss.status {
            Status::PIPE_BROKEN | Status::CANCELLED => true,
            // It went with something unread, such as the news that a processor has joined. Nobody misses it who was no party.
            Status::CONNECTION_RESET => connection.parties.names().is_empty(),
            _ => false,
        };
        if !own_wish {
            connection.report(&loss);
        }
        // What was closed from here has its reason here: a process that ends because of it does not know better.
        let from_here = matches!(
            loss.status,
            Status::INVALID_NETWORK_RESPONSE | Status::IO_TIMEOUT | Trespass::STATUS
        );
        if let (true, Authority::Driver(rights)) = (from_here, &connection.authority) {
            (rights.closed)(&loss);
        }
        let ending = self.ending.take();
        let ending = ending.filter(|_| !from_here && !connection.core.is_stopping());
        let Some(ending) = ending else { return connection.end(&loss) };
        let ended = Arc::clone(&connection);
        let plain = loss.clone();
        // It may take a second, and this is the thread of all connections.
        let thread = std::thread::Builder::new().name("hotadd-ending".to_owned());
        let spawned = thread.spawn(move || {
            if let Some(why) = ending() {
                loss.reason = why.reason;
                loss.status = why.status.unwrap_or(loss.status);
            }
            ended.end(&loss);
        });
        if spawned.is_err() {
            connection.end(&plain);
        }
    }
}

pub(crate) fn loss_of(lost: &Lost) -> Loss {
    let status = match lost {
        Lost::Closed => Status::PIPE_BROKEN,
        Lost::Failed(error) if error.kind() == io::ErrorKind::ConnectionReset => {
            Status::CONNECTION_RESET
        }
        Lost::Failed(_) => Status::IO_DEVICE_ERROR,
        Lost::Halfway => Status::IO_TIMEOUT,
        Lost::Garbled(_) | Lost::Unsound(_) => Status::INVALID_NETWORK_RESPONSE,
        Lost::Trespass(_) => Trespass::STATUS,
    };
    let reason = match status {
        // What the kernel says of it adds nothing.
        Status::CONNECTION_RESET => "its connection was closed".to_owned(),
        _ => lost.to_string(),
    };
    Loss { status, reason }
}
