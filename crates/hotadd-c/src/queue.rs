//! [`Queue`]: in descriptor mode, the notice for which a transaction waits until the program dispatches it.

use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, ThreadId};
use std::time::{Duration, Instant};

use hotadd::{Notice, Status, Veto};
use rustix::event::{EventfdFlags, eventfd};

use crate::failure::Failure;

/// One notice at most: a party is called with one at a time (A7).
#[derive(Debug)]
pub(crate) struct Queue {
    /// Readable while a notice waits, and after one waited for too long.
    descriptor: OwnedFd,
    limit: Duration,
    state: Mutex<QueueState>,
    /// The state has changed, for the thread that asks.
    changed: Condvar,
}

#[derive(Debug)]
struct QueueState {
    slot: Slot,
    /// How many notices were put here. The answer to an earlier one comes too late.
    asked: u64,
    closed: bool,
    /// A notice was not answered in time, so the party is deregistered (L3).
    late: bool,
    /// The thread that dispatches.
    owner: ThreadId,
}

#[derive(Debug)]
enum Slot {
    Empty,
    Waiting(Notice),
    /// The callback runs.
    Taken,
    Answered(Result<(), Veto>),
}

/// A notice that was taken from the queue, to be answered.
#[derive(Debug)]
pub(crate) struct Taken {
    pub(crate) notice: Notice,
    number: u64,
}

impl Queue {
    /// Makes a queue that this thread dispatches, until another one does.
    pub(crate) fn new(limit: Duration) -> Result<Self, Failure> {
        let descriptor = event()?;
        let state = QueueState {
            slot: Slot::Empty,
            asked: 0,
            closed: false,
            late: false,
            owner: thread::current().id(),
        };
        Ok(Self { descriptor, limit, state: Mutex::new(state), changed: Condvar::new() })
    }

    fn lock(&self) -> MutexGuard<'_, QueueState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) const fn descriptor(&self) -> &OwnedFd {
        &self.descriptor
    }

    pub(crate) fn raw(&self) -> RawFd {
        self.descriptor.as_raw_fd()
    }

    /// Whether this thread dispatches the queue, and a notice may still come.
    pub(crate) fn is_dispatched_here(&self) -> bool {
        let state = self.lock();
        state.owner == thread::current().id() && !state.closed && !state.late
    }

    /// Puts a notice here, and waits for the answer. For the thread of a transaction.
    pub(crate) fn ask(&self, notice: &Notice) -> Result<(), Veto> {
        let until = Instant::now() + self.limit;
        let mut state = self.lock();
        if state.late {
            return Err(self.too_late());
        }
        if state.closed {
            return Ok(());
        }
        state.slot = Slot::Waiting(*notice);
        state.asked += 1;
        ring(&self.descriptor);
        loop {
            match std::mem::replace(&mut state.slot, Slot::Empty) {
                Slot::Answered(answer) => return answer,
                Slot::Waiting(_) if state.closed => return Ok(()),
                other => state.slot = other,
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                state.slot = Slot::Empty;
                state.late = true;
                ring(&self.descriptor);
                return Err(self.too_late());
            }
            let waited = self.changed.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn too_late(&self) -> Veto {
        let reason = format!("the program did not dispatch and answer within {:?}", self.limit);
        Veto::crash(Status::IO_TIMEOUT, reason)
    }

    /// Takes the notice that waits. From now on this thread dispatches the queue.
    pub(crate) fn take(&self) -> Result<Option<Taken>, Failure> {
        let mut state = self.lock();
        state.owner = thread::current().id();
        if state.late {
            let limit = self.limit;
            let message = format!(
                "a notice was not answered within {limit:?}, so the registration has ended (L3); stop it and start a new one"
            );
            return Err(Failure::new(Status::IO_TIMEOUT, message));
        }
        match std::mem::replace(&mut state.slot, Slot::Empty) {
            Slot::Waiting(notice) => {
                state.slot = Slot::Taken;
                silence(&self.descriptor);
                Ok(Some(Taken { notice, number: state.asked }))
            }
            other => {
                state.slot = other;
                Ok(None)
            }
        }
    }

    /// Answers a notice. Without effect if the answer comes too late.
    pub(crate) fn answer(&self, number: &Taken, answer: Result<(), Veto>) {
        let mut state = self.lock();
        if state.asked == number.number && matches!(state.slot, Slot::Taken) {
            state.slot = Slot::Answered(answer);
            self.changed.notify_all();
        }
    }

    /// No notice comes any more. One that waits is agreed to, as the party is gone.
    pub(crate) fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_all();
    }
}

/// A descriptor that is readable after [`ring`] until [`silence`].
pub(crate) fn event() -> Result<OwnedFd, Failure> {
    eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK).map_err(|errno| {
        let status = Status::from_errno(hotadd::Errno::from_raw(errno.raw_os_error()));
        Failure::new(status, format!("no descriptor could be made: {errno}"))
    })
}

/// Makes a descriptor readable. A full counter is readable already, so a failed write loses nothing.
pub(crate) fn ring(descriptor: &OwnedFd) {
    let _ = rustix::io::write(descriptor, &1_u64.to_ne_bytes());
}

/// Makes a descriptor unreadable. Fails only if it is already.
fn silence(descriptor: &OwnedFd) {
    let _ = rustix::io::read(descriptor, &mut [0; 8]);
}
