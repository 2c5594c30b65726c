//! [`Affinity`] as a [`Hardware`]: a start widens masks, a stop narrows them.

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use hotadd_core::{HardwareId, PlatformError};

use super::kernel::Errno;
use super::{Affinity, Mask, raw};
use crate::Topology;
use crate::hardware::uevents::{Action, Uevent};
use crate::hardware::watch::{self, Watched};
use crate::hardware::{Hardware, NotAdmitted, Nudge, Survey, uevents};

impl Hardware for Affinity {
    fn name(&self) -> &'static str {
        "affinity"
    }

    fn active(&self) -> Result<Vec<HardwareId>, PlatformError> {
        Ok(self.lock().hold.set().ids().collect())
    }

    fn maximum(&self) -> u32 {
        self.possible.count()
    }

    fn candidates(&self) -> Result<Vec<HardwareId>, PlatformError> {
        let state = self.lock();
        let full = self.kernel.permitted().map_err(failed)?;
        let set = state.hold.set();
        Ok(state.allowed(&full).ids().filter(|id| !set.contains(*id)).collect())
    }

    fn admits(&self, id: HardwareId) -> Result<(), NotAdmitted> {
        let state = self.lock();
        let full = self.kernel.permitted().unwrap_or(state.seen);
        self.check(id, &state.allowed(&full))
    }

    fn topology(&self, id: HardwareId) -> Topology {
        Topology::of_machine(id)
    }

    fn start(&self, id: HardwareId) -> Result<(), PlatformError> {
        let mut state = self.lock();
        let full = self.kernel.permitted().map_err(failed)?;
        // The masks must be up to date, so that the partition's mask can be told from a thread's own.
        state.catch_up(&*self.kernel, full, false).map_err(failed)?;
        self.check(id, &state.allowed(&full))?;
        let set = state.hold.set();
        if set.contains(id) {
            return Ok(());
        }
        state.change(&*self.kernel, set.with(id), None).map_err(failed)
    }

    fn stop(&self, id: HardwareId) -> Result<(), PlatformError> {
        let mut state = self.lock();
        let full = self.kernel.permitted().map_err(failed)?;
        state.catch_up(&*self.kernel, full, false).map_err(failed)?;
        let set = state.hold.set();
        if !set.contains(id) {
            return Ok(());
        }
        let to = set.without(&Mask::of([id]));
        if to.is_empty() {
            // This is the kernel's error for an empty mask: a thread must run somewhere.
            return Err(failed(Errno::INVAL));
        }
        state.change(&*self.kernel, to, Some(id)).map_err(failed)
    }

    fn survey(&self, expected: &[HardwareId]) -> Survey {
        let mut state = self.lock();
        if let Ok(full) = self.kernel.permitted() {
            state.look(&*self.kernel, full, false);
        }
        let set = state.hold.set();
        let vanished = expected.iter().copied().filter(|id| !set.contains(*id)).collect();
        state.lost = false;
        Survey {
            vanished,
            intruded: Vec::new(),
            appeared: state.arrivals.take(),
            repaired: state.hold.take_reports(),
        }
    }

    fn watch(self: Arc<Self>, nudge: Nudge) {
        watch::start(&self, &self.watched, nudge);
    }
}

impl Watched for Affinity {
    fn every(&self) -> Duration {
        self.poll
    }

    fn listen(&self) -> Result<OwnedFd, Errno> {
        uevents::listen()
    }

    fn notices(&self) -> Result<OwnedFd, Errno> {
        watch::cpusets_above()
    }

    fn receive(&self, socket: &OwnedFd, buffer: &mut [u8]) -> Result<Option<usize>, Errno> {
        uevents::receive(socket, buffer)
    }

    fn look(&self, heard: &[Uevent], lost: bool) -> bool {
        // No other event makes the kernel change masks.
        let hotplug = |event: &Uevent| matches!(event.action, Action::Online | Action::Offline);
        Self::look(self, lost || heard.iter().any(hotplug))
    }
}

fn failed(errno: Errno) -> PlatformError {
    PlatformError::from(raw(errno))
}
