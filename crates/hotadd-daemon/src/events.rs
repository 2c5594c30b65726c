//! [`Events`]: the partition's events on their way to the main thread, which writes the log.
//!
//! From the time at which a processor appears until it starts or is refused, the main thread is not woken: it would take time from
//! the threads that ask the parties, and no log line is worth a later start. These events are handed over, in order, together with
//! the one that says how it ended. The observers that must know at once have their own ways: the state file, the watchdog, and the
//! service's history.

use std::sync::mpsc::Sender;
use std::sync::{Mutex, MutexGuard, PoisonError};

use hotadd::{Event, EventKind, Occasion, State};

use super::Message;

/// Events that the main thread has not taken yet.
pub(super) struct Events {
    unread: Mutex<Vec<Event>>,
    main: Sender<Message>,
}

impl Events {
    pub(super) const fn new(main: Sender<Message>) -> Self {
        Self { unread: Mutex::new(Vec::new()), main }
    }

    /// No code panics while it holds this lock.
    fn lock(&self) -> MutexGuard<'_, Vec<Event>> {
        self.unread.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records an event, and wakes the main thread if the event cannot wait. Never blocks.
    pub(super) fn observe(&self, event: &Event) {
        self.lock().push(event.clone());
        if !can_wait(event) {
            // Fails only when the main thread has ended.
            let _ = self.main.send(Message::Events);
        }
    }

    /// Takes all events, in order.
    pub(super) fn take(&self) -> Vec<Event> {
        std::mem::take(&mut self.lock())
    }
}

/// Whether an event comes before the start of a processor, and another event follows that does not wait. There are at most two for
/// each party, and one for each processor.
fn can_wait(event: &Event) -> bool {
    match event.kind {
        EventKind::Appeared => true,
        EventKind::Calling | EventKind::AddStart => {
            event.occasion == Occasion::Change && event.state == Some(State::AddStart)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::sync::{Arc, Mutex};
    use std::time::{Duration, Instant};

    use hotadd::hardware::Simulated;
    use hotadd::{Adder, HardwareId, Notice, Partition};

    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    /// What the main thread was woken for before each start, and what it was handed.
    #[test]
    fn the_main_thread_is_not_woken_before_a_start_and_gets_all_events_in_order() {
        let hardware = Simulated::new(1, 2).unwrap();
        (1..3).for_each(|id| hardware.unplug(HardwareId(id)));
        let partition = Partition::simulated(&hardware).unwrap();
        let _adder = Adder::start(&partition).unwrap();
        let (main, messages) = mpsc::channel();
        let messages = Arc::new(Mutex::new(messages));
        let woken = Arc::clone(&messages);
        let agrees = move |notice: &Notice| {
            if notice.state() == State::AddStart {
                let early = woken.lock().unwrap().try_iter().count();
                assert_eq!(early, 0, "woken before {} starts", notice.processor().id);
            }
            Ok(())
        };
        let _party = partition.registration("party").without_replay().register(agrees).unwrap();
        let events = Arc::new(Events::new(main));
        let observed = Arc::clone(&events);
        partition.observe(move |event| observed.observe(event)).unwrap().detach();
        use EventKind::{AddComplete, AddStart, Appeared, Calling, Joined, Started};
        let (refused, began) = (EventKind::Refused, Instant::now());
        for (id, last) in [(1, Joined), (2, Joined), (2, refused)] {
            if last == refused {
                partition.add(HardwareId(id)).unwrap_err();
            } else {
                hardware.plug(HardwareId(id));
            }
            let mut kinds = Vec::new();
            while kinds.last() != Some(&last) {
                // Not by `recv`: the party takes this lock too.
                while messages.lock().unwrap().try_recv().is_err() {
                    assert!(began.elapsed() < LONG, "{id}: {kinds:?} and no {last:?}");
                    std::thread::yield_now();
                }
                kinds.extend(events.take().iter().map(|event| event.kind));
            }
            // Those that were sent for what was taken already.
            while messages.lock().unwrap().try_recv().is_ok() {}
            let all = [Appeared, Calling, AddStart, Started, Calling, AddComplete, Joined];
            assert_eq!(kinds, if last == refused { vec![refused] } else { all.to_vec() });
        }
    }
}
