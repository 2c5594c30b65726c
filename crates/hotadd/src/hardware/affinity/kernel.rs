//! What the rest of this backend asks of the kernel, as a trait so that tests can refuse, hot-plug and fork at will.

use std::collections::HashSet;
use std::fmt::Debug;
use std::fs::{self, File};
use std::io::{self, Read};
use std::thread;

use rustix::process::Pid;

use super::mask::Mask;
use super::stat::Stat;
use crate::CpuList;

/// The kernel's own error.
pub(super) type Errno = rustix::io::Errno;

/// Asks and tells the kernel. A process or thread that has ended is `ESRCH`.
pub(super) trait Kernel: Debug + Send + Sync {
    /// The processors that there can ever be.
    fn possible(&self) -> Result<Mask, Errno>;

    /// The processors that are online.
    fn online(&self) -> Result<Mask, Errno>;

    /// The processors that the kernel would let this process use, whatever its masks are now.
    fn permitted(&self) -> Result<Mask, Errno>;

    /// Every process that we can see, but for these, and whether one ended before it was read.
    fn processes(&self, but: &HashSet<Pid>) -> Result<(Vec<Stat>, bool), Errno>;

    /// The threads of a process. One that ends meanwhile can make the kernel's list skip another.
    fn threads(&self, process: Pid) -> Result<Vec<Pid>, Errno>;

    /// A process or a single thread.
    fn stat(&self, pid: Pid) -> Result<Stat, Errno>;

    /// A thread's mask, less the processors that are offline.
    fn mask(&self, thread: Pid) -> Result<Mask, Errno>;

    /// Sets a thread's mask. The kernel may cut it without saying so.
    fn set_mask(&self, thread: Pid, mask: &Mask) -> Result<(), Errno>;
}

/// The kernel that we run on.
#[derive(Debug)]
pub(super) struct Linux;

impl Kernel for Linux {
    fn possible(&self) -> Result<Mask, Errno> {
        list("/sys/devices/system/cpu/possible")
    }

    fn online(&self) -> Result<Mask, Errno> {
        list("/sys/devices/system/cpu/online")
    }

    fn permitted(&self) -> Result<Mask, Errno> {
        // Nothing in /proc or /sys says it on every kernel. But the kernel cuts a mask to what it permits, so a thread
        // that asks for everything can read it off. A thread of its own, so that nobody's mask is touched.
        let probe = || {
            let before = rustix::thread::sched_getaffinity(None)?;
            Mask::full().adopt()?;
            let permitted = rustix::thread::sched_getaffinity(None);
            // Joined or not, it can still be listed for a moment, and must not then look like a thread with a mask of
            // its own.
            Mask(before).adopt()?;
            Ok(Mask(permitted?))
        };
        thread::scope(|scope| {
            let named = thread::Builder::new().name("hotadd-probe".into());
            let thread = named.spawn_scoped(scope, probe).map_err(|e| errno(&e))?;
            thread.join().unwrap_or(Err(Errno::IO))
        })
    }

    fn processes(&self, but: &HashSet<Pid>) -> Result<(Vec<Stat>, bool), Errno> {
        let (mut found, mut missed) = (Vec::new(), false);
        for pid in numbers("/proc")?.into_iter().filter(|pid| !but.contains(pid)) {
            match self.stat(pid) {
                Ok(stat) => found.push(stat),
                Err(Errno::SRCH) => missed = true,
                // This /proc hides what others' processes do.
                Err(Errno::ACCESS | Errno::PERM) => {}
                Err(errno) => return Err(errno),
            }
        }
        Ok((found, missed))
    }

    fn threads(&self, process: Pid) -> Result<Vec<Pid>, Errno> {
        numbers(&format!("/proc/{process}/task"))
    }

    fn stat(&self, pid: Pid) -> Result<Stat, Errno> {
        // 52 numbers and a name of at most 64 bytes; what we need comes before byte 200.
        let mut buffer = [0; 1024];
        let read = File::open(format!("/proc/{pid}/stat")).and_then(|mut f| f.read(&mut buffer));
        let length = read.map_err(|e| gone(errno(&e)))?;
        Stat::parse(&buffer[..length]).ok_or(Errno::IO)
    }

    fn mask(&self, thread: Pid) -> Result<Mask, Errno> {
        rustix::thread::sched_getaffinity(Some(thread)).map(Mask)
    }

    fn set_mask(&self, thread: Pid, mask: &Mask) -> Result<(), Errno> {
        rustix::thread::sched_setaffinity(Some(thread), &mask.0)
    }
}

/// The entries of a directory that are process or thread ids, in the order in which the kernel lists them.
fn numbers(directory: &str) -> Result<Vec<Pid>, Errno> {
    let mut ids = Vec::new();
    for entry in fs::read_dir(directory).map_err(|e| gone(errno(&e)))? {
        let entry = entry.map_err(|e| gone(errno(&e)))?;
        let id = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok());
        ids.extend(id.and_then(|id| Pid::from_raw(id.try_into().ok()?)));
    }
    Ok(ids)
}

fn list(path: &str) -> Result<Mask, Errno> {
    let text = fs::read_to_string(path).map_err(|e| errno(&e))?;
    let list: CpuList = text.parse().map_err(|_| Errno::IO)?;
    Ok(Mask::of(list.ids().iter().copied()))
}

/// What `/proc` says of a process that has ended depends on how far we had got.
fn gone(errno: Errno) -> Errno {
    if errno == Errno::NOENT { Errno::SRCH } else { errno }
}

fn errno(error: &io::Error) -> Errno {
    Errno::from_io_error(error).unwrap_or(Errno::IO)
}
