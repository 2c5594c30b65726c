//! [`Agent`]: an agent in another process. Its driver and the code that deregisters it share this.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard};

use hotadd::{Status, Veto};
use hotadd_wire::{Addressing, AgentPath, Message, deregistered};

use crate::lock::lock;

/// An agent in another process. Its driver and the code that deregisters it share this.
pub(crate) struct Agent {
    pub(crate) path: AgentPath,
    /// The agent is deregistered and is not called again.
    ///
    /// The lock is held while a call is sent. So a call is sent before the reply to Deregister, or not at all (D1).
    left: Mutex<bool>,
    /// It asked to be deregistered. If its connection is closed afterwards, this is not a refusal (D3).
    at_its_request: AtomicBool,
    /// Why the agent counts as crashed.
    crash: Mutex<Option<(Status, String)>>,
}

impl Agent {
    pub(crate) fn new(path: AgentPath) -> Self {
        let (left, crash) = (Mutex::default(), Mutex::default());
        Self { path, left, at_its_request: AtomicBool::new(false), crash }
    }

    /// Marks the agent as deregistered. It is not called after this.
    pub(crate) fn leave(&self) {
        *lock(&self.left) = true;
    }

    /// Marks the agent as deregistered by its own request. It is not called after this.
    pub(crate) fn leave_at_its_request(&self) {
        // Release: pairs with the load in `left_at_its_request`.
        self.at_its_request.store(true, Ordering::Release);
        self.leave();
    }

    /// Whether the agent's own request deregistered it.
    pub(crate) fn left_at_its_request(&self) -> bool {
        // Acquire: pairs with the Release above. One thread handles the request and later reports that the connection is lost, so a thread
        // that has the report also sees the request.
        self.at_its_request.load(Ordering::Acquire)
    }

    /// Whether the agent has left. It cannot leave while this is held.
    pub(crate) fn left(&self) -> MutexGuard<'_, bool> {
        lock(&self.left)
    }

    /// Records that the agent counts as crashed, because of this answer.
    pub(crate) fn crashed(&self, veto: &Veto) {
        *lock(&self.crash) = Some((veto.status(), veto.reason().to_owned()));
    }

    /// The message that tells the agent that it was deregistered, if it was deregistered because it crashed (L3).
    pub(crate) fn farewell(&self, to: Addressing<'_>, party: u64) -> Option<Message> {
        let (status, reason) = lock(&self.crash).clone()?;
        deregistered(to, &self.path, party, status, &reason).ok()
    }
}
