//! The sandbox of a driver's process: a driver's accident cannot harm what the driver cannot reach.
//!
//! The sandbox is set up in steps, because loading code needs more rights than the code itself:
//! 1. [`close_inherited`] comes first: a driver needs no descriptor that was open in the process that started this one.
//! 2. [`drop_privileges`] follows once the file is read.
//! 3. [`restrict`] comes before the system's linker sees the file, because the linker trusts it. From then on files can be read
//!    and code can be loaded, and nothing else.
//! 4. [`confine`] follows once the driver is in memory, before any of its code runs, constructors included.
//!
//! The driver keeps: memory that is not executable, threads of its own, clocks, signals to itself, and its descriptors, which
//! are two sockets and the error output.

mod filter;
mod forbidden;
mod privileges;

use std::fmt;
use std::io;

use hotadd::Status;

use self::filter::Stage;
use crate::ground::time_zone;

/// Called for a forbidden system call, on a thread of its own. It must not allocate, as the thread that made the call
/// may have stopped in the middle of an allocation. The process ends when it returns.
pub type Tell = Box<dyn Fn(Status, fmt::Arguments<'_>) + Send + Sync>;

/// Why a sandbox could not be set up. No driver may run without it.
#[derive(Debug, thiserror::Error)]
#[error("the sandbox cannot be set up: {what}: {error}")]
pub struct SandboxError {
    what: &'static str,
    error: io::Error,
}

impl SandboxError {
    fn new(what: &'static str, error: impl Into<io::Error>) -> Self {
        Self { what, error: error.into() }
    }

    /// The error of the last call to the C library.
    fn last(what: &'static str) -> Self {
        Self { what, error: io::Error::last_os_error() }
    }
}

/// Closes every descriptor except the first three. Must be called before anything else is opened.
///
/// # Errors
/// The kernel refuses.
pub fn close_inherited() -> Result<(), SandboxError> {
    // SAFETY: the arguments are numbers. Nothing here owns a descriptor yet. Linux has had the call since 5.9; not every
    // C library has a function for it.
    match unsafe { libc::syscall(libc::SYS_close_range, 3, libc::c_uint::MAX, 0) } {
        0 => Ok(()),
        _ => Err(SandboxError::last("closing inherited descriptors")),
    }
}

/// Gives up every privilege permanently, and limits memory, threads, files and core dumps to what a driver needs.
/// Must be called before there is a second thread. From then on the process ends when the thread that started it
/// ends, and the kernel kills it before the parent when memory is short.
///
/// # Errors
/// The kernel refuses.
pub fn drop_privileges() -> Result<(), SandboxError> {
    few_arenas()?;
    privileges::raise_oom_score();
    privileges::drop_all()?;
    privileges::limit()?;
    privileges::end_with_parent()
}

/// Allows only what loading a file needs: reading files, loading code, and what [`confine`] allows. A forbidden
/// system call is a fault that names it, and ends the process. Must be called before there is a second thread.
///
/// # Errors
/// The kernel refuses.
pub fn restrict(tell: Tell) -> Result<(), SandboxError> {
    find_zone_once();
    forbidden::report(tell)?;
    filter::install(Stage::Loading)
}

/// Without this variable the C library opens the time zone's file again and again.
fn find_zone_once() {
    if std::env::var_os("TZ").is_none() {
        // SAFETY: there is only one thread.
        unsafe { std::env::set_var("TZ", ":/etc/localtime") };
    }
    time_zone::prepare();
}

/// Forbids every system call but those that a loaded driver and its host need.
///
/// # Errors
/// The kernel refuses.
pub fn confine() -> Result<(), SandboxError> {
    privileges::seal()?;
    filter::install(Stage::Running)
}

/// Restricts the C library to one heap. With several, it returns memory in another way for which it reads a file, and
/// it also reads a file to determine how many there may be.
fn few_arenas() -> Result<(), SandboxError> {
    // SAFETY: no conditions.
    match unsafe { libc::mallopt(libc::M_ARENA_MAX, 1) } {
        0 => Err(SandboxError::last("the heap's bounds")),
        _ => Ok(()),
    }
}
