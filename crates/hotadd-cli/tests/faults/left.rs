//! [`Held`]: the descriptors, threads and children of this process, so that a test can check that nothing is left behind.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::case::LONG;

/// Threads that end by themselves after one task, by the names that the kernel shows.
const PASSING: [&str; 3] = ["hotadd-ending", "hotadd-register", "hotadd-candidat"];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Held {
    pub(crate) descriptors: usize,
    pub(crate) threads: usize,
    /// Including zombies.
    pub(crate) children: usize,
}

impl Held {
    fn now() -> Self {
        let (descriptors, threads) = (count("/proc/self/fd"), count("/proc/self/task"));
        Self { descriptors, threads, children: children() }
    }

    /// What is held when no transaction is under way.
    pub(crate) fn at_rest() -> Self {
        comes_true(
            || !threads().any(|name| PASSING.contains(&name.as_str())),
            || format!("these end by themselves: {:?}", threads().collect::<Vec<_>>()),
        );
        Self::now()
    }

    /// Whether exactly this is held.
    fn is_so(&self) -> bool {
        // Counting children reads the status of every process of the machine, so it comes last.
        let here = || (count("/proc/self/fd"), count("/proc/self/task"));
        here() == (self.descriptors, self.threads) && Self::now() == *self
    }

    /// Waits until exactly this is held again.
    pub(crate) fn comes_back(&self, when: &str) {
        comes_true(
            || self.is_so(),
            || {
                let names: Vec<_> = threads().collect();
                format!("{when}: {self:?} were held, and now {:?}; {names:?}", Self::now())
            },
        );
    }
}

fn count(path: &str) -> usize {
    fs::read_dir(path).unwrap().count()
}

/// The names of all threads of this process.
pub(crate) fn threads() -> impl Iterator<Item = String> {
    let name = |task: &Path| fs::read_to_string(task.join("comm")).ok();
    let tasks = fs::read_dir("/proc/self/task").unwrap();
    tasks.filter_map(move |task| Some(name(&task.ok()?.path())?.trim_end().to_owned()))
}

fn children() -> usize {
    let own = format!("PPid:\t{}\n", std::process::id());
    let all = fs::read_dir("/proc").unwrap().filter_map(|entry| {
        let pid: u32 = entry.ok()?.file_name().to_str()?.parse().ok()?;
        fs::read_to_string(format!("/proc/{pid}/status")).ok()
    });
    all.filter(|status| status.contains(&own)).count()
}

/// Waits until a condition holds, and fails with this message after half of [`LONG`].
///
/// It polls, because the kernel reports no event when a thread has ended. The pause only leaves the processor to others.
pub(crate) fn comes_true(mut is_so: impl FnMut() -> bool, wrong: impl Fn() -> String) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < LONG / 2, "{}", wrong());
        std::thread::sleep(Duration::from_millis(2));
    }
}
