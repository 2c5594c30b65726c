//! Serves a session: the handshake, the messages of its peer, and the deregistration of its parties at the end.

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

/// The time limit of the handshake.
const HANDSHAKE: Duration = Duration::from_secs(5);

/// Why a peer's connection ended, if the program knows more than the connection shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Why {
    /// The status for its parties' vetoes, if there is a better one than that the connection is gone.
    pub status: Option<Status>,
    /// The reason, such as "its process was killed by SIGKILL".
    pub reason: String,
}

impl From<String> for Why {
    fn from(reason: String) -> Self {
        Self { status: None, reason }
    }
}

/// Returns why a peer's connection ended; `None` if it knows nothing more.
///
/// It is called once, on a thread of its own. It is not called if this side closed the connection, because the reason is
/// then known. Until it returns, transactions wait for the connection's parties, within their time limits; it should not
/// take more than a second.
pub type Ending = Box<dyn FnOnce() -> Option<Why> + Send>;

/// What is known about the process of a connection.
pub(crate) struct Attached {
    pub(crate) ending: Option<Ending>,
    pub(crate) named: Option<Arc<NamedConnection>>,
    pub(crate) authority: Authority,
}

impl Attached {
    /// A peer that connected by itself and was accepted.
    pub(crate) const fn by_itself() -> Self {
        Self { ending: None, named: None, authority: Authority::Full }
    }
}

/// Starts to serve a connection, unless there are too many. If `uid` is given, the peer must authenticate as
/// that user.
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

/// Ends a session when it is dropped, in whatever way serving ended.
pub(crate) struct Served {
    pub(crate) session: Arc<Session>,
    pub(crate) ending: Option<Ending>,
}

impl Served {
    /// Serves a direct connection until it ends. `uid` is the peer's user according to the kernel, if the handshake
    /// checks it.
    async fn serve(self, socket: Arc<Socket>, uid: Option<u32>) {
        let (session, connection) = (&self.session, &self.session.connection);
        let mut reader = Reader::new(Arc::clone(&socket));
        let shaking = handshake::perform(&mut reader, &socket, uid, &session.core.guid);
        let loss = match timeout(HANDSHAKE, shaking).await {
            Ok(Ok(descriptors)) => {
                connection.agreed(descriptors);
                read(session, &mut reader).await
            }
            Ok(Err(lost)) => lost.into(),
            Err(_) => Lost::Garbled("no handshake in 5 s").into(),
        };
        connection.close(loss);
    }
}

/// Reads and dispatches messages until the connection ends.
async fn read(session: &Arc<Session>, reader: &mut Reader) -> Loss {
    let connection = &session.connection;
    // A connection over a bus has nothing to read here: the bus is read.
    let Route::Own(outbox) = &connection.route else { return Lost::Closed.into() };
    loop {
        let room = outbox.has_room();
        let next = {
            let mut message = pin!(reader.received());
            let mut drained = pin!(outbox.drain());
            poll_fn(|context| {
                // If the peer is sent more than it reads, no further message of it is read.
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
        // However much one peer sends, the other connections get their turn.
        tokio::task::coop::consume_budget().await;
    }
}

/// Handles a message of the peer.
pub(crate) fn take(session: &Arc<Session>, message: Message) -> Result<(), Loss> {
    match message.kind() {
        Kind::Reply | Kind::Error => {
            let serial = message.reply_to().ok_or(Lost::Garbled("a reply to no call"))?;
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
        // There is no recorded reason only if the task panicked.
        let mut loss = connection.ended(|| Loss {
            status: Status::DRIVER_INTERNAL_ERROR,
            reason: "its connection was closed because of an internal error".to_owned(),
        });
        let own_wish = match loss.status {
            Status::PIPE_BROKEN | Status::CANCELLED => true,
            // The peer closed the connection with data unread, such as the signal that a processor has joined. An
            // unregistered peer may do so without a log entry.
            Status::CONNECTION_RESET => connection.parties.names().is_empty(),
            _ => false,
        };
        if !own_wish {
            (core.log)(&connection.report(&loss));
        }
        // If this side closed the connection, the reason is known here. A process that ends because of it knows
        // no better one.
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
        // `ending` may take a second, and this thread serves all connections.
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

/// Fails all pending calls of this connection, and deregisters its parties.
fn end(session: &Session, loss: &Loss) {
    let connection = &session.connection;
    // This comes first, so that no processor joins in between (L4).
    if let Some(named) = &connection.named {
        named.lost(loss.status, &loss.reason);
    }
    connection.pending.fail_all(loss);
    for party in connection.parties.close() {
        session.core.deregister(party.registration);
    }
}
