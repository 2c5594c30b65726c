//! [`Affinity`] as a [`Hardware`]: starting is widening masks, stopping is narrowing them.

use std::io;
use std::mem;
use std::sync::Arc;
use std::thread;

use hotadd_core::{HardwareId, PlatformError};

use super::kernel::Errno;
use super::mask::Mask;
use super::{Affinity, raw, watch};
use crate::hardware::{Hardware, NotAdmitted, Nudge, Survey};

impl Hardware for Affinity {
    fn name(&self) -> &'static str {
        "affinity"
    }

    fn active(&self) -> Result<Vec<HardwareId>, PlatformError> {
        Ok(self.lock().set.ids().collect())
    }

    fn maximum(&self) -> u32 {
        self.possible.0.count()
    }

    fn candidates(&self) -> Vec<HardwareId> {
        let set = self.lock().set;
        self.allowed().ids().iter().copied().filter(|id| !set.contains(*id)).collect()
    }

    fn admits(&self, id: HardwareId) -> Result<(), NotAdmitted> {
        let state = self.lock();
        self.check(id, &self.full().unwrap_or(state.seen))
    }

    fn start(&self, id: HardwareId) -> Result<(), PlatformError> {
        let mut state = self.lock();
        let full = self.full().map_err(failed)?;
        // The masks must be the partition's own before they can be told from others.
        state.catch_up(&*self.kernel, full).map_err(failed)?;
        self.check(id, &full).map_err(|no| PlatformError {
            status: no.status,
            errno: no.status.to_errno(),
            reason: None,
        })?;
        if state.set.contains(id) {
            return Ok(());
        }
        let to = state.set.with(id);
        self.change(&mut state, to, None).map_err(failed)
    }

    fn stop(&self, id: HardwareId) -> Result<(), PlatformError> {
        let mut state = self.lock();
        let full = self.full().map_err(failed)?;
        state.catch_up(&*self.kernel, full).map_err(failed)?;
        if !state.set.contains(id) {
            return Ok(());
        }
        let to = state.set.without(&Mask::of([id]));
        if to.is_empty() {
            // As the kernel says: a thread must run somewhere.
            return Err(failed(Errno::INVAL));
        }
        self.change(&mut state, to, Some(id)).map_err(failed)
    }

    fn survey(&self, expected: &[HardwareId]) -> Survey {
        let mut state = self.lock();
        let Ok(full) = self.full() else { return Survey::default() };
        if let Err(errno) = state.catch_up(&*self.kernel, full) {
            state.repaired.push(format!("the masks could not be looked through: {errno}"));
        }
        let vanished = expected.iter().copied().filter(|id| !state.set.contains(*id)).collect();
        Survey { vanished, repaired: mem::take(&mut state.repaired), ..Survey::default() }
    }

    fn watch(self: Arc<Self>, nudge: Nudge) {
        let Ok((gone, open)) = io::pipe() else { return };
        // Called once. A second watcher would only ask twice.
        if self.watched.set(open).is_err() {
            return;
        }
        let affinity = Arc::downgrade(&self);
        let thread = thread::Builder::new().name("hotadd-watch".into());
        // Without the thread a change is seen when the next processor is added or removed.
        let _ = thread.spawn(move || watch::watch(&affinity, &gone, &nudge));
    }
}

fn failed(errno: Errno) -> PlatformError {
    PlatformError::from(raw(errno))
}
