//! [`Host`]: a driver in a process of its own, which is started, watched and, if requested, restarted.
//!
//! The process talks to the partition over its stdin, one end of a socket pair whose other end the [`Service`] serves. Its
//! stdout is another socket, to this program. There it [reports](Output) its driver's state line by line. When this program
//! closes its half of that socket, the process deregisters its driver and ends.

mod kept;
mod process;
mod report;
mod spec;
mod stderr;
mod watch;

use std::fmt;
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Weak};
use std::thread::JoinHandle;

use hotadd::{Event, EventKind, Observation, Occasion, Partition};

pub use self::kept::{Kept, Register};
pub use self::report::{LONGEST_LINE, Output};
use self::spec::Word;
pub use self::spec::{HostError, HostSpec, OutputHandler};
use self::watch::Watch;
use crate::service::Service;

/// A driver in a process of its own. Dropping it deregisters the driver and ends the process, which has a second to end by
/// itself.
#[must_use = "dropping a Host ends its process at once"]
pub struct Host {
    name: String,
    words: Arc<Sender<Word>>,
    thread: Option<JoinHandle<()>>,
    observation: Option<Observation>,
}

impl Host {
    /// Starts a process and waits until its driver has registered. `service` must be the service of `partition`.
    ///
    /// # Errors
    /// Why the driver did not register.
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
        // The watch thread holds weak references only, so that it keeps neither the service nor the observer alive.
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
        registered.recv().unwrap_or_else(|_| Err(failed(&"its thread has panicked")))?;
        Ok(host)
    }

    /// Starts what dropping does, and does not wait.
    pub fn end(&self) {
        // The thread may have ended already.
        let _ = self.words.send(Word::Stop);
    }

    /// Whether the process is gone and is not restarted.
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
        // This does not wait for a transaction in progress.
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

/// Passes on the events about the host's parties.
fn observe(
    partition: &Partition,
    name: &str,
    words: Weak<Sender<Word>>,
) -> Result<Observation, hotadd::Error> {
    let name = name.to_owned();
    // The further parties of a driver have a number after their name.
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
