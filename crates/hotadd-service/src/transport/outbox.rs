//! [`Outbox`]: what is sent over a connection. Nobody who sends ever waits: what the socket does not take is queued, and a
//! peer that does not read is disconnected.

use std::collections::VecDeque;
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

use crate::lock::lock;
use crate::transport::socket::Socket;

/// How many bytes may wait for a peer: all its parties may be sent a set at once, some 3 MiB.
const MOST_BYTES: usize = 4 * 1024 * 1024;

/// How many messages may wait for a peer.
const MOST_MESSAGES: usize = 4096;

/// With more than this waiting for it, no more calls of the peer are read.
const ENOUGH_BYTES: usize = 256 * 1024;

/// How long a peer may read nothing of what waits for it.
const PATIENCE: Duration = Duration::from_secs(5);

/// A peer does not read.
#[derive(Clone, Copy, Debug, thiserror::Error)]
pub(crate) enum Stuck {
    #[error("it was disconnected, because it read nothing of what was sent to it for {} s", PATIENCE.as_secs())]
    Silent,
    #[error("it was disconnected, because it does not read what is sent to it")]
    Full,
    /// There is no descriptor left, say.
    #[error("it was disconnected, because it cannot be seen when it reads")]
    Unseen,
}

/// The writing side of a connection.
pub(crate) struct Outbox {
    socket: Arc<Socket>,
    state: Mutex<State>,
    /// How many bytes wait. Written under the lock; read without it, because whoever sends holds the lock across a system
    /// call that wakes the peer, and the reading side is not to wait for that between any two messages.
    ///
    /// Relaxed: who sees too little is told by `queued`, which is notified behind the write.
    bytes: AtomicUsize,
    /// Something was queued.
    queued: Notify,
}

#[derive(Default)]
struct State {
    queue: VecDeque<Vec<u8>>,
    /// What the socket has taken of the first one.
    sent: usize,
    /// When the peer must have read something.
    deadline: Option<Instant>,
    closed: bool,
}

impl Outbox {
    pub(crate) fn new(socket: Arc<Socket>) -> Self {
        Self { socket, state: Mutex::default(), bytes: AtomicUsize::new(0), queued: Notify::new() }
    }

    /// Sends a message behind those that were sent before. From any thread; never waits. On a closed connection it does
    /// nothing: whoever expects an answer hears from elsewhere that none will come.
    ///
    /// # Errors
    /// If too much waits already. The connection is then to be closed.
    pub(crate) fn send(&self, bytes: &[u8]) -> Result<(), Stuck> {
        let mut state = lock(&self.state);
        if state.closed {
            return Ok(());
        }
        if state.queue.is_empty() {
            state.sent = match self.socket.send_now(bytes) {
                Ok(sent) if sent == bytes.len() => return Ok(()),
                Ok(sent) => sent,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
                Err(_) => {
                    self.fail(&mut state);
                    return Ok(());
                }
            };
            self.bytes.store(bytes.len() - state.sent, Ordering::Relaxed);
            state.deadline = Some(Instant::now() + PATIENCE);
        } else if state.queue.len() >= MOST_MESSAGES || self.waiting() + bytes.len() > MOST_BYTES {
            return Err(Stuck::Full);
        } else {
            self.bytes.fetch_add(bytes.len(), Ordering::Relaxed);
        }
        state.queue.push_back(bytes.to_vec());
        drop(state);
        self.queued.notify_one();
        Ok(())
    }

    /// Whether little enough waits to take more calls of the peer.
    pub(crate) fn has_room(&self) -> bool {
        self.waiting() <= ENOUGH_BYTES
    }

    fn waiting(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Waits until something waits, and returns when the socket has taken some of it. May be dropped at any point.
    ///
    /// # Errors
    /// If the peer does not read.
    pub(crate) async fn drain(&self) -> Result<(), Stuck> {
        let deadline = loop {
            if self.waiting() > 0
                && let Some(deadline) = lock(&self.state).deadline
            {
                break deadline;
            }
            self.queued.notified().await;
        };
        loop {
            let writable = timeout_at(deadline, self.socket.writable()).await;
            writable.map_err(|_| Stuck::Silent)?.map_err(|_| Stuck::Unseen)?;
            if self.flush() {
                return Ok(());
            }
        }
    }

    /// Writes what the socket takes. False if it took nothing.
    fn flush(&self) -> bool {
        let mut state = lock(&self.state);
        let mut progress = false;
        while let Some(message) = state.queue.front() {
            let rest = message.get(state.sent..).unwrap_or_default();
            let all = rest.len();
            match self.socket.send_now(rest) {
                Ok(wrote) => {
                    progress = true;
                    self.bytes.fetch_sub(wrote, Ordering::Relaxed);
                    if wrote == all {
                        state.queue.pop_front();
                        state.sent = 0;
                    } else {
                        state.sent += wrote;
                    }
                    state.deadline = Some(Instant::now() + PATIENCE);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return progress,
                Err(_) => {
                    self.fail(&mut state);
                    return true;
                }
            }
        }
        state.deadline = None;
        true
    }

    /// Sends nothing more, and has the reading side read the end.
    pub(crate) fn close(&self) {
        self.fail(&mut lock(&self.state));
    }

    /// The same. What cannot be written to is not read from either, and why is for the reading side to find out.
    fn fail(&self, state: &mut State) {
        *state = State { closed: true, ..State::default() };
        self.bytes.store(0, Ordering::Relaxed);
        self.socket.shut_down();
    }
}
