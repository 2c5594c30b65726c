//! What the library does in a process that was forked: nothing that could hang.
//!
//! A child has the memory of its parent and only the thread that forked. Locks that another thread held stay locked, and no
//! thread makes callbacks there. So a child may not use the partitions and registrations of its parent.

use std::process;
use std::sync::OnceLock;

use hotadd::Status;

use crate::failure::Failure;

/// The process that made the first object.
static PROCESS: OnceLock<u32> = OnceLock::new();

/// Checks that this process made the objects. Before any lock is taken.
pub(crate) fn check() -> Result<(), Failure> {
    if *PROCESS.get_or_init(process::id) == process::id() {
        return Ok(());
    }
    let message = "this process was forked from one that uses hotadd; it can call exec, and start again in the new program";
    Err(Failure::new(Status::INVALID_DEVICE_STATE, message))
}
