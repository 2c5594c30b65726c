//! The sandbox of a driver's process: what a driver cannot reach cannot come to harm by its accidents.
//!
//! It is put up in two steps, because what is allowed to bring code into memory is not to be allowed to that code:
//! [`drop_privileges`] once the file is read and before any of it runs, [`confine`] once it is in memory.
//!
//! What is left: memory that is not executable, threads of its own, clocks, signals to itself, and the descriptors that it
//! has, which are two sockets, the error output and nothing else.

mod filter;
mod forbidden;
mod privileges;

use std::fmt;
use std::io;

use hotadd::Status;

use crate::ke::time;

/// Who is told of a forbidden system call, on a thread of its own. It must not allocate, as the thread that made the call may
/// have stopped in the middle of that. The process ends when it returns.
pub type Tell = Box<dyn Fn(Status, fmt::Arguments<'_>) + Send + Sync>;

/// Why a sandbox was not put up. Nothing of a driver is to run without it.
#[derive(Debug, thiserror::Error)]
#[error("the sandbox cannot be put up: {what}: {error}")]
pub struct SandboxError {
    what: &'static str,
    error: io::Error,
}

impl SandboxError {
    fn new(what: &'static str, error: impl Into<io::Error>) -> Self {
        Self { what, error: error.into() }
    }

    /// What the last call to the C library said.
    fn last(what: &'static str) -> Self {
        Self { what, error: io::Error::last_os_error() }
    }
}

/// Gives up every privilege for good, and what no driver needs of memory, files and cores. To be called before there is a
/// second thread.
///
/// # Errors
/// If the kernel refuses.
pub fn drop_privileges() -> Result<(), SandboxError> {
    privileges::drop_all()?;
    privileges::limit()
}

/// Forbids every system call but those that a loaded driver and its host need. A forbidden one is a
/// fault that names it, and the end of the process.
///
/// # Errors
/// If the kernel refuses.
pub fn confine(tell: Tell) -> Result<(), SandboxError> {
    // The last look at a file.
    time::prepare();
    few_arenas()?;
    privileges::seal()?;
    forbidden::report(tell)?;
    filter::install()
}

/// Bounds how many heaps the C library makes for threads. Without a bound it reads in a file how many processors this machine has,
/// when a driver has come to some threads.
fn few_arenas() -> Result<(), SandboxError> {
    const MOST: libc::c_int = 16;
    // SAFETY: no conditions.
    match unsafe { libc::mallopt(libc::M_ARENA_MAX, MOST) } {
        0 => Err(SandboxError::last("the heap's bounds")),
        _ => Ok(()),
    }
}
