//! The sandbox of a driver's process: what a driver cannot reach cannot come to harm by its accidents.
//!
//! It is put up in steps, because what brings code into memory may do more than that code:
//! 1. [`close_inherited`] first of all: what whoever started us had open is nothing to a driver.
//! 2. [`drop_privileges`] once the file is read.
//! 3. [`restrict`] before the system's linker sees the file, which it trusts: from then on files can be read and code be brought in, and
//!    that is all.
//! 4. [`confine`] once it is in memory, and before any of it runs, constructors too.
//!
//! What is left: memory that is not executable, threads of its own, clocks, signals to itself, and the descriptors that it
//! has, which are two sockets, the error output and nothing else.

mod filter;
mod forbidden;
mod privileges;

use std::fmt;
use std::io;

use hotadd::Status;

use self::filter::Stage;
use crate::ground::time_zone;

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

/// Closes every descriptor but the first three. To be called before anything else is opened.
///
/// # Errors
/// If the kernel refuses.
pub fn close_inherited() -> Result<(), SandboxError> {
    // SAFETY: numbers alone. Nothing here owns a descriptor yet; the C library has not had it since Linux 5.9 everywhere.
    match unsafe { libc::syscall(libc::SYS_close_range, 3, libc::c_uint::MAX, 0) } {
        0 => Ok(()),
        _ => Err(SandboxError::last("closing what was inherited")),
    }
}

/// Gives up every privilege for good, and what no driver needs of memory, threads, files and cores. To be called before there is a
/// second thread. From then on the process ends when the thread that started it does, and before ours when memory is short.
///
/// # Errors
/// If the kernel refuses.
pub fn drop_privileges() -> Result<(), SandboxError> {
    few_arenas()?;
    privileges::raise_oom_score();
    privileges::drop_all()?;
    privileges::limit()?;
    privileges::end_with_parent()
}

/// Leaves no more than what it takes to load a file: reading files, bringing code into memory, and what [`confine`] leaves. A forbidden
/// system call is a fault that names it, and the end of the process. To be called before there is a second thread.
///
/// # Errors
/// If the kernel refuses.
pub fn restrict(tell: Tell) -> Result<(), SandboxError> {
    find_zone_once();
    forbidden::report(tell)?;
    filter::install(Stage::Loading)
}

/// Without this variable the C library looks at the file of the time zone again and again.
fn find_zone_once() {
    if std::env::var_os("TZ").is_none() {
        // SAFETY: there is one thread.
        unsafe { std::env::set_var("TZ", ":/etc/localtime") };
    }
    time_zone::prepare();
}

/// Forbids every system call but those that a loaded driver and its host need.
///
/// # Errors
/// If the kernel refuses.
pub fn confine() -> Result<(), SandboxError> {
    privileges::seal()?;
    filter::install(Stage::Running)
}

/// The C library is to have one heap. With several it gives memory back in another way, for which it reads a file, as it does to find
/// out how many there may be.
fn few_arenas() -> Result<(), SandboxError> {
    // SAFETY: no conditions.
    match unsafe { libc::mallopt(libc::M_ARENA_MAX, 1) } {
        0 => Err(SandboxError::last("the heap's bounds")),
        _ => Ok(()),
    }
}
