//! The kernel's uevents about processors that come and go: received over netlink, and parsed.

use std::os::fd::{AsFd, OwnedFd};

use hotadd_core::HardwareId;
use rustix::io::Errno;
use rustix::net::netlink::{KOBJECT_UEVENT, SocketAddrNetlink};
use rustix::net::{AddressFamily, RecvFlags, SocketFlags, SocketType, bind, recvfrom, socket_with};

/// The multicast group to which the kernel itself sends. The other group is udev's.
const KERNEL_GROUP: u32 = 1;

/// The maximum size of a message: the kernel's 2,048 bytes of keys after a path.
const MESSAGE: usize = 8192;

/// The maximum number of messages between two checks, so that a flood of messages does not prevent checks.
const BATCH: u32 = 256;

/// Kernels number at most 8,192 processors. A larger number is not a processor.
const LARGEST: u32 = 65_535;

/// A socket that receives the kernel's uevents. Needs no privilege. It does not block.
pub(super) fn listen() -> Result<OwnedFd, Errno> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket =
        socket_with(AddressFamily::NETLINK, SocketType::DGRAM, flags, Some(KOBJECT_UEVENT))?;
    bind(&socket, &SocketAddrNetlink::new(0, KERNEL_GROUP))?;
    Ok(socket)
}

/// Receives the next message: its length in the buffer, or `None` if the sender is not the kernel.
pub(super) fn receive(socket: impl AsFd, buffer: &mut [u8]) -> Result<Option<usize>, Errno> {
    let (length, _, from) = recvfrom(socket, &mut *buffer, RecvFlags::empty())?;
    // Only the kernel has port 0.
    let from = from.and_then(|from| SocketAddrNetlink::try_from(from).ok());
    let kernel = from.is_some_and(|from| from.pid() == 0);
    Ok(kernel.then_some(length.min(buffer.len())))
}

/// How a socket was left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Drained {
    /// Some messages may have been lost.
    pub(super) lost: bool,
    /// No message is left: the last call found none.
    pub(super) emptied: bool,
}

/// Passes on all pending messages, one by one, up to a limit. Any error ends the use of the socket.
pub(super) fn drain(
    mut receive: impl FnMut(&mut [u8]) -> Result<Option<usize>, Errno>,
    mut each: impl FnMut(&[u8]),
) -> Result<Drained, Errno> {
    let mut lost = false;
    let mut buffer = [0; MESSAGE];
    for _ in 0..BATCH {
        match receive(&mut buffer) {
            Ok(Some(length)) => each(buffer.get(..length).unwrap_or(&buffer)),
            Ok(None) | Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => return Ok(Drained { lost, emptied: true }),
            Err(Errno::NOBUFS) => lost = true,
            Err(errno) => return Err(errno),
        }
    }
    Ok(Drained { lost, emptied: false })
}

/// What happened to a processor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    /// It was plugged in. The kernel may not be finished with it yet.
    Add,
    /// Its driver is bound.
    Bind,
    /// It is online.
    Online,
    /// It is offline.
    Offline,
    /// It was unplugged.
    Remove,
}

/// A uevent of a processor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Uevent {
    pub(super) action: Action,
    pub(super) id: HardwareId,
    /// The kernel's sequence number, which ascends. `None` if the message was cut, or if a process made the kernel send it by
    /// writing to a `uevent` file, as `udevadm trigger` does: then nothing has happened.
    pub(super) sequence: Option<u64>,
}

impl Uevent {
    /// Parses a message: `ACTION@DEVPATH` and then `KEY=VALUE` pairs, each followed by a NUL, which may contain newlines.
    /// `None` if it is not about a processor.
    pub(super) fn parse(message: &[u8]) -> Option<Self> {
        let mut parts = message.split(|b| *b == 0);
        let head = parts.next().unwrap_or_default();
        let at = head.iter().position(|b| *b == b'@')?;
        let action = match &head[..at] {
            b"add" => Action::Add,
            b"bind" => Action::Bind,
            b"online" => Action::Online,
            b"offline" => Action::Offline,
            b"remove" => Action::Remove,
            _ => return None,
        };
        let id = number(head[at + 1..].strip_prefix(b"/devices/system/cpu/cpu")?)?;
        let id = u32::try_from(id).ok().filter(|id| *id <= LARGEST).map(HardwareId)?;
        let (mut sequence, mut asked_for) = (None, false);
        for part in parts {
            if let Some(value) = part.strip_prefix(b"SEQNUM=") {
                sequence = number(value);
            }
            asked_for |= part.starts_with(b"SYNTH_UUID=");
        }
        Some(Self { action, id, sequence: sequence.filter(|_| !asked_for) })
    }
}

/// Parses digits only.
fn number(text: &[u8]) -> Option<u64> {
    let digits = !text.is_empty() && text.iter().all(u8::is_ascii_digit);
    std::str::from_utf8(text).ok().filter(|_| digits)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use hotadd_testing::{Need, skip};
    use proptest::prelude::*;
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    use rustix::net::{SendFlags, getsockname, sendto};

    use super::*;

    /// A message of Linux 6.1, shortened. The alias contains a newline.
    const OFFLINE: &[u8] = b"offline@/devices/system/cpu/cpu12\0ACTION=offline\0\
        DEVPATH=/devices/system/cpu/cpu12\0SUBSYSTEM=cpu\0DRIVER=processor\0\
        MODALIAS=cpu:type:x86,ven0002fam000Fmod006B:feature:,0000,0002\n\0SEQNUM=1742\0";

    fn of(message: &[u8]) -> Option<(Action, u32, Option<u64>)> {
        Uevent::parse(message).map(|e| (e.action, e.id.0, e.sequence))
    }

    #[test]
    fn a_processors_message_has_its_action_id_and_sequence_number() {
        assert_eq!(of(OFFLINE), Some((Action::Offline, 12, Some(1742))));
        let cut = &OFFLINE[..60];
        assert_eq!(of(cut), Some((Action::Offline, 12, None)), "a message that was cut");
        let all: [(&[u8], Action); 5] = [
            (b"add", Action::Add),
            (b"bind", Action::Bind),
            (b"online", Action::Online),
            (b"offline", Action::Offline),
            (b"remove", Action::Remove),
        ];
        for (word, action) in all {
            let message = [word, b"@/devices/system/cpu/cpu1023\0SEQNUM=1\0"].concat();
            assert_eq!(of(&message), Some((action, 1023, Some(1))), "{}", word.escape_ascii());
        }
    }

    #[test]
    fn synthetic_uevents_are_ignored() {
        let message = b"offline@/devices/system/cpu/cpu1\0SYNTH_UUID=0\0SEQNUM=5\0";
        assert_eq!(of(message), Some((Action::Offline, 1, None)), "written to a uevent file");
        let message = b"offline@/devices/system/cpu/cpu1\0SEQNUM=5\0SYNTH_UUID=0\0";
        assert_eq!(of(message), Some((Action::Offline, 1, None)), "in any order");
    }

    #[test]
    fn messages_about_other_devices_are_ignored() {
        let no: [&[u8]; 14] = [
            b"",
            b"\0",
            b"@",
            b"online@",
            b"unbind@/devices/system/cpu/cpu1\0",
            b"online@/devices/system/cpu/cpu",
            b"online@/devices/system/cpu/cpu+1\0",
            b"online@/devices/system/cpu/cpu65536\0",
            b"online@/devices/system/cpu/cpu99999999999999999999999\0",
            b"online@/devices/system/cpu/cpufreq\0",
            b"online@/devices/system/cpu/cpu1/cache\0",
            b"online@/devices/system/memory/memory1\0",
            b"libudev\0\xfe\xed\xca\xfeonline@/devices/system/cpu/cpu1\0",
            b"\xff\0online@/devices/system/cpu/cpu1\0",
        ];
        for message in no {
            assert_eq!(of(message), None, "{}", message.escape_ascii());
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_parsed_without_a_panic(
            head in prop_oneof![Just(""), Just("offline@/devices/system/cpu/cpu"), Just("add@/d")],
            rest in prop::collection::vec(any::<u8>(), 0..600),
        ) {
            let message = [head.as_bytes(), &rest].concat();
            if let Some(event) = Uevent::parse(&message) {
                prop_assert!(event.id.0 <= LARGEST, "{} is not a processor", event.id);
            }
        }
    }

    #[test]
    fn a_flood_is_read_in_parts_and_lost_messages_are_reported() {
        let (mut asked, mut heard) = (0, 0);
        let flood = |_: &mut [u8]| {
            asked += 1;
            if asked % 2 == 0 { Ok(Some(9)) } else { Err(Errno::INTR) }
        };
        let some_left = Drained { lost: false, emptied: false };
        assert_eq!(drain(flood, |_| heard += 1), Ok(some_left));
        assert_eq!((asked, heard), (BATCH, BATCH / 2), "the reading comes to an end");

        let mut script =
            vec![Err(Errno::AGAIN), Ok(None), Err(Errno::NOBUFS), Ok(Some(usize::MAX))];
        let mut lengths = Vec::new();
        let scripted = |_: &mut [u8]| script.pop().unwrap();
        let lossy = Drained { lost: true, emptied: true };
        assert_eq!(drain(scripted, |m| lengths.push(m.len())), Ok(lossy), "ENOBUFS is a loss");
        assert_eq!(
            lengths,
            [MESSAGE],
            "a message of another sender is skipped, and an excessive length is cut"
        );
        assert_eq!(drain(|_| Err(Errno::BADF), |_| ()), Err(Errno::BADF), "the socket's end");
    }

    /// Waits for a message for which `wanted` holds. This is a real machine, so other messages may come first.
    fn wait(socket: &OwnedFd, mut wanted: impl FnMut(Option<&[u8]>) -> bool) {
        let (began, mut buffer) = (Instant::now(), [0; MESSAGE]);
        loop {
            assert!(began.elapsed() < Duration::from_secs(20), "the message never came");
            let second = Timespec { tv_sec: 1, tv_nsec: 0 };
            poll(&mut [PollFd::new(socket, PollFlags::IN)], Some(&second)).unwrap();
            match receive(socket, &mut buffer) {
                Ok(length) if wanted(length.map(|l| &buffer[..l])) => return,
                Ok(_) | Err(Errno::AGAIN | Errno::INTR | Errno::NOBUFS) => {}
                Err(errno) => panic!("{errno}"),
            }
        }
    }

    #[test]
    fn listening_for_uevents_needs_no_privilege() {
        match listen() {
            Ok(socket) => assert!(drain(|b| receive(&socket, b), |_| ()).is_ok()),
            Err(errno) => skip(Need::Uevents, &format!("listening, which gave {errno},")),
        }
    }

    #[test]
    fn only_messages_of_the_kernel_are_accepted() {
        let (Ok(socket), Ok(stranger)) = (listen(), listen()) else {
            return skip(Need::Uevents, "the kernel's word");
        };
        let port = SocketAddrNetlink::try_from(getsockname(&socket).unwrap()).unwrap();
        let to = SocketAddrNetlink::new(port.pid(), 0);
        match sendto(&stranger, OFFLINE, SendFlags::empty(), &to) {
            Ok(_) => wait(&socket, |message| message.is_none()),
            Err(errno) => {
                skip(Need::Uevents, &format!("a stranger's message, which gave {errno},"));
            }
        }
        // Requests a change event of /dev/null, which changes nothing.
        match std::fs::write("/sys/devices/virtual/mem/null/uevent", "change") {
            Ok(()) => wait(&socket, |message| {
                message.is_some_and(|m| m.starts_with(b"change@/devices/virtual/mem/null\0"))
            }),
            Err(error) => skip(Need::Uevents, &format!("the kernel's message: {error}; it")),
        }
    }
}
