//! Runs a command in a partition of its own: processors join it, and leave it, while the command runs, if all parties agree.
//!
//! [`run`] makes the partition, registers the drivers, starts the command and changes the set of processors as planned. Without a
//! command, a built-in load runs there instead. What happens is shown by a [`Display`].
//!
//! A program that uses this crate must have the commands `host` and `workload` of `hotadd`, which call [`hotadd_daemon::host::run`]
//! and [`workload::run`]: they are started from the file of the running program.

#![cfg_attr(not(test), warn(clippy::unwrap_used))]

mod child;
mod driver_output;
mod fail_on;
mod fence;
mod first;
mod load;
mod plan;
mod session;
mod signals;
pub mod workload;

use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use hotadd::{CpuList, Follow};
use hotadd_daemon::spec::{DriverSpec, SimulateSpec};
use hotadd_daemon::view::{Note, View};
use hotadd_service::{BusAddress, MetricsAddress};
use serde::Serialize;

pub use self::fail_on::FailOn;
use self::session::Session;
pub use self::signals::end_with;

/// What a run is asked for.
#[derive(Debug)]
pub struct Options {
    /// The processors to start on, instead of the first allowed one.
    pub start: Option<CpuList>,
    /// The processors to add.
    pub add: Add,
    /// The processors to remove after that.
    pub remove: Option<CpuList>,
    /// The time between changes.
    pub every: Duration,
    /// How long the command runs before the first change.
    pub after: Option<Duration>,
    /// What happens when a processor appears.
    pub follow: Follow,
    /// How often changes that the kernel does not announce are looked for.
    pub poll: Duration,
    /// Simulated processors instead of real ones.
    pub simulate: Option<SimulateSpec>,
    /// What keeps the command to its processors; a cpuset where possible.
    pub over: Option<Over>,
    /// The drivers that must agree, in calling order.
    pub drivers: Vec<DriverSpec>,
    /// How long a driver in another process may take to answer.
    pub timeout: Duration,
    /// The name under which the partition can be reached.
    pub name: Option<String>,
    /// The message bus on which it can be reached as well.
    pub bus: Option<BusAddress>,
    /// The command and its arguments; if empty, the built-in load.
    pub command: Vec<OsString>,
    /// What makes the run fail although its command succeeds.
    pub fail_on: FailOn,
    /// Where metrics are served.
    pub metrics: Option<MetricsAddress>,
    /// Where a trace of the run is written.
    pub trace: Option<PathBuf>,
    /// The command's stdout goes to stderr, because events use stdout.
    pub to_stderr: bool,
}

/// What keeps a command to its processors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Over {
    /// A cgroup, which the kernel enforces.
    Cpuset,
    /// Affinity masks, which a program may change itself.
    Affinity,
}

/// What to add.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Add {
    /// All processors that can be added.
    All,
    /// No processor.
    None,
    /// These processors.
    List(CpuList),
}

/// Why a run cannot begin.
#[derive(Debug)]
pub struct CannotBegin {
    /// The exit status: 2 if the request is not valid, 1 if the system cannot fulfil it, 126 or 127 if the command cannot be run,
    /// 128 + the number of a signal.
    pub code: u8,
    /// The reason, for a person.
    pub reason: String,
}

impl CannotBegin {
    /// The request is not valid.
    pub(crate) const fn usage(reason: String) -> Self {
        Self { code: 2, reason }
    }

    /// The request is valid, but the system cannot fulfil it.
    pub(crate) fn system(reason: impl fmt::Display) -> Self {
        Self { code: 1, reason: reason.to_string() }
    }

    /// The same, with what failed.
    pub(crate) fn by<E: fmt::Display>(what: &str) -> impl Fn(E) -> Self {
        move |error| Self::system(format!("{what}: {error}"))
    }
}

/// What is new.
#[derive(Clone, Copy, Debug)]
pub enum News<'a> {
    /// Something happened.
    Note(Option<&'a Note>),
    /// The built-in load reported its rates.
    Rates,
    /// Some time passed.
    Time,
}

/// Shows a run to people, and writes its events for programs.
pub trait Display {
    /// Whether a person needs a moment to look at the last state.
    fn is_tui(&self) -> bool;
    /// Writes an event for programs.
    fn record(&mut self, record: &impl Serialize);
    /// Shows people the state and what is new in it.
    fn show(&mut self, what: News<'_>, view: &View);
    /// Shows the last state. Nothing is shown after that; events continue.
    fn close(&mut self, view: &View);
    /// Reports an error.
    fn wrong(&self, what: &str);
}

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
