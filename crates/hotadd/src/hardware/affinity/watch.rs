//! The thread that notices when the processors that are online or allowed change.

use std::io::PipeReader;
use std::os::fd::AsFd;
use std::sync::Weak;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::Affinity;
use super::kernel::Errno;
use crate::hardware::Nudge;
use crate::hardware::uevents::{self, Action, Uevent};

/// How long a change can go unnoticed that comes without an event: of a cpuset, or in a container.
const POLL: Timespec = Timespec { tv_sec: 1, tv_nsec: 0 };

/// Watches until the partition or the backend is gone. The other end of `gone` closes with the backend.
pub(super) fn watch(affinity: &Weak<Affinity>, gone: &PipeReader, nudge: &Nudge) {
    // Without events the poll still finds every lasting change.
    let mut socket = uevents::listen().ok();
    loop {
        let mut fds = vec![PollFd::new(gone, PollFlags::IN)];
        fds.extend(socket.as_ref().map(|socket| PollFd::new(socket, PollFlags::IN)));
        match poll(&mut fds, Some(&POLL)) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(_) => return,
        }
        if !fds[0].revents().is_empty() || !nudge.is_live() {
            return;
        }
        let hotplug = match socket.as_ref().map(drain) {
            Some(Ok(hotplug)) => hotplug,
            Some(Err(_)) => {
                socket = None;
                true
            }
            None => false,
        };
        // Held no longer than the look itself, so that dropping the backend ends it.
        let due = match affinity.upgrade() {
            Some(affinity) => affinity.is_due(hotplug),
            None => return,
        };
        if due && !nudge.nudge() {
            return;
        }
    }
}

/// Reads what there is and says whether a processor went online or offline, or may have.
fn drain(socket: impl AsFd) -> Result<bool, Errno> {
    let mut hotplug = false;
    let receive = |buffer: &mut [u8]| uevents::receive(&socket, buffer);
    let lost = uevents::drain(receive, |message| hotplug |= is_hotplug(message))?;
    Ok(hotplug || lost)
}

/// Whether a uevent says that a processor went online or offline. Nothing else makes the kernel touch masks.
fn is_hotplug(message: &[u8]) -> bool {
    let action = Uevent::parse(message).map(|event| event.action);
    matches!(action, Some(Action::Online | Action::Offline))
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Sender, channel};
    use std::sync::{Arc, Mutex};
    use std::time::{Duration, Instant};

    use super::super::fake::{Fake, mask, pid};
    use super::super::tree::Tree;
    use super::*;
    use crate::hardware::{Hardware, Nudged};

    #[test]
    fn only_a_processor_going_online_or_offline_is_a_hotplug() {
        let yes: [&[u8]; 3] = [
            b"online@/devices/system/cpu/cpu1\0ACTION=online\0SUBSYSTEM=cpu\0",
            b"offline@/devices/system/cpu/cpu1023\0",
            b"online@/devices/system/cpu/cpu7",
        ];
        let no: [&[u8]; 10] = [
            b"",
            b"\0",
            b"online@",
            b"online@/devices/system/cpu/cpu",
            b"online@/devices/system/cpu/cpufreq\0",
            b"online@/devices/system/cpu/cpu1/cache\0",
            b"online@/devices/system/memory/memory1\0",
            b"add@/devices/system/cpu/cpu1\0ACTION=online\0",
            b"libudev\0\xfe\xed\xca\xfeonline@/devices/system/cpu/cpu1\0",
            b"\xff\0online@/devices/system/cpu/cpu1\0",
        ];
        assert!(yes.iter().all(|m| is_hotplug(m)));
        for message in no {
            assert!(!is_hotplug(message), "{}", message.escape_ascii());
        }
    }

    struct Partition(Mutex<Sender<()>>);

    impl Nudged for Partition {
        fn nudge(&self) {
            self.0.lock().unwrap().send(()).unwrap();
        }
    }

    #[test]
    fn it_nudges_on_a_change_and_ends_at_once_with_the_backend() {
        let fake = Fake::new("0-1");
        let affinity =
            Affinity::on(Box::new(fake.clone()), pid(10), pid(10), Tree::Current, None).unwrap();
        let affinity = Arc::new(affinity);
        let (sender, nudges) = channel();
        let partition: Arc<dyn Nudged> = Arc::new(Partition(Mutex::new(sender)));
        affinity.clone().watch(Nudge(Arc::downgrade(&partition)));
        fake.world().online = mask("0"); // no event comes of it
        nudges.recv_timeout(Duration::from_secs(20)).expect("a nudge within a poll or two");
        assert!(Arc::weak_count(&partition) > 0, "the watcher goes on");
        drop(affinity);
        // The watcher's nudge goes with it.
        let dropped = Instant::now();
        while Arc::weak_count(&partition) > 0 {
            assert!(dropped.elapsed() < Duration::from_secs(20), "the watcher goes on");
            std::thread::yield_now();
        }
        println!("the watcher ended after {:?}", dropped.elapsed());
    }
}
