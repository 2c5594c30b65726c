//! [`Kept`]: a driver in this process that is registered again after it has crashed.

use std::fmt;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use hotadd::{Event, EventKind, Observation, Partition, Registration, RequiredParty, Status};

use crate::host::watch::pauses;
use crate::parties::restart::NotRegistered;

/// Registers a driver. It is called for each attempt.
pub type Register = Box<dyn Fn() -> Result<Registration, NotRegistered> + Send>;

/// A driver in this process, which is registered again after it has crashed (L3): a limited number of times, with the
/// pauses of a [`Host`](crate::host::Host). Dropping it deregisters the driver.
#[must_use = "dropping it deregisters its driver"]
pub struct Kept {
    words: Sender<Word>,
    thread: Option<JoinHandle<()>>,
    observation: Option<Observation>,
}

enum Word {
    /// This party is no longer registered.
    Deregistered(u64),
    Stop,
}

/// The thread must end.
struct Stopped;

impl Kept {
    /// Registers a driver, and registers it again after a crash. If it stands for a `required` party (L4), the party is missing
    /// whenever the driver is not registered.
    ///
    /// # Errors
    /// If it does not register the first time, or if it cannot be observed.
    pub fn start(
        partition: &Partition,
        name: &str,
        restarts: u32,
        required: Option<RequiredParty>,
        register: Register,
    ) -> Result<Self, NotRegistered> {
        let failed = |error: &dyn fmt::Display| {
            NotRegistered::new(
                name,
                Status::UNSUCCESSFUL,
                format!("{name} cannot be supervised: {error}"),
            )
        };
        let (words, heard) = channel();
        let sender = words.clone();
        let observation = partition.observe(move |event: &Event| {
            if let (EventKind::Deregistered, Some(party)) = (event.kind, &event.party) {
                let _ = sender.send(Word::Deregistered(party.id.0));
            }
        });
        let observation = observation.map_err(|error| failed(&error))?;
        let watch = Watch { restarts, required, register, heard };
        let registration = watch.attempt()?;
        let thread = std::thread::Builder::new().name("hotadd-kept".to_owned());
        let thread = thread.spawn(move || watch.run(registration));
        let thread = Some(thread.map_err(|error| failed(&error))?);
        Ok(Self { words, thread, observation: Some(observation) })
    }

    /// Whether no further attempt follows: the driver has crashed, and is not registered again.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.thread.as_ref().is_none_or(JoinHandle::is_finished)
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        // The thread may have ended already.
        let _ = self.words.send(Word::Stop);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
        if let Some(observation) = self.observation.take() {
            observation.end_soon();
        }
    }
}

impl fmt::Debug for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Kept").finish_non_exhaustive()
    }
}

struct Watch {
    restarts: u32,
    required: Option<RequiredParty>,
    register: Register,
    heard: Receiver<Word>,
}

impl Watch {
    fn attempt(&self) -> Result<Registration, NotRegistered> {
        let attempt = self.required.as_ref().map(RequiredParty::attempt);
        let registration = (self.register)()?;
        // If the driver has crashed meanwhile, `succeeded` has no effect. The thread will receive its deregistration.
        attempt.map(hotadd::Attempt::succeeded);
        Ok(registration)
    }

    fn run(self, first: Registration) {
        let mut registration = Some(first);
        let mut pauses = pauses();
        for _ in 0..self.restarts {
            if let Some(registration) = registration.take()
                && self.wait(&registration).is_err()
            {
                return;
            }
            // The old registration is dropped by now, so its events are not attributed to the new one.
            if self.rest(pauses.next().unwrap_or_default()).is_err() {
                return;
            }
            match self.attempt() {
                Ok(new) => registration = Some(new),
                Err(NotRegistered { status, reason, .. }) => {
                    if let Some(required) = &self.required {
                        required.is_missing(status, reason);
                    }
                }
            }
        }
        if let Some(registration) = registration {
            let _ = self.wait(&registration);
        }
    }

    /// Waits until the driver is no longer registered.
    fn wait(&self, registration: &Registration) -> Result<(), Stopped> {
        let id = registration.party().id.0;
        loop {
            match self.heard.recv() {
                Ok(Word::Deregistered(party)) if party == id => return Ok(()),
                Ok(Word::Deregistered(_)) => {}
                Ok(Word::Stop) | Err(_) => return Err(Stopped),
            }
        }
    }

    fn rest(&self, pause: Duration) -> Result<(), Stopped> {
        let until = Instant::now() + pause;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            match self.heard.recv_timeout(left) {
                Ok(Word::Deregistered(_)) => {}
                Err(RecvTimeoutError::Timeout) => return Ok(()),
                Ok(Word::Stop) | Err(RecvTimeoutError::Disconnected) => return Err(Stopped),
            }
        }
    }
}
