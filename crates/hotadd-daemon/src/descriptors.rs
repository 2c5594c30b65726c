//! How many descriptors this process may have open: every connection is one, and the usual limit of 1,024 is a few too few for
//! as many connections as the service takes.
//!
//! The usual limit is for the sake of programs that use select(2), which knows no descriptor above it. So it is raised here
//! only, and everything that this starts gets it back.

use std::io;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::sync::OnceLock;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// What the limit was, if it was raised.
static BEFORE: OnceLock<Rlimit> = OnceLock::new();

/// Raises the limit as far as it goes without privileges.
pub fn raise() {
    let before = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: before.maximum, maximum: before.maximum };
    if before.current == before.maximum {
        return;
    }
    BEFORE.get_or_init(|| before);
    // If not even that is allowed, the limit that there is has to do: connections beyond it wait.
    let _ = setrlimit(Resource::Nofile, raised);
}

/// Has a command begin with the limit that there was before.
pub fn give_back(command: &mut Command) {
    let Some(&before) = BEFORE.get() else { return };
    let prepare = move || setrlimit(Resource::Nofile, before).map_err(io::Error::from);
    // SAFETY: between fork and exec only async-signal-safe things may be done. `prepare` copies two numbers and makes one
    // system call; it neither allocates nor locks, and neither does the conversion of an error number.
    unsafe { command.pre_exec(prepare) };
}
