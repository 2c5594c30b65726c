//! Threads and their masks on the running kernel.

use std::collections::HashSet;
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::OnceLock;

use rustix::fs::{Mode, OFlags, RawDir};
use rustix::io::Errno;
use rustix::process::Pid;
use rustix::time::{ClockId, clock_gettime};

use super::mask::Mask;
use super::stat::Stat;
use super::threads::{Masks, Owner, Processes, Table};
use crate::hardware::file::errno;

/// Ticks a second in `/proc/PID/stat`: the same on every architecture (`USER_HZ`).
const TICKS: u64 = 100;

/// The number of bytes of a directory that are listed at once: some thousand threads.
const LISTED: usize = 64 * 1024;

/// The running kernel.
#[derive(Debug)]
pub(in crate::hardware) struct Linux;

impl Masks for Linux {
    fn stat(&self, pid: Pid) -> Result<Stat, Errno> {
        // The file has 52 numbers and a name of at most 64 bytes. The numbers that are needed come before
        // byte 520.
        let mut buffer = [0; 1024];
        let read = File::open(format!("/proc/{pid}/stat")).and_then(|mut f| f.read(&mut buffer));
        let length = read.map_err(|e| gone(errno(&e)))?;
        Stat::parse(&buffer[..length]).ok_or(Errno::IO)
    }

    fn mask(&self, thread: Pid) -> Result<Mask, Errno> {
        Mask::of_thread(thread)
    }

    fn set_mask(&self, thread: Pid, mask: &Mask) -> Result<(), Errno> {
        rustix::thread::sched_setaffinity(Some(thread), &mask.0)
    }

    fn owner(&self, thread: Pid) -> Option<Owner> {
        let status =
            crate::hardware::file::read(Path::new(&format!("/proc/{thread}/status"))).ok()?;
        let field = |name: &str| {
            let of = |line: &str| line.strip_prefix(name).map(|value| value.trim().to_owned());
            status.lines().find_map(of)
        };
        let process = field("Tgid:")?.parse().ok().and_then(Pid::from_raw)?;
        // The kernel escapes control characters here. `cut` cleans the rest.
        let name = crate::text::cut(&field("Name:")?, 16);
        Some(Owner { process, name })
    }

    fn ticks(&self) -> u64 {
        let now = clock_gettime(ClockId::Boottime);
        let (seconds, nanos) = (now.tv_sec.unsigned_abs(), now.tv_nsec.unsigned_abs());
        seconds * TICKS + nanos * TICKS / 1_000_000_000
    }

    fn overwrites(&self) -> bool {
        static OVERWRITES: OnceLock<bool> = OnceLock::new();
        *OVERWRITES
            .get_or_init(|| is_before_6_2(&rustix::system::uname().release().to_string_lossy()))
    }
}

impl Processes for Linux {
    fn processes(&self, but: &HashSet<Pid>) -> Result<Table, Errno> {
        let mut table = Table::default();
        for pid in numbers(Path::new("/proc"))? {
            if but.contains(&pid) {
                table.passed.insert(pid);
                continue;
            }
            match self.stat(pid) {
                Ok(stat) => table.found.push(stat),
                Err(Errno::SRCH) => table.missed = true,
                // This /proc hides the processes of other users.
                Err(Errno::ACCESS | Errno::PERM) => {}
                Err(errno) => return Err(errno),
            }
        }
        Ok(table)
    }

    fn threads(&self, process: Pid) -> Result<Vec<Pid>, Errno> {
        numbers(Path::new(&format!("/proc/{process}/task")))
    }
}

/// The entries of a directory that are process or thread ids, in the order in which the kernel lists them.
fn numbers(directory: &Path) -> Result<Vec<Pid>, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let directory = rustix::fs::open(directory, flags, Mode::empty()).map_err(gone)?;
    let mut ids = Vec::new();
    let mut buffer = Vec::with_capacity(LISTED);
    // Raw entries are used for speed: a process may have tens of thousands of threads, and this runs four
    // times a second.
    let mut entries = RawDir::new(directory, buffer.spare_capacity_mut());
    while let Some(entry) = entries.next() {
        let entry = entry.map_err(gone)?;
        let name = std::str::from_utf8(entry.file_name().to_bytes()).ok();
        ids.extend(name.and_then(|name| Pid::from_raw(name.parse().ok()?)));
    }
    Ok(ids)
}

/// The error of `/proc` for a process that has ended depends on how far reading had got.
fn gone(errno: Errno) -> Errno {
    if errno == Errno::NOENT { Errno::SRCH } else { errno }
}

/// An unreadable version counts as old. Then more is put right than necessary.
fn is_before_6_2(release: &str) -> bool {
    let mut parts = release.split(|c: char| !c.is_ascii_digit()).map(str::parse::<u32>);
    match (parts.next(), parts.next()) {
        (Some(Ok(major)), Some(Ok(minor))) => (major, minor) < (6, 2),
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masks_are_overwritten_up_to_6_1_and_kept_from_6_2_on() {
        for old in ["6.1.0-18-cloud-amd64", "5.15.0", "6.1", "4.19.0+", "", "nonsense", "6."] {
            assert!(is_before_6_2(old), "{old:?}");
        }
        for new in ["6.2.0", "6.12.6-cloud-amd64", "7.0-rc1", "10.1"] {
            assert!(!is_before_6_2(new), "{new:?}");
        }
    }

    #[test]
    fn threads_are_listed_with_process_name_and_start_time() {
        let (thread, process) = (rustix::thread::gettid(), rustix::process::getpid());
        let owner = Linux.owner(thread).expect("this thread has an owner");
        assert_eq!(owner.process, process);
        assert!(!owner.name.is_empty(), "and a name");
        let born = Linux.stat(thread).unwrap().born.expect("it was born");
        assert!(born <= Linux.ticks(), "before now: {born}");
        assert!(born > 0 && Linux.ticks() - born < 100 * 60 * 60, "this test is not an hour old");
    }
}
