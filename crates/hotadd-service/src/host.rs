//! [`Host`]: a driver in a process of its own, which is started, watched and, if that is wanted, started again.
//!
//! The process speaks to the partition over its stdin, one end of a socket pair whose other end the [`Service`] serves. Its
//! stdout is another socket, for the two of us: there it [reports](Said) line by line what becomes of its driver, and when
//! we close our half of it it deregisters and ends.

mod process;
mod report;
pub(crate) mod rights;
mod stderr;
mod watch;

use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Weak};
use std::thread::JoinHandle;
use std::time::Duration;

use hotadd::{Event, EventKind, Observation, Occasion, Partition, Status};

pub use self::report::{LONGEST_LINE, Said};
use self::watch::Watch;
pub(crate) use self::watch::pauses;
use crate::children::{Ending, Start};
use crate::pending::Loss;
use crate::script::span;
use crate::{Named, Service};

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
enum Word {
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

/// A driver in a process of its own. Dropping it deregisters the driver and ends the process, which gets a second to do so by
/// itself.
#[must_use = "dropping a Host ends its process at once"]
pub struct Host {
    name: String,
    words: Arc<Sender<Word>>,
    thread: Option<JoinHandle<()>>,
    observation: Option<Observation>,
}

impl Host {
    /// Starts a process and waits until the driver in it has registered. `service` is to be that of `partition`.
    ///
    /// # Errors
    /// If it did not register, and why.
    pub fn start(
        partition: &Partition,
        service: &Arc<Service>,
        spec: HostSpec,
    ) -> Result<Self, HostError> {
        let name = spec.name.clone();
        let failed = |error: &dyn fmt::Display| HostError::NotStarted {
            name: name.clone(),
            reason: error.to_string(),
        };
        let (sender, words) = channel();
        let sender = Arc::new(sender);
        let observation = observe(partition, &name, Arc::downgrade(&sender));
        let observation = observation.map_err(|error| failed(&error))?;
        let (ready, registered) = channel();
        // Watching keeps neither the service nor, by being there to hear, the observer alive.
        let watch = Watch::new(
            partition.clone(),
            Arc::downgrade(service),
            spec,
            Arc::downgrade(&sender),
            words,
        );
        let thread = std::thread::Builder::new().name("hotadd-host".to_owned());
        let thread = thread.spawn(move || watch.run(&ready)).map_err(|error| failed(&error))?;
        let (thread, observation) = (Some(thread), Some(observation));
        let host = Self { name: name.clone(), words: sender, thread, observation };
        registered.recv().unwrap_or_else(|_| Err(failed(&"its thread has failed")))?;
        Ok(host)
    }

    /// Begins what dropping it does, and does not wait.
    pub fn end(&self) {
        // It may have given up already.
        let _ = self.words.send(Word::Stop);
    }

    /// Whether it is kept no longer: its process is gone, and is not started again.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.thread.as_ref().is_none_or(JoinHandle::is_finished)
    }

    /// The name that its driver registers under.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        self.end();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
        // A transaction under way is not waited for.
        if let Some(observation) = self.observation.take() {
            observation.end_soon();
        }
    }
}

impl fmt::Debug for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Host").field("name", &self.name).finish_non_exhaustive()
    }
}

/// Passes on what becomes of parties.
fn observe(
    partition: &Partition,
    name: &str,
    words: Weak<Sender<Word>>,
) -> Result<Observation, hotadd::Error> {
    let name = name.to_owned();
    // Those behind the first of a driver have a number behind their name.
    let is_ours = move |party: &str| {
        party.strip_prefix(&name).is_some_and(|rest| rest.is_empty() || rest.starts_with('#'))
    };
    partition.observe(move |event: &Event| {
        let Some(party) = &event.party else { return };
        let crashed = event.kind == EventKind::Breach && event.clause == Some("L3");
        let word = match event.kind {
            EventKind::Deregistered => Word::Deregistered(party.id.0),
            _ if crashed && event.occasion != Occasion::Replay => Word::Crashed(party.id.0),
            _ if crashed && is_ours(&party.name) => {
                Word::CrashedInReplay(event.reason.clone().unwrap_or_default())
            }
            EventKind::Refused if event.occasion == Occasion::Replay && is_ours(&party.name) => {
                Word::Refused
            }
            _ => return,
        };
        if let Some(words) = words.upgrade() {
            let _ = words.send(word);
        }
    })
}
