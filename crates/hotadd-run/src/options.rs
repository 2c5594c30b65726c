//! [`Options`]: what a run is asked for.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use hotadd::{CpuList, Follow};
use hotadd_daemon::spec::{DriverSpec, SimulateSpec};
use hotadd_service::{BusAddress, MetricsAddress};

use crate::fail_on::FailOn;

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
