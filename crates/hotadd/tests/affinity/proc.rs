//! Reading real processes, by other means than the code under test.

use std::fs;
use std::time::{Duration, Instant};

use hotadd::{CpuList, HardwareId};
use rustix::process::Pid;
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// Every living thread of a process and its descendants, with its mask.
pub(crate) fn masks(root: u32) -> Vec<(Pid, CpuList)> {
    let all: Vec<_> =
        numbers("/proc").into_iter().filter_map(|pid| Some((pid, stat(pid)?.1))).collect();
    let mut processes = vec![root];
    let mut at = 0;
    while let Some(process) = processes.get(at).copied() {
        processes.extend(all.iter().filter(|(_, parent)| *parent == process).map(|(pid, _)| *pid));
        at += 1;
    }
    let threads = processes.iter().flat_map(|process| numbers(&format!("/proc/{process}/task")));
    let alive = threads
        .filter(|thread| stat(*thread).is_some_and(|(state, _)| state != 'Z' && state != 'X'));
    let masks = alive.filter_map(|thread| {
        let pid = Pid::from_raw(thread.try_into().unwrap())?;
        Some((pid, ids(&sched_getaffinity(Some(pid)).ok()?)))
    });
    masks.collect()
}

/// The state and the parent. No process of these tests has a parenthesis in its name.
fn stat(pid: u32) -> Option<(char, u32)> {
    let line = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let mut fields = line.rsplit_once(") ")?.1.split(' ');
    Some((fields.next()?.chars().next()?, fields.next()?.parse().ok()?))
}

pub(crate) fn own_mask() -> CpuList {
    ids(&sched_getaffinity(None).unwrap())
}

/// Sets a thread's mask, as the thread itself would.
pub(crate) fn pin(thread: Pid, HardwareId(id): HardwareId) {
    let mut set = CpuSet::new();
    set.set(id as usize);
    sched_setaffinity(Some(thread), &set).unwrap();
}

pub(crate) fn parse(path: &str) -> CpuList {
    fs::read_to_string(path).unwrap().parse().unwrap()
}

/// Waits for an expected condition, and fails the test if it does not come true.
pub(crate) fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !holds() {
        assert!(begin.elapsed() < Duration::from_secs(60), "not in time: {what}");
        // The pause only leaves the processor to those that are waited for.
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn numbers(directory: &str) -> Vec<u32> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

fn ids(set: &CpuSet) -> CpuList {
    (0..1024).filter(|id| set.is_set(*id)).map(|id| HardwareId(id.try_into().unwrap())).collect()
}
