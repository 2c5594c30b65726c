//! Serving a session: the handshake, the messages of its peer, and what its end means for its parties.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use hotadd::Status;
use hotadd_wire::{Kind, Message};
use tokio::runtime::Handle;
use tokio::time::timeout;

use crate::access::authority::Authority;
use crate::access::peer::Peer;
use crate::access::rights::Trespass;
use crate::object::core::Core;
use crate::object::dispatch;
use crate::object::session::Session;
use crate::parties::connection::Connection;
use crate::parties::loss::Loss;
use crate::parties::named::NamedConnection;
use crate::parties::shares::Full;
use crate::transport::handshake;
use crate::transport::outbox::Outbox;
use crate::transport::reader::{Lost, Reader, Received};
use crate::transport::route::Route;
use crate::transport::socket::Socket;

/// How long the handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(5);

/// Why a peer's connection ended, as far as somebody knows better than the connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Why {
    /// What its parties' vetoes carry, if there is a better status than that the connection is gone.
    pub status: Option<Status>,
    /// Such as "its process was killed by SIGKILL".
    pub reason: String,
}

impl From<String> for Why {
    fn from(reason: String) -> Self {
        Self { status: None, reason }
    }
}

/// Says why a peer's connection ended; `None` if it does not know better.
///
/// Called once, on a thread of its own; not if the connection was closed from here, for a reason that is known. Until it
/// returns the parties of the connection are waited for, within their time limits; it should not take more than a second.
pub type Ending = Box<dyn FnOnce() -> Option<Why> + Send>;

/// What is known of the process behind a connection.
pub(crate) struct Attached {
    pub(crate) ending: Option<Ending>,
    pub(crate) named: Option<Arc<NamedConnection>>,
    pub(crate) authority: Authority,
}

impl Attached {
    /// Somebody who came by itself, and was let in.
    pub(crate) const fn by_itself() -> Self {
        Self { ending: None, named: None, authority: Authority::Full }
    }
}

/// Begins to serve a connection, to be authenticated as `uid` if there is one, unless there are too many.
pub(crate) fn admit(
    core: &Arc<Core>,
    socket: Socket,
    peer: &Peer,
    uid: Option<u32>,
    process: Attached,
    handle: &Handle,
) -> Result<(), Full> {
    let socket = Arc::new(socket);
    let route = Route::Own(Outbox::new(Arc::clone(&socket)));
    let connection = Connection::new(core.next_id(), route, peer.name(), process.named);
    let connection = Arc::new(connection);
    core.join(&connection, uid)?;
    let session = Session::new(Arc::clone(core), connection, process.authority);
    let served = Served { session: Arc::new(session), ending: process.ending };
    handle.spawn(served.serve(socket, uid));
    Ok(())
}

/// What tidies up behind a session, however it ends.
pub(crate) struct Served {
    pub(crate) session: Arc<Session>,
    pub(crate) ending: Option<Ending>,
}

impl Served {
    /// Serves a connection of its own until it ends. `uid` is who the kernel says the peer is, where that is asked for.
    async fn serve(self, socket: Arc<Socket>, uid: Option<u32>) {
        let (session, connection) = (&self.session, &self.session.connection);
        let mut reader = Reader::new(Arc::clone(&socket));
        let shaking = handshake::perform(&mut reader, &socket, uid, &session.core.guid);
        let loss = match timeout(HANDSHAKE, shaking).await {
            Ok(Ok(())) => {
                connection.open();
                read(session, &mut reader).await
            }
            Ok(Err(lost)) => lost.into(),
            Err(_) => Lost::Garbled("no handshake in 5 s").into(),
        };
        connection.close(loss);
    }
}

/// Reads and dispatches until no more can be read.
async fn read(session: &Arc<Session>, reader: &mut Reader) -> Loss {
    let connection = &session.connection;
    // Over a bus it is the bus that is read.
    let Route::Own(outbox) = &connection.route else { return Lost::Closed.into() };
    loop {
        let room = outbox.has_room();
        let next = {
            let mut message = pin!(reader.received());
            let mut drained = pin!(outbox.drain());
            poll_fn(|context| {
                // A peer that is sent more than it reads is not asked for more.
                if room && let Poll::Ready(message) = message.as_mut().poll(context) {
                    return Poll::Ready(message.map(Some).map_err(Loss::from));
                }
                match drained.as_mut().poll(context) {
                    Poll::Ready(drained) => Poll::Ready(drained.map(|()| None).map_err(Loss::from)),
                    Poll::Pending => Poll::Pending,
                }
            })
            .await
        };
        let taken = match next {
            Ok(Some(Received::Agreed(serial))) => {
                connection.pending.agreed(serial);
                Ok(())
            }
            Ok(Some(Received::Message(message))) => take(session, message),
            Ok(None) => Ok(()),
            Err(loss) => Err(loss),
        };
        if let Err(loss) = taken {
            return loss;
        }
        // However much one peer sends, the others have their turn.
        tokio::task::coop::consume_budget().await;
    }
}

/// Serves a message of the peer.
pub(crate) fn take(session: &Arc<Session>, message: Message) -> Result<(), Loss> {
    match message.kind() {
        Kind::Reply | Kind::Error => {
            let serial = message.reply_to().ok_or(Lost::Garbled("an answer to nothing"))?;
            session.connection.pending.answered(serial, message);
            Ok(())
        }
        Kind::Call => dispatch::call(session, &message),
        Kind::Signal => Ok(()),
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let session = Arc::clone(&self.session);
        let (core, connection) = (&session.core, &session.connection);
        core.part(connection.id);
        // There is no reason only if the task panicked.
        let mut loss = connection.ended(|| Loss {
            status: Status::DRIVER_INTERNAL_ERROR,
            reason: "its connection was closed, because reading from it failed inside".to_owned(),
        });
        let own_wish = match loss.status {
            Status::PIPE_BROKEN | Status::CANCELLED => true,
            // It went with something unread, such as the news that a processor has joined. An unregistered peer may do so
            // without a log entry.
            Status::CONNECTION_RESET => connection.parties.names().is_empty(),
            _ => false,
        };
        if !own_wish {
            (core.log)(&connection.report(&loss));
        }
        // What was closed from here has its reason here: a process that ends because of it does not know better.
        let from_here = matches!(
            loss.status,
            Status::INVALID_NETWORK_RESPONSE | Status::IO_TIMEOUT | Trespass::STATUS
        );
        if let (true, Authority::Driver(rights)) = (from_here, &session.authority) {
            (rights.closed)(&loss);
        }
        let ending = self.ending.take().filter(|_| !from_here && !core.is_stopping());
        let Some(ending) = ending else { return end(&session, &loss) };
        let (ended, plain) = (Arc::clone(&session), loss.clone());
        // It may take a second, and this is the thread of all connections.
        let thread = std::thread::Builder::new().name("hotadd-ending".to_owned());
        let spawned = thread.spawn(move || {
            if let Some(why) = ending() {
                loss.reason = why.reason;
                loss.status = why.status.unwrap_or(loss.status);
            }
            end(&ended, &loss);
        });
        if spawned.is_err() {
            end(&session, &plain);
        }
    }
}

/// Nobody waits any more for what was asked over this connection, and its parties are deregistered.
fn end(session: &Session, loss: &Loss) {
    let connection = &session.connection;
    // Before: no processor joins between the one and the other (L4).
    if let Some(named) = &connection.named {
        named.lost(loss.status, &loss.reason);
    }
    connection.pending.fail_all(loss);
    for party in connection.parties.close() {
        session.core.deregister(party.registration);
    }
}
