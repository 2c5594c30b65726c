//! [`Watch`]: the thread that watches a host's process, receives its end, and restarts it.

use std::cell::Cell;
use std::collections::HashSet;
use std::iter::successors;
use std::sync::Weak;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

use hotadd::{Partition, Status};

use super::process::Process;
use super::report::Output;
use super::spec::{HostError, HostSpec, Word};
use crate::access::rights::Trespass;
use crate::children::Ending;
use crate::parties::loss::Loss as Closed;
use crate::service::Service;

/// The time limit for connecting, in addition to the time limits of the driver's answers.
const CONNECT: Duration = Duration::from_secs(10);

/// The pause before the first restart.
const PAUSE: Duration = Duration::from_millis(100);

/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// The maximum time between the two signs that a process has ended.
const MEANWHILE: Duration = Duration::from_secs(1);

pub(super) struct Watch {
    partition: Partition,
    service: Weak<Service>,
    spec: HostSpec,
    sender: Weak<Sender<Word>>,
    words: Receiver<Word>,
    /// The host must end. The word arrives only once, so it is remembered here.
    stopped: Cell<bool>,
}

/// Why a process is not watched any more.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kept {
    /// The process has ended, or its driver has deregistered.
    Over,
    /// The process does not behave as it must. It is killed.
    Broken,
    /// The host must end.
    Stopped,
}

/// Why the party of a process is missing: status, reason.
type Loss = (Status, String);

/// The host must end.
struct Stopped;

/// Why a process has no registered driver.
enum Without {
    Stopped,
    Error(HostError),
}

impl Watch {
    pub(super) fn new(
        partition: Partition,
        service: Weak<Service>,
        spec: HostSpec,
        sender: Weak<Sender<Word>>,
        words: Receiver<Word>,
    ) -> Self {
        Self { partition, service, spec, sender, words, stopped: Cell::default() }
    }

    /// Watches the process and restarts it until the host is dropped, or it has died too often. `ready` receives the
    /// result of the first start.
    pub(super) fn run(self, ready: &Sender<Result<(), HostError>>) {
        let mut pauses = pauses();
        for number in 0..=self.spec.restarts {
            if number > 0 && self.rest(pauses.next().unwrap_or(LONGEST_PAUSE)).is_err() {
                return;
            }
            if self.alone().is_err() {
                return;
            }
            let attempt = self.spec.required.as_ref().map(|named| named.party().attempt());
            match self.start(number) {
                Ok((process, parties)) => {
                    process.begins(attempt);
                    if number == 0 {
                        let _ = ready.send(Ok(()));
                    }
                    let (kept, loss) = self.keep(number, parties);
                    if kept != Kept::Stopped {
                        // This precedes the end of the process: until then its callbacks may be registered.
                        self.missing(number, loss);
                    }
                    if kept == Kept::Broken {
                        process.kill();
                    }
                    drop(process);
                    if kept == Kept::Stopped {
                        return;
                    }
                }
                Err(Without::Stopped) => return,
                Err(Without::Error(error)) if number == 0 => {
                    let _ = ready.send(Err(error));
                    return;
                }
                // The start is retried, as if the driver had registered and died.
                Err(Without::Error(error)) => {
                    if let Some(named) = &self.spec.required {
                        named.party().is_missing(error.status(), error.reason());
                    }
                }
            }
        }
    }

    /// Marks the host's party as missing, if it is required (L4). A reason that is recorded already is kept,
    /// because it is more precise.
    fn missing(&self, number: u32, (status, mut reason): Loss) {
        let Some(named) = &self.spec.required else { return };
        if number > 0 && number == self.spec.restarts {
            reason = format!("{reason}; it was restarted {number} times");
        }
        named.lost(status, reason);
    }

    /// Waits until nothing of earlier processes can be called any more, so that their events are not attributed to the next
    /// process.
    fn alone(&self) -> Result<(), Stopped> {
        let (Some(named), Some(sender)) = (&self.spec.required, self.sender.upgrade()) else {
            return Ok(());
        };
        named.when_alone(move || drop(sender.send(Word::Alone)));
        loop {
            match self.words.recv() {
                Ok(Word::Alone) => return Ok(()),
                Ok(Word::Stop) | Err(_) => return Err(Stopped),
                Ok(_) => {}
            }
        }
    }

    /// Starts a process and waits until its driver has begun. Returns the callbacks that it has registered.
    fn start(&self, number: u32) -> Result<(Process, HashSet<u64>), Without> {
        let (Some(service), Some(sender)) = (self.service.upgrade(), self.sender.upgrade()) else {
            return Err(Without::Stopped);
        };
        let name = || self.spec.name.clone();
        let started = Process::start(&self.spec, &service, number, &sender);
        drop((service, sender));
        let process = started
            .map_err(|reason| Without::Error(HostError::NotStarted { name: name(), reason }))?;
        // The driver is asked twice about every active processor.
        let time = CONNECT + self.spec.time_limit * (2 * self.partition.count());
        let mut until = Instant::now() + time;
        let mut ended = None;
        let mut parties = HashSet::new();
        // The reason that the process reports, while the partition may still report a better one.
        let mut said = None;
        let mut refused = false;
        loop {
            if refused && let Some(reason) = said.take() {
                return Err(self.refused(reason));
            }
            let left = until.saturating_duration_since(Instant::now());
            match self.words.recv_timeout(left) {
                Ok(Word::Party(from, party)) if from == number => drop(parties.insert(party)),
                Ok(Word::Begun(from, Ok(()))) if from == number => return Ok((process, parties)),
                Ok(Word::Begun(from, Err(reason))) if from == number => {
                    // If its connection was lost, the process does not know why, and the partition is about
                    // to report it.
                    until = until.min(Instant::now() + MEANWHILE);
                    said = Some(reason);
                }
                Ok(Word::Refused) => refused = true,
                Ok(Word::Over(from, Some((_, fault)))) if from == number => {
                    return Err(self.refused(fault));
                }
                Ok(Word::Closed(from, loss)) if from == number => {
                    return Err(self.refused(self.closed(number, loss).1));
                }
                Ok(Word::Over(from, None)) if from == number && said.is_none() => {
                    let ending = ended.or_else(|| self.ending(number));
                    return Err(Without::Error(match ending {
                        Some(ending) => HostError::Ended { name: name(), ending },
                        None => HostError::Silent { name: name(), time },
                    }));
                }
                // The reports before its end, or the end of its report, are about to arrive.
                Ok(Word::Ended(from, ending)) if from == number => ended = Some(ending),
                Ok(Word::CrashedInReplay(reason)) => return Err(self.refused(reason)),
                Ok(Word::Stop) | Err(RecvTimeoutError::Disconnected) => {
                    return Err(Without::Stopped);
                }
                Ok(_) => {}
                Err(RecvTimeoutError::Timeout) => {
                    let silent = || Without::Error(HostError::Silent { name: name(), time });
                    return Err(said.map_or_else(silent, |reason| self.refused(reason)));
                }
            }
        }
    }

    /// The partition has closed the connection. A trespass is a fault of the driver that only this side can report. If an answer is
    /// missing, the process may be about to report more.
    fn closed(&self, number: u32, loss: Closed) -> Loss {
        if loss.status == Status::IO_TIMEOUT
            && let Some(fault) = self.last_words(number)
        {
            return fault;
        }
        if let (Trespass::STATUS, Some(on_output)) = (loss.status, &self.spec.on_output) {
            on_output(Output::Fault(loss.status, loss.reason.clone()));
        }
        (loss.status, loss.reason)
    }

    /// The error with the reason that the process reports.
    fn refused(&self, reason: String) -> Without {
        let name = self.spec.name.clone();
        let reason =
            if reason.trim().is_empty() { "it gives no reason".to_owned() } else { reason };
        Without::Error(if self.spec.loads {
            HostError::NotLoaded { name, reason }
        } else {
            HostError::Refused { name, reason }
        })
    }

    /// The fault that a process reports before it ends.
    fn last_words(&self, number: u32) -> Option<Loss> {
        let until = Instant::now() + MEANWHILE;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            match self.words.recv_timeout(left).ok()? {
                Word::Over(from, fault) if from == number => return fault,
                Word::Stop => {
                    self.stopped.set(true);
                    return None;
                }
                _ => {}
            }
        }
    }

    /// How a process that reports nothing more has ended.
    fn ending(&self, number: u32) -> Option<Ending> {
        let until = Instant::now() + MEANWHILE;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            match self.words.recv_timeout(left).ok()? {
                Word::Ended(from, ending) if from == number => return Some(ending),
                Word::Stop => {
                    self.stopped.set(true);
                    return None;
                }
                _ => {}
            }
        }
    }

    /// Waits until the process has ended or its driver is deregistered.
    fn keep(&self, number: u32, mut parties: HashSet<u64>) -> (Kept, Loss) {
        let loss = |status, reason: &str| (status, reason.to_owned());
        loop {
            match self.words.recv() {
                Ok(Word::Party(from, party)) if from == number => drop(parties.insert(party)),
                Ok(Word::Ended(from, ending)) if from == number => {
                    return (Kept::Over, (Status::PIPE_BROKEN, format!("its process {ending}")));
                }
                // The report is invalid, or the process has ended or is about to.
                Ok(Word::Over(from, Some(fault))) if from == number => {
                    return (Kept::Broken, fault);
                }
                Ok(Word::Over(from, None)) if from == number => {
                    let nonsense = || "its process sent an invalid report".to_owned();
                    let ending = self.ending(number).map(|ending| format!("its process {ending}"));
                    let loss = (Status::PIPE_BROKEN, ending.unwrap_or_else(nonsense));
                    let kept = if self.stopped.get() { Kept::Stopped } else { Kept::Broken };
                    return (kept, loss);
                }
                Ok(Word::Closed(from, loss)) if from == number => {
                    let loss = self.closed(number, loss);
                    let kept = if self.stopped.get() { Kept::Stopped } else { Kept::Broken };
                    return (kept, loss);
                }
                Ok(Word::Lost(from)) if from == number => {
                    return (Kept::Broken, loss(Status::PIPE_BROKEN, "its connection was closed"));
                }
                Ok(Word::Crashed(party)) if parties.contains(&party) => {
                    return (Kept::Broken, loss(Status::UNSUCCESSFUL, "it crashed"));
                }
                // A driver that is not asked any more needs no process of its own, unless it may register again.
                Ok(Word::Deregistered(party)) if parties.remove(&party) && !self.spec.loads => {
                    return (Kept::Over, loss(Status::DEVICE_NOT_READY, "it was deregistered"));
                }
                Ok(Word::Stop) | Err(_) => {
                    return (Kept::Stopped, loss(Status::CANCELLED, "it was stopped"));
                }
                Ok(_) => {}
            }
        }
    }

    /// Waits before the next start.
    fn rest(&self, pause: Duration) -> Result<(), Stopped> {
        let until = Instant::now() + pause;
        loop {
            if self.stopped.get() {
                return Err(Stopped);
            }
            let left = until.saturating_duration_since(Instant::now());
            match self.words.recv_timeout(left) {
                Ok(Word::Stop) | Err(RecvTimeoutError::Disconnected) => return Err(Stopped),
                Ok(_) => {}
                Err(RecvTimeoutError::Timeout) => return Ok(()),
            }
        }
    }
}

/// The pauses before each restart, of processes and of scripts. They keep a process that dies at once, again and again, from using
/// a processor.
pub(crate) fn pauses() -> impl Iterator<Item = Duration> {
    successors(Some(PAUSE), |pause| Some((*pause * 2).min(LONGEST_PAUSE)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pause_before_a_restart_doubles_up_to_a_minute() {
        let pauses: Vec<u128> = pauses().take(12).map(|pause| pause.as_millis()).collect();
        let doubled = [100, 200, 400, 800, 1600, 3200, 6400, 12_800, 25_600, 51_200];
        assert_eq!(pauses[..10], doubled, "the first is short");
        assert_eq!(pauses[10..], [60_000, 60_000], "no pause is longer than a minute");
    }
}
