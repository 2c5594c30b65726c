//! [`HostSpec`] and [`HostError`]: which process hosts a driver, and why its driver did not register.

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use hotadd::Status;

use super::report::Said;
use crate::children::{Ending, Start};
use crate::parties::loss::Loss;
use crate::parties::named::Named;
use crate::text::span;

/// Where what a driver says goes. Called on a thread that belongs to its process: as long as it does not return, nothing more
/// of what that process says is read.
pub type Heard = Arc<dyn Fn(Said) + Send + Sync>;

/// Which process hosts a driver. It begins with an empty environment.
#[derive(Clone)]
pub struct HostSpec {
    /// The name that its driver registers under.
    pub name: String,
    /// The program.
    pub program: PathBuf,
    /// Its arguments.
    pub args: Vec<OsString>,
    /// How it is started, if not like any other process.
    pub start: Option<Start>,
    /// How often it is started again when it has ended or its driver was deregistered. Before the first time 100 ms pass,
    /// and each time twice as much as before.
    pub restarts: u32,
    /// The level at which its driver registers (O1).
    pub level: i32,
    /// How long its driver may take over one answer.
    pub time_limit: Duration,
    /// How long it may take to end when it is told to, before it is killed.
    pub grace: Duration,
    /// Its driver is a file that the process loads. It may register several callbacks or none, and stays loaded when it
    /// deregisters them.
    pub loads: bool,
    /// Where what it says goes, what it writes to its error output too; our own, with its name, if this is `None`.
    pub heard: Option<Heard>,
    /// The required party that its driver stands for (L4).
    pub required: Option<Named>,
}

/// Why a driver in a process of its own did not register. The process is gone.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HostError {
    /// The process could not be started, or there is nothing to watch it with.
    #[error("{name} cannot be given a process of its own: {reason}")]
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
    /// It says that its driver did not register; or it was deregistered while it did (L3).
    #[error("{name} did not register: {reason}")]
    Refused {
        /// The driver.
        name: String,
        /// Its own words, made harmless.
        reason: String,
    },
    /// It says that it did not load its driver, or the driver went wrong while it began (L1).
    #[error("{name} is not loaded: {reason}")]
    NotLoaded {
        /// The driver.
        name: String,
        /// Its own words, made harmless.
        reason: String,
    },
    /// It did not say anything.
    #[error("{name} did not register within {}", span(*.time))]
    Silent {
        /// The driver.
        name: String,
        /// How long it was waited for.
        time: Duration,
    },
}

impl HostError {
    /// Why, without naming the driver.
    #[must_use]
    pub fn reason(&self) -> String {
        match self {
            Self::NotStarted { reason, .. } => {
                format!("it cannot be given a process of its own: {reason}")
            }
            Self::Ended { ending, .. } => format!("it did not register: its process {ending}"),
            Self::Refused { reason, .. } => format!("it did not register: {reason}"),
            Self::NotLoaded { reason, .. } => format!("it is not loaded: {reason}"),
            Self::Silent { time, .. } => format!("it did not register within {}", span(*time)),
        }
    }

    /// The status that says it.
    #[must_use]
    pub const fn status(&self) -> Status {
        match self {
            Self::Ended { .. } => Status::PIPE_BROKEN,
            Self::Silent { .. } => Status::IO_TIMEOUT,
            _ => Status::UNSUCCESSFUL,
        }
    }
}

/// What a watching thread hears. The number is that of the process: there may have been others before.
pub(super) enum Word {
    /// A callback of its driver is registered.
    Party(u32, u64),
    /// Its driver has begun, or has not and this is why.
    Begun(u32, Result<(), String>),
    /// It says nothing any more; and what its driver did wrong, if it told of that.
    Over(u32, Option<(Status, String)>),
    /// Its connection to the partition is gone.
    Lost(u32),
    /// The partition has closed it, and this is why.
    Closed(u32, Loss),
    Ended(u32, Ending),
    /// Nothing of earlier processes can be called any more.
    Alone,
    /// This party is registered no longer.
    Deregistered(u64),
    /// This party has crashed while it was called (L3).
    Crashed(u64),
    /// A party of our name has crashed while it registered (L3).
    CrashedInReplay(String),
    /// A party of our name is not registered: the partition has said so, and the process knows.
    Refused,
    Stop,
}
