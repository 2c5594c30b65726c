//! [`Watcher`]: notices when processors come and go.

use std::io::PipeReader;
use std::os::fd::OwnedFd;
use std::sync::Weak;
use std::time::Instant;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::Hotplug;
use super::kernel::{Errno, Kernel};
use crate::hardware::Nudge;
use crate::hardware::uevents::{self, Uevent};

/// Listens to the kernel. Uevents only say that it is worth looking; what is so, the lists say.
#[derive(Debug)]
pub(super) struct Watcher {
    /// Without events the poll still finds every lasting change.
    socket: Option<OwnedFd>,
}

impl Watcher {
    pub(super) fn new(kernel: &dyn Kernel) -> Self {
        Self { socket: kernel.listen().ok() }
    }

    /// Watches until the partition or the backend is gone. The other end of `gone` closes with the backend.
    pub(super) fn watch(mut self, hotplug: &Weak<Hotplug>, gone: &PipeReader, nudge: &Nudge) {
        let Some(every) = hotplug.upgrade().map(|hotplug| hotplug.options.poll) else { return };
        // Longer than a time can be is for ever.
        let timeout = Timespec::try_from(every).ok();
        let mut listened = Instant::now();
        loop {
            let mut fds = vec![PollFd::new(gone, PollFlags::IN)];
            fds.extend(self.socket.as_ref().map(|socket| PollFd::new(socket, PollFlags::IN)));
            match poll(&mut fds, timeout.as_ref()) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(_) => return,
            }
            if !fds[0].revents().is_empty() || !nudge.is_live() {
                return;
            }
            // Held no longer than the look itself, so that dropping the backend ends it.
            let due = match hotplug.upgrade() {
                Some(hotplug) => {
                    // One that fails at once is not to be made again without end.
                    if self.socket.is_none() && listened.elapsed() >= every {
                        self = Self::new(&*hotplug.kernel);
                        listened = Instant::now();
                    }
                    self.hear(&hotplug)
                }
                None => return,
            };
            if due && !nudge.nudge() {
                return;
            }
        }
    }

    /// Takes note of what the kernel has said, and says whether the partition should look.
    pub(super) fn hear(&mut self, hotplug: &Hotplug) -> bool {
        if let Some(socket) = &self.socket {
            let receive = |buffer: &mut [u8]| hotplug.kernel.receive(socket, buffer);
            let each = |message: &[u8]| {
                if let Some(event) = Uevent::parse(message) {
                    hotplug.heard(event);
                }
            };
            // What was lost needs no care of its own: the list is read in any case.
            if uevents::drain(receive, each).is_err() {
                self.socket = None;
            }
        }
        hotplug.is_due()
    }
}
