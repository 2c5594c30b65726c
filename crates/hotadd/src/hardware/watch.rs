//! The thread of a hardware that notices when something changes.

use std::io::{self, PipeReader, PipeWriter};
use std::os::fd::OwnedFd;
use std::sync::{Arc, OnceLock, Weak};
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::inotify;
use rustix::io::Errno;

use super::cpuset::own_groups;
use super::uevents::{self, Uevent};
use super::{Hardware, Nudge};

/// Notices that are read at once: about as many as the kernel keeps of files with the same news.
const NOTICES: usize = 4096;

/// What a hardware does when the kernel says something, or nothing for a while. What the kernel says is only that it is worth
/// looking; what is so, the look finds out.
pub(super) trait Watched: Hardware {
    /// How often to look when nothing is said.
    fn every(&self) -> Duration;

    /// A descriptor that is readable when there are uevents.
    fn listen(&self) -> Result<OwnedFd, Errno>;

    /// The next uevent: how much of it is in the buffer, or `None` if it is not the kernel's.
    fn receive(&self, socket: &OwnedFd, buffer: &mut [u8]) -> Result<Option<usize>, Errno>;

    /// A descriptor that is readable when somebody wrote to a file that matters.
    fn notices(&self) -> Result<OwnedFd, Errno>;

    /// Looks, and says whether the partition has something to hear. It puts right itself what cannot wait for the partition, in
    /// which somebody may be asked for a long time. `lost`: there were more uevents than these.
    fn look(&self, heard: &[Uevent], lost: bool) -> bool;
}

/// Starts the watcher of a hardware. It ends with it: `watched` is closed then. Called once; a second watcher would only ask
/// twice.
pub(super) fn start<W: Watched + 'static>(
    hardware: &Arc<W>,
    watched: &OnceLock<PipeWriter>,
    nudge: Nudge,
) {
    let Ok((gone, open)) = io::pipe() else { return };
    if watched.set(open).is_err() {
        return;
    }
    // Before the partition looks once more, so that nothing is missed between that look and the first event.
    let watcher = Watcher::new(&**hardware);
    let hardware = Arc::downgrade(hardware);
    let thread = thread::Builder::new().name("hotadd-watch".into());
    // Without the thread a change is seen when the next processor is added or removed.
    let _ = thread.spawn(move || watcher.watch(&hardware, &gone, &nudge));
}

/// What a watcher listens to.
#[derive(Debug)]
pub(super) struct Watcher {
    /// Without events the poll still finds every lasting change.
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
        // Longer than a time can be is for ever.
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
            // Held no longer than the look itself, so that dropping the hardware ends it.
            let due = match hardware.upgrade() {
                Some(hardware) => {
                    // One that fails at once is not to be made again without end.
                    if self.uevents.is_none() && listened.elapsed() >= every {
                        self.uevents = hardware.listen().ok();
                        listened = Instant::now();
                    }
                    self.look(&*hardware)
                }
                None => return,
            };
            // Somebody may be asked at this moment and take his time; the looks go on meanwhile.
            if due && !nudge.nudge() {
                return;
            }
        }
    }

    /// One round: takes in what the kernel has said, and has the hardware look.
    pub(super) fn look(&mut self, hardware: &dyn Watched) -> bool {
        let (mut heard, mut lost) = (Vec::new(), false);
        if let Some(socket) = &self.uevents {
            let receive = |buffer: &mut [u8]| hardware.receive(socket, buffer);
            let each = |message: &[u8]| heard.extend(Uevent::parse(message));
            match uevents::drain(receive, each) {
                Ok(more) => lost = more,
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

/// A descriptor that is readable when somebody on this system wrote the list of a cpuset that confines this process. The kernel
/// tells nobody of what is written by way of another mount of the cgroups, such as a container's host.
pub(super) fn cpusets_above() -> Result<OwnedFd, Errno> {
    let queue = inotify::init(inotify::CreateFlags::CLOEXEC | inotify::CreateFlags::NONBLOCK)?;
    for group in own_groups() {
        // The topmost has no such file.
        let _ = inotify::add_watch(&queue, group.join("cpuset.cpus"), inotify::WatchFlags::MODIFY);
    }
    Ok(queue)
}
