//! The descriptor limit of this process. Every connection needs a descriptor, and the usual limit of 1,024 is slightly less than
//! as many connections as the service accepts need.
//!
//! The usual limit protects programs that use select(2), which cannot handle higher descriptors. So it is raised only in this
//! process, and every process that this one starts gets the old limit back.

use std::io;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::sync::OnceLock;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// The limit before it was raised, if it was.
static BEFORE: OnceLock<Rlimit> = OnceLock::new();

/// Raises the limit to the maximum that needs no privileges.
pub fn raise() {
    let before = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: before.maximum, maximum: before.maximum };
    if before.current == before.maximum {
        return;
    }
    BEFORE.get_or_init(|| before);
    // If this fails the old limit stays: connections beyond it wait.
    let _ = setrlimit(Resource::Nofile, raised);
}

/// Makes a command start with the limit that held before.
pub fn give_back(command: &mut Command) {
    let Some(&before) = BEFORE.get() else { return };
    let prepare = move || setrlimit(Resource::Nofile, before).map_err(io::Error::from);
    // SAFETY: between fork and exec only async-signal-safe things may be done. `prepare` copies two numbers and makes one
    // system call; it neither allocates nor locks, and neither does the conversion of an error number.
    unsafe { command.pre_exec(prepare) };
}
