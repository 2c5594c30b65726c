//! [`HostSpec`] and [`HostError`]: which process hosts a driver, and why its driver did not register.

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use hotadd::Status;

use super::report::Output;
use crate::children::{Ending, Start};
use crate::parties::loss::Loss;
use crate::parties::named::Named;
use crate::text::span;

/// Receives a driver's reports. It is called on a thread of this program that serves only that driver's process.
/// Until it returns, no further report of that process is read.
pub type OutputHandler = Arc<dyn Fn(Output) + Send + Sync>;

/// Which process hosts a driver. The process starts with an empty environment.
#[derive(Clone)]
pub struct HostSpec {
    /// The name under which its driver registers.
    pub name: String,
    /// The program.
    pub program: PathBuf,
    /// Its arguments.
    pub args: Vec<OsString>,
    /// How the process is started, if not in the usual way.
    pub start: Option<Start>,
    /// How often the process is restarted after it has ended or its driver was deregistered. The first pause is 100 ms,
    /// and each further pause is twice as long.
    pub restarts: u32,
    /// The level at which its driver registers (O1).
    pub level: i32,
    /// The time limit of one answer of its driver.
    pub time_limit: Duration,
    /// The time in which the process must end when it is told to. After that it is killed.
    pub grace: Duration,
    /// The driver is a file that the process loads. It may register several callbacks or none, and stays loaded when it
    /// deregisters them.
    pub loads: bool,
    /// Receives the reports, and what the process writes to its error output. If this is `None`, they go to this
    /// program's error output, with the driver's name.
    pub on_output: Option<OutputHandler>,
    /// The required party that the driver stands for (L4).
    pub required: Option<Named>,
}

/// Why a driver in a process of its own did not register. The process is gone.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HostError {
    /// The process could not be started, or it cannot be watched.
    #[error("{name} cannot be started in a separate process: {reason}")]
    NotStarted {
        /// The driver.
        name: String,
        /// Why.
        reason: String,
    },
    /// The process ended before its driver had registered.
    #[error("{name} did not register: its process {ending}")]
    Ended {
        /// The driver.
        name: String,
        /// How.
        ending: Ending,
    },
    /// The process reports that its driver did not register; or the driver was deregistered during
    /// registration (L3).
    #[error("{name} did not register: {reason}")]
    Refused {
        /// The driver.
        name: String,
        /// The driver's own text, made safe to display.
        reason: String,
    },
    /// The process reports that it did not load its driver, or the driver failed while it began (L1).
    #[error("{name} is not loaded: {reason}")]
    NotLoaded {
        /// The driver.
        name: String,
        /// The driver's own text, made safe to display.
        reason: String,
    },
    /// The process did not report anything.
    #[error("{name} did not register within {}", span(*.time))]
    Silent {
        /// The driver.
        name: String,
        /// The time that was waited.
        time: Duration,
    },
}

impl HostError {
    /// The reason, without the driver's name.
    #[must_use]
    pub fn reason(&self) -> String {
        match self {
            Self::NotStarted { reason, .. } => {
                format!("it cannot be started in a separate process: {reason}")
            }
            Self::Ended { ending, .. } => format!("it did not register: its process {ending}"),
            Self::Refused { reason, .. } => format!("it did not register: {reason}"),
            Self::NotLoaded { reason, .. } => format!("it is not loaded: {reason}"),
            Self::Silent { time, .. } => format!("it did not register within {}", span(*time)),
        }
    }

    /// The status that describes the error.
    #[must_use]
    pub const fn status(&self) -> Status {
        match self {
            Self::Ended { .. } => Status::PIPE_BROKEN,
            Self::Silent { .. } => Status::IO_TIMEOUT,
            _ => Status::UNSUCCESSFUL,
        }
    }
}

/// What a watch thread receives. The number is that of the process: there may have been others before.
pub(super) enum Word {
    /// A callback of its driver is registered.
    Party(u32, u64),
    /// The driver has begun, or has not begun for this reason.
    Begun(u32, Result<(), String>),
    /// The process reports nothing more; and the fault that it reported, if any.
    Over(u32, Option<(Status, String)>),
    /// The connection of the process to the partition is gone.
    Lost(u32),
    /// The partition has closed the connection, for this reason.
    Closed(u32, Loss),
    Ended(u32, Ending),
    /// Nothing of earlier processes can be called any more.
    Alone,
    /// This party is no longer registered.
    Deregistered(u64),
    /// This party has crashed while it was called (L3).
    Crashed(u64),
    /// A party of this host's name has crashed while it registered (L3).
    CrashedInReplay(String),
    /// A party of this host's name is not registered: the partition has reported it, and the process knows.
    Refused,
    Stop,
}
