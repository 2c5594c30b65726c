//! [`Watching`]: watches which processors this process may run on, without holding its threads.

use std::io::PipeWriter;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use hotadd_core::{Errno as Number, HardwareId, PlatformError, Status};
use rustix::io::Errno;
use rustix::process::{Pid, getpid};

use super::affinity::AffinityError;
use super::holding::{Linux, Mask, probe};
use super::uevents::{self, Uevent};
use super::watch::{self, Watched};
use super::{Affinity, Hardware, NotAdmitted, Nudge, Survey};
use crate::Topology;

/// How often masks are read. The kernel does not report that a mask has changed.
const POLL: Duration = Duration::from_millis(250);

/// All processors that the threads of this process may run on, by their own masks (H4). Sets no mask.
///
/// It holds no thread. A processor that becomes available is used at once, and is reported up to 250 ms later as joined
/// without agreement (Q3). A processor that is no longer available has vanished (X2). No party is asked, and processors
/// cannot be added or removed. [`Affinity`] is the hardware that holds threads.
#[derive(Debug)]
pub struct Watching {
    maximum: u32,
    process: Pid,
    seen: Mutex<Mask>,
    /// Closed when this is dropped, which ends the watcher.
    watched: OnceLock<PipeWriter>,
}

impl Watching {
    /// Watches this process.
    ///
    /// # Errors
    /// If the kernel does not give the required information.
    pub fn new() -> Result<Self, AffinityError> {
        let maximum = Affinity::possible_count()?;
        let process = getpid();
        let seen = probe::reach(&Linux, process).map_err(|errno| AffinityError::Kernel {
            doing: "read the affinity masks of this process".to_owned(),
            errno: Number::from_raw(errno.raw_os_error()),
        })?;
        Ok(Self { maximum, process, seen: Mutex::new(seen), watched: OnceLock::new() })
    }
}

const REASON: &str = "this partition only watches processors; a partition that confines its threads can \
 add and remove them";

impl Hardware for Watching {
    fn name(&self) -> &'static str {
        "watching"
    }

    fn active(&self) -> Result<Vec<HardwareId>, PlatformError> {
        let seen = probe::reach(&Linux, self.process)
            .map_err(|errno| PlatformError::from(Number::from_raw(errno.raw_os_error())))?;
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = seen;
        Ok(seen.ids().collect())
    }

    fn maximum(&self) -> u32 {
        self.maximum
    }

    fn candidates(&self) -> Result<Vec<HardwareId>, PlatformError> {
        Ok(Vec::new())
    }

    fn admits(&self, _: HardwareId) -> Result<(), NotAdmitted> {
        Err(NotAdmitted { status: Status::ACCESS_DENIED, reason: REASON.to_owned() })
    }

    fn topology(&self, id: HardwareId) -> Topology {
        Topology::of_machine(id)
    }

    fn start(&self, _: HardwareId) -> Result<(), PlatformError> {
        Err(refused())
    }

    fn stop(&self, _: HardwareId) -> Result<(), PlatformError> {
        Err(refused())
    }

    fn survey(&self, expected: &[HardwareId]) -> Survey {
        let Ok(now) = probe::reach(&Linux, self.process) else { return Survey::default() };
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = now;
        let vanished = expected.iter().copied().filter(|id| !now.contains(*id)).collect();
        let intruded = now.ids().filter(|id| !expected.contains(id)).collect();
        Survey { vanished, intruded, ..Survey::default() }
    }

    fn watch(self: Arc<Self>, nudge: Nudge) {
        watch::start(&self, &self.watched, nudge);
    }
}

impl Watched for Watching {
    fn every(&self) -> Duration {
        POLL
    }

    fn listen(&self) -> Result<OwnedFd, Errno> {
        uevents::listen()
    }

    fn receive(&self, socket: &OwnedFd, buffer: &mut [u8]) -> Result<Option<usize>, Errno> {
        uevents::receive(socket, buffer)
    }

    fn notices(&self) -> Result<OwnedFd, Errno> {
        watch::cpusets_above()
    }

    fn look(&self, _: &[Uevent], _: bool) -> bool {
        let seen = *self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        probe::reach(&Linux, self.process).is_ok_and(|now| now != seen)
    }
}

fn refused() -> PlatformError {
    PlatformError::new(Status::ACCESS_DENIED).with_errno(Number::EACCES).with_reason(REASON)
}
