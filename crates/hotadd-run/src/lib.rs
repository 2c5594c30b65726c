//! Runs a command in a partition of its own: processors join it, and leave it, while the command runs, if all parties agree.
//!
//! [`run`] makes the partition, registers the drivers, starts the command and changes the set of processors as planned. Without a
//! command, a built-in load runs there instead. What happens is shown by a [`Display`].
//!
//! A program that uses this crate must have the commands `host` and `workload` of `hotadd`, which call [`hotadd_daemon::host::run`]
//! and [`workload::run`]: they are started from the file of the running program.

#![cfg_attr(not(test), warn(clippy::unwrap_used))]

mod child;
mod display;
mod driver_output;
mod fail_on;
mod failure;
mod fence;
mod first;
mod load;
mod message;
mod options;
mod plan;
mod session;
mod signals;
pub mod workload;

use hotadd_daemon::view::View;

pub use self::display::{Display, News};
pub use self::fail_on::FailOn;
pub use self::failure::CannotBegin;
pub use self::options::{Add, Options, Over};
use self::session::Session;
pub use self::signals::end_with;

/// Performs a run, which is shown by the display that `open` returns. Returns the exit status. Must be called once in a process, on
/// its main thread.
///
/// # Errors
/// The run cannot begin. An error of `open` counts as a request that is not valid.
pub fn run<D: Display>(
    options: &Options,
    open: impl FnOnce(&View) -> Result<D, String>,
) -> Result<i32, CannotBegin> {
    Ok(Session::begin(options, open)?.conduct())
}
