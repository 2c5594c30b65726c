//! A partition in which processors appear, its events, and a signal for the end of a thread.

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use hotadd::hardware::Simulated;
use hotadd::{EventKind, HardwareId, Notice, Partition, State, Veto};

/// Far longer than any step of these tests takes.
pub(crate) const LONG: Duration = Duration::from_secs(30);

/// The events of a partition about processors.
pub(crate) type Told = Receiver<(EventKind, u32)>;

/// Processors 0 and 1 are active, and 2 to 5 are not plugged in.
pub(crate) fn hardware() -> Arc<Simulated> {
    let hardware = Simulated::new(2, 4).unwrap();
    (2..6).for_each(|id| hardware.unplug(HardwareId(id)));
    hardware
}

/// Observes events of these kinds as long as the partition exists.
pub(crate) fn hear(partition: &Partition, kinds: &'static [EventKind]) -> Told {
    let (sender, told) = channel();
    let observe = move |event: &hotadd::Event| {
        if kinds.contains(&event.kind) {
            let _ = sender.send((event.kind, event.id.unwrap().0));
        }
    };
    partition.observe(observe).unwrap().detach();
    told
}

/// The next event.
#[track_caller]
pub(crate) fn next(told: &Told) -> (EventKind, u32) {
    told.recv_timeout(LONG).expect("something is told")
}

/// Sends a message when it is dropped.
struct SignalOnDrop(Sender<()>);

impl Drop for SignalOnDrop {
    fn drop(&mut self) {
        let _ = self.0.send(());
    }
}

thread_local! {
    /// Dropped when the thread ends.
    static END: RefCell<Option<SignalOnDrop>> = const { RefCell::new(None) };
}

/// Makes the calling thread send a message when it ends, replacing an earlier request.
pub(crate) fn says_when_it_ends(to: &Sender<()>) {
    END.set(Some(SignalOnDrop(to.clone())));
}

/// A driver that makes the adding thread signal its end, and the receiver of the signal.
pub(crate) fn thread_of_the_add() -> (impl Fn(&Notice) -> Result<(), Veto> + Send, Receiver<()>) {
    let (sender, ended) = channel();
    let driver = move |notice: &Notice| {
        // The replay runs on the registering thread, so only live adds count.
        if notice.state() == State::AddComplete && notice.processor().id >= HardwareId(2) {
            says_when_it_ends(&sender);
        }
        Ok(())
    };
    (driver, ended)
}
