//! [`Watcher`]: notices when the cpuset changes.

use std::io::PipeReader;
use std::os::fd::OwnedFd;
use std::sync::Weak;
use std::time::Instant;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::Cpuset;
use super::kernel::{Errno, Kernel};
use crate::hardware::Nudge;
use crate::hardware::uevents::{self, Uevent};

/// Notices that are read at once: about as many as the kernel keeps of files with the same news.
const NOTICES: usize = 4096;

/// Listens to the kernel. What it says is only that it is worth looking; what is so, the files say. Of a change in the cgroup
/// above nobody is told, and so it looks every now and then in any case.
#[derive(Debug)]
pub(super) struct Watcher {
    uevents: Option<OwnedFd>,
    notices: Option<OwnedFd>,
}

impl Watcher {
    pub(super) fn new(kernel: &dyn Kernel) -> Self {
        Self { uevents: kernel.listen().ok(), notices: kernel.notices().ok() }
    }

    /// Watches until the partition or the backend is gone. The other end of `gone` closes with the backend.
    pub(super) fn watch(mut self, cpuset: &Weak<Cpuset>, gone: &PipeReader, nudge: &Nudge) {
        let Some(every) = cpuset.upgrade().map(|cpuset| cpuset.poll) else { return };
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
            // Held no longer than the look itself, so that dropping the backend ends it.
            let due = match cpuset.upgrade() {
                Some(cpuset) => {
                    // One that fails at once is not to be made again without end.
                    if self.uevents.is_none() && listened.elapsed() >= every {
                        self.uevents = cpuset.kernel.listen().ok();
                        listened = Instant::now();
                    }
                    self.hear(&cpuset)
                }
                None => return,
            };
            if due && !nudge.nudge() {
                return;
            }
        }
    }

    /// Takes note of what the kernel has said, and says whether the partition should look.
    pub(super) fn hear(&mut self, cpuset: &Cpuset) -> bool {
        if let Some(socket) = &self.uevents {
            let receive = |buffer: &mut [u8]| cpuset.kernel.receive(socket, buffer);
            let each = |message: &[u8]| {
                if let Some(event) = Uevent::parse(message) {
                    cpuset.heard(event);
                }
            };
            // What was lost needs no care of its own: the files are read in any case.
            if uevents::drain(receive, each).is_err() {
                self.uevents = None;
            }
        }
        if let Some(notices) = &self.notices
            && !matches!(rustix::io::read(notices, &mut [0; NOTICES]), Ok(_) | Err(Errno::AGAIN))
        {
            self.notices = None;
        }
        cpuset.is_due()
    }
}
