//! The kernel operations that the rest of this backend needs, as a trait so that tests can plug, pull and refuse
//! at will.

use std::fmt::Debug;
use std::os::fd::OwnedFd;
use std::path::PathBuf;

use hotadd_core::HardwareId;
use rustix::fs::Access;
use rustix::net::sockopt::set_socket_recv_buffer_size_force;

use crate::CpuList;
use crate::hardware::file::{Kept, open_to_write, write_opened};
use crate::hardware::uevents;

/// The kernel's error.
pub(super) type Errno = rustix::io::Errno;

/// One of the kernel's lists of processors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum List {
    /// The possible processors, fixed at boot.
    Possible,
    /// The processors that are plugged in.
    Present,
    /// The processors that run.
    Online,
}

impl List {
    /// The name of its file.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Possible => "possible",
            Self::Present => "present",
            Self::Online => "online",
        }
    }
}

/// The kernel operations. None of them retries.
pub(super) trait Kernel: Debug + Send + Sync {
    /// Reads a list. It is never empty: at least one processor runs this.
    fn list(&self, list: List) -> Result<CpuList, Errno>;

    /// Whether this process may switch the processor. `ENOENT` if the kernel gives it no switch, as is often so for
    /// processor 0.
    fn may_switch(&self, id: HardwareId) -> Result<(), Errno>;

    /// Opens the processor's switch, with the errors of [`may_switch`](Self::may_switch). It belongs to the processor that is
    /// plugged in now. When that processor has been unplugged, writing to the switch fails with `ENODEV`.
    fn open(&self, id: HardwareId) -> Result<OwnedFd, Errno>;

    /// Switches the processor on or off, by one write to its `online` file. The kernel accepts a write that does not fit
    /// its own state of the processor, and does nothing. Only the list shows the result.
    fn switch(&self, id: HardwareId, on: bool) -> Result<(), Errno> {
        self.switch_opened(id, &self.open(id)?, on)
    }

    /// As [`switch`](Self::switch), through the processor's opened switch.
    fn switch_opened(&self, id: HardwareId, switch: &OwnedFd, on: bool) -> Result<(), Errno>;

    /// The number of the latest uevent.
    fn sequence(&self) -> Result<u64, Errno>;

    /// Whether a new processor's `bind` event comes when the kernel has released its hot-plug lock.
    fn binds_last(&self) -> bool;

    /// A descriptor that is readable when there are uevents.
    fn listen(&self) -> Result<OwnedFd, Errno>;

    /// A second descriptor, for a reader that must not take events from the first.
    fn monitor(&self) -> Result<OwnedFd, Errno> {
        self.listen()
    }

    /// Receives the next uevent. Returns its length in the buffer, or `None` if it does not come from the kernel.
    fn receive(&self, socket: &OwnedFd, buffer: &mut [u8]) -> Result<Option<usize>, Errno>;
}

/// A buffer for the uevents of a thousand processors that come at once. The default buffer holds some ninety.
const BACKLOG: usize = 4 << 20;

/// The running kernel.
#[derive(Debug)]
pub(super) struct Linux {
    /// `/sys`, or a test's substitute.
    sys: PathBuf,
    /// In the order of [`List`].
    lists: [Kept; 3],
    sequence: Kept,
    binds_last: bool,
}

impl Linux {
    pub(super) fn new() -> Self {
        let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        Self::at("/sys".into(), binds_last(&release))
    }

    fn at(sys: PathBuf, binds_last: bool) -> Self {
        let cpu = sys.join("devices/system/cpu");
        let lists = [List::Possible, List::Present, List::Online];
        let lists = lists.map(|list| Kept::new(cpu.join(list.name())));
        Self { lists, sequence: Kept::new(sys.join("kernel/uevent_seqnum")), sys, binds_last }
    }

    fn of(&self, id: HardwareId) -> PathBuf {
        self.sys.join(format!("devices/system/cpu/cpu{id}/online"))
    }
}

impl Kernel for Linux {
    fn list(&self, list: List) -> Result<CpuList, Errno> {
        let text = self.lists[list as usize].read()?;
        text.parse().ok().filter(|list: &CpuList| !list.is_empty()).ok_or(Errno::IO)
    }

    fn may_switch(&self, id: HardwareId) -> Result<(), Errno> {
        rustix::fs::access(self.of(id), Access::WRITE_OK)
    }

    fn open(&self, id: HardwareId) -> Result<OwnedFd, Errno> {
        open_to_write(&self.of(id))
    }

    fn switch_opened(&self, _: HardwareId, switch: &OwnedFd, on: bool) -> Result<(), Errno> {
        write_opened(switch, if on { b"1" } else { b"0" })
    }

    fn sequence(&self) -> Result<u64, Errno> {
        self.sequence.read()?.trim().parse().map_err(|_| Errno::IO)
    }

    fn binds_last(&self) -> bool {
        self.binds_last
    }

    fn listen(&self) -> Result<OwnedFd, Errno> {
        let socket = uevents::listen()?;
        // Only root may do this, and only root starts processors.
        let _ = set_socket_recv_buffer_size_force(&socket, BACKLOG);
        Ok(socket)
    }

    fn receive(&self, socket: &OwnedFd, buffer: &mut [u8]) -> Result<Option<usize>, Errno> {
        uevents::receive(socket, buffer)
    }
}

/// Determined by the release: true on 6.1, false on 6.12. The releases in between are untested.
fn binds_last(release: &str) -> bool {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(str::parse::<u32>);
    match (numbers.next(), numbers.next()) {
        (Some(Ok(major)), Some(Ok(minor))) => (major, minor) <= (6, 1),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use proptest::prelude::*;
    use tempfile::TempDir;

    use super::*;

    const ONE: HardwareId = HardwareId(1);

    /// Creates a folder like the relevant part of /sys.
    fn sys() -> (TempDir, Linux) {
        let folder = tempfile::tempdir().unwrap();
        let cpu = folder.path().join("devices/system/cpu");
        fs::create_dir_all(cpu.join("cpu0")).unwrap();
        fs::create_dir_all(cpu.join("cpu1")).unwrap();
        fs::create_dir_all(folder.path().join("kernel")).unwrap();
        fs::write(cpu.join("possible"), "0-3,8\n").unwrap();
        fs::write(cpu.join("present"), "0-1\n").unwrap();
        fs::write(cpu.join("online"), "0\n").unwrap();
        fs::write(cpu.join("cpu1/online"), "0\n").unwrap();
        fs::write(folder.path().join("kernel/uevent_seqnum"), "1742\n").unwrap();
        let linux = Linux::at(folder.path().to_owned(), false);
        (folder, linux)
    }

    #[test]
    fn lists_and_switches_are_at_linux_paths() {
        let (folder, linux) = sys();
        let lists = [List::Possible, List::Present, List::Online];
        assert_eq!(lists.map(|l| linux.list(l).unwrap().to_string()), ["0-3,8", "0-1", "0"]);
        assert_eq!(linux.sequence(), Ok(1742));
        assert_eq!(linux.may_switch(ONE), Ok(()));
        assert_eq!(linux.may_switch(HardwareId(0)), Err(Errno::NOENT), "it has no online file");
        let file = folder.path().join("devices/system/cpu/cpu1/online");
        for (on, text) in [(true, "1\n"), (false, "0\n")] {
            linux.switch(ONE, on).unwrap();
            assert_eq!(
                fs::read_to_string(&file).unwrap(),
                text,
                "one byte is written, from the start"
            );
        }
        assert_eq!(linux.switch(HardwareId(0), true), Err(Errno::NOENT));
        assert!(!folder.path().join("devices/system/cpu/cpu0/online").exists(), "nothing is made");
    }

    #[test]
    fn a4_a_failed_write_gives_the_kernels_error() {
        let (folder, linux) = sys();
        let file = folder.path().join("devices/system/cpu/cpu1/online");
        fs::remove_file(&file).unwrap();
        // A device that refuses every write, as the kernel can.
        std::os::unix::fs::symlink("/dev/full", &file).unwrap();
        assert_eq!(linux.switch(ONE, true), Err(Errno::NOSPC));
    }

    #[test]
    fn the_lists_of_this_machine_can_be_read() {
        let linux = Linux::new();
        let [possible, present, online] =
            [List::Possible, List::Present, List::Online].map(|l| linux.list(l).unwrap());
        assert!(present.ids().iter().all(|id| possible.contains(*id)), "{present} of {possible}");
        assert!(online.ids().iter().all(|id| present.contains(*id)), "{online} of {present}");
        let (first, second) = (linux.sequence().unwrap(), linux.sequence().unwrap());
        assert!(first <= second, "the numbers of uevents ascend: {first}, {second}");
    }

    #[test]
    fn an_impossible_list_is_an_error_and_not_an_empty_machine() {
        let (folder, linux) = sys();
        let online = folder.path().join("devices/system/cpu/online");
        let long = "0,".repeat(40_000) + "0";
        for text in ["", "\n", "(null)", "1-0", "0-4294967295", "\0", &long] {
            fs::write(&online, text).unwrap();
            assert_eq!(linux.list(List::Online), Err(Errno::IO), "{:.20?}", text);
        }
        fs::remove_file(&online).unwrap();
        let other = Linux::at(folder.path().to_owned(), false);
        assert_eq!(other.list(List::Online), Err(Errno::NOENT));
        fs::write(folder.path().join("kernel/uevent_seqnum"), "-1").unwrap();
        assert_eq!(linux.sequence(), Err(Errno::IO));
    }

    #[test]
    fn any_bytes_in_a_list_file_are_a_list_or_an_error() {
        let (folder, linux) = sys();
        let online = folder.path().join("devices/system/cpu/online");
        proptest!(|(bytes in prop::collection::vec(any::<u8>(), 0..64))| {
            fs::write(&online, &bytes).unwrap();
            match linux.list(List::Online) {
                Ok(list) => prop_assert!(!list.is_empty(), "{}", bytes.escape_ascii()),
                Err(errno) => prop_assert_eq!(errno, Errno::IO, "{}", bytes.escape_ascii()),
            }
        });
    }

    #[test]
    fn only_examined_kernels_count_as_sending_bind_last() {
        for old in ["6.1.0-42-cloud-amd64", "5.10.0", "6.0", "6.1"] {
            assert!(binds_last(old), "{old}");
        }
        for new in ["6.2.0", "6.12.117-cloud-amd64", "10.1.0", "", "6", "six.one", "99999999999.0"]
        {
            assert!(!binds_last(new), "{new}");
        }
    }
}
