//! The resources of this process that may leak: descriptors, threads, memory.

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use super::PATIENCE;

/// The numbers of descriptors and threads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counts {
    pub descriptors: usize,
    pub threads: usize,
}

impl Counts {
    pub fn now() -> Self {
        let count = |path| fs::read_dir(path).unwrap().count();
        Self { descriptors: count("/proc/self/fd"), threads: count("/proc/self/task") }
    }

    /// Counts until there is no more than this, or for [`PATIENCE`]. A thread exists until the kernel has reaped it, which no
    /// event reports, so this polls.
    pub fn settled(most: Self) -> Self {
        let began = Instant::now();
        loop {
            let now = Self::now();
            if now.is_within(most) || began.elapsed() > PATIENCE {
                return now;
            }
            thread::sleep(Duration::from_millis(10));
        }
    }

    pub fn is_within(self, most: Self) -> bool {
        self.descriptors <= most.descriptors && self.threads <= most.threads
    }
}

/// How much of this process's memory is in use, in KiB.
pub fn resident() -> usize {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a size");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}

/// Raises the limit of descriptors to its maximum, because both ends of every connection are in this process.
pub fn raise_descriptors(needed: u64) {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let current = limit.maximum;
    assert!(
        current.is_none_or(|most| most >= needed),
        "this needs {needed} descriptors, and `ulimit -Hn` allows {current:?}"
    );
    setrlimit(Resource::Nofile, Rlimit { current, ..limit }).unwrap();
}
