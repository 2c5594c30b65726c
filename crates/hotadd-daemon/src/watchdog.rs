//! [`Watchdog`]: checks that the daemon's main threads run: its own, the one that adds and the one that serves all connections.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use hotadd::{Event, EventKind};

use crate::values::LONGEST_TIMEOUT;

/// How long the kernel may take to start a processor, together with everything else that happens while no party is called.
const QUIET: Duration = Duration::from_secs(30);

/// How much later than its time limit a party's answer may be given up.
const SLACK: Duration = Duration::from_secs(10);

/// What shows whether threads run.
#[derive(Clone)]
pub(super) struct Watchdog {
    calls: Arc<Mutex<Calls>>,
    /// The serving thread has answered the last question.
    served: Arc<AtomicBool>,
}

struct Calls {
    /// The parties that are being called, by their numbers, with the time of the call.
    waited_for: BTreeMap<u64, Instant>,
    /// When the last event happened.
    last: Instant,
}

impl Watchdog {
    pub(super) fn new(now: Instant) -> Self {
        let calls = Calls { waited_for: BTreeMap::new(), last: now };
        Self { calls: Arc::new(Mutex::new(calls)), served: Arc::new(AtomicBool::new(true)) }
    }

    fn lock(&self) -> MutexGuard<'_, Calls> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records an event of the partition.
    pub(super) fn observe(&self, event: &Event) {
        let party = event.party.as_ref().map(|party| party.id.0);
        self.happened(party, event.kind == EventKind::Calling, Instant::now());
    }

    fn happened(&self, party: Option<u64>, calling: bool, now: Instant) {
        let mut calls = self.lock();
        calls.last = now;
        let Some(party) = party else { return };
        // Any other event of this party means that the call has ended.
        calls.waited_for.remove(&party);
        if calling {
            calls.waited_for.insert(party, now);
        }
    }

    /// Asks the serving thread to show that it runs; `ask` has that thread call the closure it is given.
    pub(super) fn ask(&self, ask: impl FnOnce(Box<dyn FnOnce() + Send>)) {
        // Relaxed, here and below: the flag orders no other memory.
        self.served.store(false, Ordering::Relaxed);
        let served = Arc::clone(&self.served);
        ask(Box::new(move || served.store(true, Ordering::Relaxed)));
    }

    /// The name of a thread that is stuck. `adding` is since when the adding thread has been at one processor; `limit` is a
    /// party's time limit, where it is known.
    pub(super) fn stuck(
        &self,
        now: Instant,
        adding: Option<Instant>,
        limit: impl Fn(u64) -> Option<Duration>,
    ) -> Option<&'static str> {
        if !self.served.load(Ordering::Relaxed) {
            return Some("the thread that serves connections");
        }
        let adding = adding?;
        let calls = self.lock();
        let given = |(party, since): (&u64, &Instant)| {
            *since + limit(*party).unwrap_or(LONGEST_TIMEOUT) + SLACK
        };
        let until = calls.waited_for.iter().map(given).max();
        let until = until.unwrap_or_else(|| adding.max(calls.last) + QUIET);
        (now > until).then_some("the thread that adds")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const ADDS: Option<&str> = Some("the thread that adds");

    fn limits(party: u64) -> Option<Duration> {
        (party == 1).then_some(5 * SECOND)
    }

    #[test]
    fn the_adding_thread_is_stuck_when_a_party_exceeds_its_time_limit() {
        let began = Instant::now();
        let watchdog = Watchdog::new(began);
        let stuck = |after: Duration| watchdog.stuck(began + after, Some(began), limits);
        watchdog.happened(Some(1), true, began);
        assert_eq!(stuck(5 * SECOND + SLACK), None);
        assert_eq!(stuck(6 * SECOND + SLACK), ADDS, "its time limit has passed");
        watchdog.happened(Some(2), true, began + SECOND);
        assert_eq!(stuck(QUIET * 2), None, "an unknown time limit counts as the longest");
        assert_eq!(stuck(2 * SECOND + LONGEST_TIMEOUT + SLACK), ADDS);
        watchdog.happened(Some(2), false, began + 2 * SECOND);
        assert_eq!(stuck(6 * SECOND + SLACK), ADDS, "the first party has still not answered");
        watchdog.happened(Some(1), false, began + 20 * SECOND);
        assert_eq!(stuck(20 * SECOND + QUIET), None, "the kernel may take this long");
        assert_eq!(stuck(21 * SECOND + QUIET), ADDS);
    }

    #[test]
    fn a_thread_without_an_add_is_not_stuck() {
        let began = Instant::now();
        let watchdog = Watchdog::new(began);
        watchdog.happened(Some(1), true, began);
        assert_eq!(
            watchdog.stuck(began + 100 * QUIET, None, limits),
            None,
            "the call is on another thread"
        );
        let later = began + 100 * QUIET;
        let watchdog = Watchdog::new(began);
        assert_eq!(watchdog.stuck(later, Some(later), limits), None, "the add has just begun");
    }

    #[test]
    fn the_serving_thread_is_stuck_until_it_answers_a_check() {
        let now = Instant::now();
        let watchdog = Watchdog::new(now);
        assert_eq!(watchdog.stuck(now, None, limits), None, "no check was made yet");
        let mut asked = None;
        watchdog.ask(|answer| asked = Some(answer));
        assert_eq!(watchdog.stuck(now, None, limits), Some("the thread that serves connections"));
        asked.unwrap()();
        assert_eq!(watchdog.stuck(now, None, limits), None);
    }
}
