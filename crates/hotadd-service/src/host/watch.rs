//! [`Watch`]: the thread that keeps a host's process, hears how it ends, and starts it again.

use std::cell::Cell;
use std::iter::successors;
use std::sync::Weak;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

use hotadd::Partition;

use super::process::Process;
use super::{HostError, HostSpec, Word};
use crate::Service;
use crate::children::Ending;

/// How long a process may take to connect, besides what its driver may take over its answers.
const CONNECT: Duration = Duration::from_secs(10);

/// The pause before it is started again for the first time.
const PAUSE: Duration = Duration::from_millis(100);

/// No pause is longer.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// How long the two signs of an ended process may lie apart.
const MEANWHILE: Duration = Duration::from_secs(1);

pub(super) struct Watch {
    partition: Partition,
    service: Weak<Service>,
    spec: HostSpec,
    sender: Weak<Sender<Word>>,
    words: Receiver<Word>,
    /// The host is to end. Heard once, and to be known from then on.
    stopped: Cell<bool>,
}

/// The host is to end.
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

    /// Keeps the process until the host is dropped, or it has died too often. `ready` hears what came of the first start.
    pub(super) fn run(self, ready: &Sender<Result<(), HostError>>) {
        let mut pauses = pauses();
        for number in 0..=self.spec.restarts {
            if number > 0 && self.rest(pauses.next().unwrap_or(LONGEST_PAUSE)).is_err() {
                return;
            }
            match self.start(number) {
                Ok((process, party)) => {
                    if number == 0 {
                        let _ = ready.send(Ok(()));
                    }
                    let stopped = self.keep(number, party);
                    drop(process);
                    if stopped.is_err() {
                        return;
                    }
                }
                Err(Without::Stopped) => return,
                Err(Without::Error(error)) if number == 0 => {
                    let _ = ready.send(Err(error));
                    return;
                }
                // It is tried again, as if it had registered and died.
                Err(Without::Error(_)) => {}
            }
        }
    }

    /// Starts a process and waits until its driver has registered.
    fn start(&self, number: u32) -> Result<(Process, u64), Without> {
        let (Some(service), Some(sender)) = (self.service.upgrade(), self.sender.upgrade()) else {
            return Err(Without::Stopped);
        };
        let name = || self.spec.name.clone();
        let started = Process::start(&self.spec, &service, number, &sender);
        drop((service, sender));
        let process = started
            .map_err(|reason| Without::Error(HostError::NotStarted { name: name(), reason }))?;
        // It is asked twice about every active processor.
        let time = CONNECT + self.spec.time_limit * (2 * self.partition.count());
        let mut until = Instant::now() + time;
        let mut ended = None;
        // What the process says of its driver, as long as the partition may know better.
        let mut said = None;
        let mut refused = false;
        loop {
            if refused && let Some(reason) = said.take() {
                return Err(Without::Error(HostError::Refused { name: name(), reason }));
            }
            let left = until.saturating_duration_since(Instant::now());
            match self.words.recv_timeout(left) {
                Ok(Word::Report(from, Some(Ok(party)))) if from == number => {
                    return Ok((process, party));
                }
                Ok(Word::Report(from, Some(Err(reason)))) if from == number => {
                    // If its connection was lost it does not know why, and the partition is about to say so.
                    until = until.min(Instant::now() + MEANWHILE);
                    said = Some(reason);
                }
                Ok(Word::Refused) => refused = true,
                Ok(Word::Report(from, None)) if from == number => {
                    let ending = ended.or_else(|| self.ending(number));
                    return Err(Without::Error(match ending {
                        Some(ending) => HostError::Ended { name: name(), ending },
                        None => HostError::Silent { name: name(), time },
                    }));
                }
                // What it reported before it ended, or that it did not, is about to be heard.
                Ok(Word::Ended(from, ending)) if from == number => ended = Some(ending),
                Ok(Word::Crashed(reason)) => {
                    return Err(Without::Error(HostError::Refused { name: name(), reason }));
                }
                Ok(Word::Stop) | Err(RecvTimeoutError::Disconnected) => {
                    return Err(Without::Stopped);
                }
                Ok(_) => {}
                Err(RecvTimeoutError::Timeout) => {
                    return Err(Without::Error(match said {
                        Some(reason) => HostError::Refused { name: name(), reason },
                        None => HostError::Silent { name: name(), time },
                    }));
                }
            }
        }
    }

    /// How a process ended that says nothing any more.
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
    fn keep(&self, number: u32, party: u64) -> Result<(), Stopped> {
        loop {
            match self.words.recv() {
                Ok(Word::Ended(from, _)) if from == number => return Ok(()),
                // However it came to that: a driver that is asked no more has no business in a process of its own.
                Ok(Word::Deregistered(gone)) if gone == party => return Ok(()),
                Ok(Word::Stop) | Err(_) => return Err(Stopped),
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

/// The pauses before each new start: who dies at once, again and again, is not to keep a processor busy with it.
fn pauses() -> impl Iterator<Item = Duration> {
    successors(Some(PAUSE), |pause| Some((*pause * 2).min(LONGEST_PAUSE)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_pause_is_twice_as_long_as_the_one_before_up_to_a_minute() {
        let pauses: Vec<u128> = pauses().take(12).map(|pause| pause.as_millis()).collect();
        let doubled = [100, 200, 400, 800, 1600, 3200, 6400, 12_800, 25_600, 51_200];
        assert_eq!(pauses[..10], doubled, "the first is short");
        assert_eq!(pauses[10..], [60_000, 60_000], "and none is longer than a minute");
    }
}
