//! Sets affinity masks as `taskset` does: of one thread, or of all threads of a process.

use std::error::Error;
use std::fs;

use hotadd::CpuList;
use rustix::process::Pid;
use rustix::thread::{CpuSet, sched_setaffinity};

/// Sets the mask of a thread; without one, of this thread.
pub(crate) fn set_one(thread: Option<i32>, list: &CpuList) -> Result<(), Box<dyn Error>> {
    let thread = thread.map(|id| Pid::from_raw(id).ok_or("no such thread")).transpose()?;
    let mut mask = CpuSet::new();
    for id in list.ids() {
        mask.set(usize::try_from(id.0)?);
    }
    Ok(sched_setaffinity(thread, &mask)?)
}

/// Sets the masks of all threads that a process has at this moment.
pub(crate) fn set_all(process: i32, list: &CpuList) -> Result<(), Box<dyn Error>> {
    for entry in fs::read_dir(format!("/proc/{process}/task"))? {
        let thread = entry?.file_name().into_string().map_err(|_| "no number")?;
        set_one(Some(thread.parse()?), list)?;
    }
    Ok(())
}
