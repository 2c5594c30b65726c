//! [`Entrance`]: accepts connections at a socket, checks their access, and makes the socket again if it is deleted.

use std::future::poll_fn;
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::Duration;

use tokio::net::UnixListener;
use tokio::runtime::Handle;
use tokio::time::MissedTickBehavior;

use crate::access::peer::Peer;
use crate::lock::lock;
use crate::object::core::Core;
use crate::object::serve::{Attached, admit};
use crate::transport::place::Place;
use crate::transport::socket::Socket;

/// How long to wait when no more connections can be accepted, for lack of descriptors.
const BREATH: Duration = Duration::from_millis(100);

/// How often to check that the socket still exists.
const LOOK: Duration = Duration::from_secs(1);

/// A place, until it is given up.
pub(crate) type Held = Arc<Mutex<Option<Place>>>;

pub(crate) struct Entrance {
    core: Arc<Core>,
    place: Held,
    listener: UnixListener,
    /// The last logged reason why the socket cannot be made again. The same reason is not logged twice in a row.
    said: Option<String>,
}

impl Entrance {
    pub(crate) fn new(core: Arc<Core>, (place, listener): (Place, UnixListener)) -> Self {
        Self { core, place: Arc::new(Mutex::new(Some(place))), listener, said: None }
    }

    pub(crate) fn place(&self) -> Held {
        Arc::clone(&self.place)
    }

    /// Accepts connections until the place is given up or the runtime ends.
    pub(crate) async fn serve(mut self) {
        let mut looks = tokio::time::interval(LOOK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            // The checks come first: they are due once a second, and connections may arrive without end.
            let accepted = poll_fn(|context| match looks.poll_tick(context) {
                Poll::Ready(_) => Poll::Ready(None),
                Poll::Pending => self.listener.poll_accept(context).map(Some),
            });
            let Some(accepted) = accepted.await else {
                if self.look() {
                    continue;
                }
                return;
            };
            match accepted.and_then(|(stream, _)| Socket::new(stream.into_std()?)) {
                Ok(socket) => self.let_in(socket),
                Err(error) => {
                    (self.core.log)(&format!("no connection can be accepted: {error}"));
                    tokio::time::sleep(BREATH).await;
                }
            }
        }
    }

    fn let_in(&self, socket: Socket) {
        let core = &self.core;
        // The peer's identity is checked before a byte is read from it.
        let Ok(peer) = Peer::of(&socket) else { return };
        if !core.access.admits(&peer) {
            core.refused(&peer, format!("only {} may connect", core.access));
            return;
        }
        let (uid, process) = (Some(peer.uid), Attached::by_itself());
        if let Err(full) = admit(core, socket, &peer, uid, process, &Handle::current()) {
            core.refused(&peer, full);
        }
    }

    /// Makes the socket again if it was deleted, for example by a cleaner of temporary folders. Without it, no new client can
    /// connect. Returns `false` when the service has given up the place.
    fn look(&mut self) -> bool {
        let mut held = lock(&self.place);
        let Some(place) = held.as_mut() else { return false };
        let again = place.again(&self.core.access).map_err(|error| error.to_string());
        let path = place.path().display().to_string();
        drop(held);
        match again {
            Ok(None) => {}
            Ok(Some(listener)) => {
                self.listener = listener;
                self.said = None;
                (self.core.log)(&format!(
                    "the socket {path} was deleted and has been created again"
                ));
            }
            Err(why) if self.said.as_ref() == Some(&why) => {}
            Err(why) => {
                let tried = "retrying each second";
                (self.core.log)(&format!(
                    "the socket {path} was deleted and cannot be created again: {why}; {tried}"
                ));
                self.said = Some(why);
            }
        }
        true
    }
}
