//! [`Outbox`]: sends messages over a connection. Sending never blocks: what the socket does not accept is queued, and a
//! peer that does not read is disconnected.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use hotadd::Errno;
use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

use crate::lock::lock;
use crate::transport::socket::{Aside, Socket};

/// The maximum number of queued bytes of a peer: some thirty of the largest messages.
const MOST_BYTES: usize = 4 * 1024 * 1024;

/// The maximum number of queued messages of a peer.
const MOST_MESSAGES: usize = 4096;

/// While more than this is queued, no more calls of the peer are read.
const ENOUGH_BYTES: usize = 256 * 1024;

/// How long a peer may read nothing of what is queued for it.
const PATIENCE: Duration = Duration::from_secs(5);

/// The peer does not read.
#[derive(Clone, Copy, Debug, thiserror::Error)]
pub(crate) enum Stuck {
    #[error("it was disconnected, because it read nothing for {} s", PATIENCE.as_secs())]
    Silent,
    #[error("it was disconnected, because it does not read its messages")]
    Full,
    #[error("it was disconnected, because a descriptor for it cannot be duplicated: {0}")]
    NoDescriptor(Errno),
    #[error("it was disconnected, because its socket cannot be waited for: {0}")]
    Unseen(Errno),
}

/// The number of an error of a system call.
fn errno(error: &io::Error) -> Errno {
    error.raw_os_error().map_or(Errno::EIO, Errno::from_raw)
}

/// The writing side of a connection.
pub(crate) struct Outbox {
    socket: Arc<Socket>,
    state: Mutex<State>,
    /// The number of queued bytes. It is written under the lock and read without it. A sender holds the lock across a
    /// system call that wakes the peer, and the reading side must not wait for that between any two messages.
    ///
    /// Relaxed: a reader that sees too small a number is woken by `queued`, which is notified after the write.
    bytes: AtomicUsize,
    /// The number of bytes of all messages so far. Written under the lock.
    total: AtomicU64,
    /// Notified when something was queued.
    queued: Notify,
}

#[derive(Default)]
struct State {
    queue: VecDeque<Queued>,
    /// How much of the first message the socket has accepted.
    sent: usize,
    /// The time by which the peer must have read something.
    deadline: Option<Instant>,
    closed: bool,
}

/// A message that the socket has not accepted as a whole.
struct Queued {
    bytes: Vec<u8>,
    /// They are sent with the first byte.
    descriptors: Vec<OwnedFd>,
}

impl Outbox {
    pub(crate) fn new(socket: Arc<Socket>) -> Self {
        let (bytes, total) = (AtomicUsize::new(0), AtomicU64::new(0));
        Self { socket, state: Mutex::default(), bytes, total, queued: Notify::new() }
    }

    /// Sends a message after all earlier ones. May be called on any thread; does not block. On a closed connection it
    /// does nothing: a caller that expects an answer is told by other means that none will arrive.
    ///
    /// # Errors
    /// If too much is queued already. The caller must then close the connection.
    pub(crate) fn send(&self, bytes: &[u8], descriptors: &[BorrowedFd<'_>]) -> Result<(), Stuck> {
        let mut state = lock(&self.state);
        if state.closed {
            return Ok(());
        }
        self.total.fetch_add(bytes.len() as u64, Ordering::Release);
        if state.queue.is_empty() {
            state.sent = match self.socket.send_with(bytes, descriptors) {
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
        let descriptors = if state.queue.is_empty() && state.sent > 0 { &[] } else { descriptors };
        let owned: Result<_, _> = descriptors.iter().map(BorrowedFd::try_clone_to_owned).collect();
        let descriptors = owned.map_err(|error| Stuck::NoDescriptor(errno(&error)))?;
        state.queue.push_back(Queued { bytes: bytes.to_vec(), descriptors });
        drop(state);
        self.queued.notify_one();
        Ok(())
    }

    /// The number of bytes of all messages that were sent or queued until now.
    pub(crate) fn total(&self) -> u64 {
        // Acquire: pairs with the Release in `send`. What made a message before now is counted.
        self.total.load(Ordering::Acquire)
    }

    /// Lets this thread take the peer's next agreement by itself.
    pub(crate) fn set_aside(&self) -> Option<Aside> {
        self.socket.set_aside()
    }

    /// Whether everything that the peer has sent was handled.
    pub(crate) fn is_quiet(&self) -> bool {
        self.socket.is_quiet()
    }

    /// Whether the queue is short enough to read more calls of the peer.
    pub(crate) fn has_room(&self) -> bool {
        self.waiting() <= ENOUGH_BYTES
    }

    fn waiting(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Waits until something is queued, and returns when the socket has accepted some of it. The future may be
    /// dropped at any point.
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
            writable.map_err(|_| Stuck::Silent)?.map_err(|error| Stuck::Unseen(errno(&error)))?;
            if self.flush() {
                return Ok(());
            }
        }
    }

    /// Writes what the socket accepts. Returns false if it accepted nothing.
    fn flush(&self) -> bool {
        let mut state = lock(&self.state);
        let mut progress = false;
        while let Some(message) = state.queue.front() {
            let rest = message.bytes.get(state.sent..).unwrap_or_default();
            let all = rest.len();
            let along: Vec<_> = match state.sent {
                0 => message.descriptors.iter().map(AsFd::as_fd).collect(),
                _ => Vec::new(),
            };
            match self.socket.send_with(rest, &along) {
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

    /// Stops sending, and makes the reading side see the end of the stream.
    pub(crate) fn close(&self) {
        self.fail(&mut lock(&self.state));
    }

    /// Stops sending, and ends the stream. A socket that cannot be written to is not read either, and the reading side determines
    /// the reason.
    fn fail(&self, state: &mut State) {
        *state = State { closed: true, ..State::default() };
        self.bytes.store(0, Ordering::Relaxed);
        self.socket.shut_down();
    }
}
