//! The watcher: a thread that notices when the hardware changes.

use std::io::{self, PipeReader, PipeWriter};
use std::os::fd::OwnedFd;
use std::sync::{Arc, OnceLock, Weak};
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::inotify;
use rustix::io::Errno;

use super::Nudge;
use super::cpuset::own_groups;
use super::holding::probe::WATCHER;
use super::uevents;
pub(crate) use super::uevents::Uevent;

/// The size of the buffer for the kernel's notices about changed files, in bytes. What they say is not needed.
const NOTICES: usize = 4096;

/// Something that a watcher checks, mostly a hardware: after an event of the kernel, or after an interval without one. An event only
/// means that a check is due; the check determines the state.
pub(crate) trait Watched: Send + Sync {
    /// The interval of the checks when there is no event.
    fn every(&self) -> Duration;

    /// A descriptor that is readable when there are uevents.
    fn listen(&self) -> Result<OwnedFd, Errno>;

    /// Receives the next uevent: its length in the buffer, or `None` if the sender is not the kernel.
    fn receive(&self, socket: &OwnedFd, buffer: &mut [u8]) -> Result<Option<usize>, Errno>;

    /// A descriptor that is readable when a process wrote to a relevant file.
    fn notices(&self) -> Result<OwnedFd, Errno>;

    /// Checks the hardware, and returns whether there is something to report by a nudge. It repairs by itself what
    /// cannot wait for the partition, which may be asking a party for a long time. `lost`: there were more uevents than
    /// those in `heard`.
    fn look(&self, heard: &[Uevent], lost: bool) -> bool;
}

/// Starts the watcher of a hardware. It ends with the hardware, when `watched` is closed. Called once; a second watcher would
/// only repeat the checks.
pub(crate) fn start<W: Watched + 'static>(
    hardware: &Arc<W>,
    watched: &OnceLock<PipeWriter>,
    nudge: Nudge,
) {
    let Ok((gone, open)) = io::pipe() else { return };
    if watched.set(open).is_err() {
        return;
    }
    // Before the partition checks again, so that no event between that check and the first read is missed.
    let watcher = Watcher::new(&**hardware);
    let hardware = Arc::downgrade(hardware);
    let thread = thread::Builder::new().name(WATCHER.into());
    // Without the thread a change is found when the next processor is added or removed.
    let _ = thread.spawn(move || watcher.watch(&hardware, &gone, &nudge));
}

/// The descriptors that a watcher reads.
#[derive(Debug)]
pub(super) struct Watcher {
    /// Without uevents, the polling still finds every lasting change.
    uevents: Option<OwnedFd>,
    notices: Option<OwnedFd>,
}

impl Watcher {
    pub(super) fn new(hardware: &dyn Watched) -> Self {
        Self { uevents: hardware.listen().ok(), notices: hardware.notices().ok() }
    }

    /// Watches until the partition or the hardware is gone. The other end of `gone` closes with the hardware.
    fn watch<W: Watched>(mut self, hardware: &Weak<W>, gone: &PipeReader, nudge: &Nudge) {
        let Some(every) = hardware.upgrade().map(|hardware| hardware.every()) else { return };
        // A value that does not fit means no timeout.
        let timeout = Timespec::try_from(every).ok();
        let mut listened = Instant::now();
        loop {
            let mut fds = vec![PollFd::new(gone, PollFlags::IN)];
            let sources = [&self.uevents, &self.notices];
            fds.extend(sources.into_iter().flatten().map(|fd| PollFd::new(fd, PollFlags::IN)));
            match poll(&mut fds, timeout.as_ref()) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(_) => return,
            }
            if !fds[0].revents().is_empty() || !nudge.is_live() {
                return;
            }
            // Held only during the check, so that dropping the hardware ends it.
            let due = match hardware.upgrade() {
                Some(hardware) => {
                    // Limits how often the socket is made again if it fails at once.
                    if self.uevents.is_none() && listened.elapsed() >= every {
                        self.uevents = hardware.listen().ok();
                        listened = Instant::now();
                    }
                    self.look(&*hardware)
                }
                None => return,
            };
            // A party may be asked now and take long to answer; the checks continue meanwhile.
            if due && !nudge.nudge() {
                return;
            }
        }
    }

    /// One round: receives the kernel's events, and lets the hardware check.
    pub(super) fn look(&mut self, hardware: &dyn Watched) -> bool {
        let (mut heard, mut lost) = (Vec::new(), false);
        if let Some(socket) = &self.uevents {
            let receive = |buffer: &mut [u8]| hardware.receive(socket, buffer);
            let each = |message: &[u8]| heard.extend(Uevent::parse(message));
            match uevents::drain(receive, each) {
                Ok(drained) => lost = drained.lost,
                Err(_) => (self.uevents, lost) = (None, true),
            }
        }
        if let Some(notices) = &self.notices
            && !matches!(rustix::io::read(notices, &mut [0; NOTICES]), Ok(_) | Err(Errno::AGAIN))
        {
            self.notices = None;
        }
        hardware.look(&heard, lost)
    }
}

/// A descriptor that is readable when a process on this system wrote the list of a cpuset that confines this process. The kernel
/// does not report a write through another mount of the cgroups, such as that of a container's host.
pub(super) fn cpusets_above() -> Result<OwnedFd, Errno> {
    let queue = inotify::init(inotify::CreateFlags::CLOEXEC | inotify::CreateFlags::NONBLOCK)?;
    for group in own_groups() {
        // The root cgroup has no such file.
        let _ = inotify::add_watch(&queue, group.join("cpuset.cpus"), inotify::WatchFlags::MODIFY);
    }
    Ok(queue)
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::sync::Mutex;

    use hotadd_core::{HardwareId, PlatformError};

    use super::*;
    use crate::hardware::{Hardware, NotAdmitted, Simulated, Survey};

    /// What the socket for uevents gives.
    type Received = Result<Option<usize>, Errno>;

    /// A hardware that records what the watcher tells it.
    #[derive(Debug)]
    struct Recorder {
        processors: Arc<Simulated>,
        /// What is received next. After this, nothing is there.
        receives: Mutex<VecDeque<Received>>,
        /// For each check, whether uevents were lost.
        lost: Mutex<Vec<bool>>,
        notices: Mutex<Option<OwnedFd>>,
    }

    impl Recorder {
        fn new(notices: Option<OwnedFd>) -> Self {
            Self {
                processors: Simulated::new(1, 1).unwrap(),
                receives: Mutex::default(),
                lost: Mutex::default(),
                notices: Mutex::new(notices),
            }
        }

        /// One round of the watcher in which this is received. Returns whether it says that uevents were lost.
        fn looks(&self, watcher: &mut Watcher, received: &[Received]) -> bool {
            self.receives.lock().unwrap().extend(received);
            watcher.look(self);
            self.lost.lock().unwrap().pop().expect("every round is a check")
        }
    }

    impl Hardware for Recorder {
        fn name(&self) -> &'static str {
            "recorder"
        }

        fn active(&self) -> Result<Vec<HardwareId>, PlatformError> {
            self.processors.active()
        }

        fn maximum(&self) -> u32 {
            self.processors.maximum()
        }

        fn candidates(&self) -> Result<Vec<HardwareId>, PlatformError> {
            self.processors.candidates()
        }

        fn admits(&self, id: HardwareId) -> Result<(), NotAdmitted> {
            self.processors.admits(id)
        }

        fn start(&self, id: HardwareId) -> Result<(), PlatformError> {
            self.processors.start(id)
        }

        fn stop(&self, id: HardwareId) -> Result<(), PlatformError> {
            self.processors.stop(id)
        }

        fn survey(&self, expected: &[HardwareId]) -> Survey {
            self.processors.survey(expected)
        }

        fn watch(self: Arc<Self>, _: Nudge) {}
    }

    impl Watched for Recorder {
        fn every(&self) -> Duration {
            Duration::MAX
        }

        fn listen(&self) -> Result<OwnedFd, Errno> {
            Ok(io::pipe().unwrap().0.into())
        }

        fn receive(&self, _: &OwnedFd, _: &mut [u8]) -> Received {
            self.receives.lock().unwrap().pop_front().unwrap_or(Err(Errno::AGAIN))
        }

        fn notices(&self) -> Result<OwnedFd, Errno> {
            self.notices.lock().unwrap().take().ok_or(Errno::OPNOTSUPP)
        }

        fn look(&self, _: &[Uevent], lost: bool) -> bool {
            self.lost.lock().unwrap().push(lost);
            false
        }
    }

    #[test]
    fn h3_the_hardware_is_told_when_uevents_were_lost_so_that_it_checks_everything() {
        let recorder = Recorder::new(None);
        let mut watcher = Watcher::new(&recorder);
        assert!(!recorder.looks(&mut watcher, &[]), "nothing was sent");
        assert!(!recorder.looks(&mut watcher, &[Ok(None), Ok(Some(1))]), "all was received");
        assert!(recorder.looks(&mut watcher, &[Ok(Some(1)), Err(Errno::NOBUFS)]), "too much");
        assert!(!recorder.looks(&mut watcher, &[]), "this was said once");
        assert!(recorder.looks(&mut watcher, &[Err(Errno::BADF)]), "the socket has failed");
        assert!(watcher.uevents.is_none(), "and is made again");
        assert!(!recorder.looks(&mut watcher, &[]), "this was said once");
    }

    #[test]
    fn notices_are_read_so_that_the_watcher_sleeps_until_the_next_one() {
        let (read, write) = io::pipe().unwrap();
        rustix::io::ioctl_fionbio(&read, true).unwrap();
        let again = read.try_clone().unwrap();
        let recorder = Recorder::new(Some(read.into()));
        let mut watcher = Watcher::new(&recorder);
        for _ in 0..2 {
            rustix::io::write(&write, b"changed").unwrap();
            recorder.looks(&mut watcher, &[]);
            assert_eq!(rustix::io::read(&again, &mut [0; 9]), Err(Errno::AGAIN), "it is read");
            recorder.looks(&mut watcher, &[]);
            assert!(watcher.notices.is_some(), "having none does not end their use");
        }
    }

    #[test]
    fn notices_that_cannot_be_read_are_not_used_so_that_the_watcher_does_not_spin() {
        // The end for writing cannot be read.
        let (_read, write) = io::pipe().unwrap();
        let recorder = Recorder::new(Some(write.into()));
        let mut watcher = Watcher::new(&recorder);
        assert!(watcher.notices.is_some());
        recorder.looks(&mut watcher, &[]);
        assert!(watcher.notices.is_none());
    }
}
