//! The thread that notices when the processors that are online or allowed change.

use std::io::PipeReader;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Weak;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::netlink::{KOBJECT_UEVENT, SocketAddrNetlink};
use rustix::net::{AddressFamily, RecvFlags, SocketFlags, SocketType, bind, recvfrom, socket_with};

use super::Affinity;
use super::kernel::Errno;
use crate::hardware::Nudge;

/// How long a change can go unnoticed that comes without an event: of a cpuset, or in a container.
const POLL: Timespec = Timespec { tv_sec: 1, tv_nsec: 0 };

/// The multicast group to which the kernel itself sends; the other one is udev's.
const KERNEL_GROUP: u32 = 1;

/// Messages read between two looks, so that a flood cannot keep us reading.
const BATCH: u32 = 256;

/// Watches until the partition or the backend is gone. The other end of `gone` closes with the backend.
pub(super) fn watch(affinity: &Weak<Affinity>, gone: &PipeReader, nudge: &Nudge) {
    // Without events the poll still finds every lasting change.
    let mut socket = listen().ok();
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

fn listen() -> Result<OwnedFd, Errno> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket =
        socket_with(AddressFamily::NETLINK, SocketType::DGRAM, flags, Some(KOBJECT_UEVENT))?;
    bind(&socket, &SocketAddrNetlink::new(0, KERNEL_GROUP))?;
    Ok(socket)
}

/// Reads what there is and says whether a processor went online or offline, or may have.
fn drain(socket: impl AsFd) -> Result<bool, Errno> {
    let mut hotplug = false;
    // Only the head matters; the kernel cuts what does not fit.
    let mut buffer = [0; 512];
    for _ in 0..BATCH {
        match recvfrom(&socket, &mut buffer, RecvFlags::empty()) {
            Ok((length, _, from)) => {
                let from = from.and_then(|from| SocketAddrNetlink::try_from(from).ok());
                let kernel = from.is_some_and(|from| from.pid() == 0);
                hotplug |= kernel && is_hotplug(buffer.get(..length).unwrap_or(&buffer));
            }
            Err(Errno::AGAIN) => return Ok(hotplug),
            Err(Errno::INTR) => {}
            // Messages were lost, and ours may have been among them.
            Err(Errno::NOBUFS) => hotplug = true,
            Err(errno) => return Err(errno),
        }
    }
    Ok(hotplug)
}

/// Whether a uevent, `ACTION@DEVPATH` and then `KEY=VALUE`s with a NUL after each, says that a processor went online or
/// offline. Nothing else makes the kernel touch masks.
fn is_hotplug(message: &[u8]) -> bool {
    let head = message.split(|b| *b == 0).next().unwrap_or_default();
    let path = head.strip_prefix(b"online@").or_else(|| head.strip_prefix(b"offline@"));
    let id = path.and_then(|path| path.strip_prefix(b"/devices/system/cpu/cpu"));
    id.is_some_and(|id| !id.is_empty() && id.iter().all(u8::is_ascii_digit))
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

    #[test]
    fn nobody_needs_a_privilege_to_listen() {
        match listen() {
            Ok(socket) => assert!(drain(&socket).is_ok()),
            Err(errno) => println!("no uevents here ({errno}): the poll must do"),
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
