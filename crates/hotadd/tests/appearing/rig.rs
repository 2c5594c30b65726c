//! A partition in which processors appear, what is told of them, and a thread that says when it ends.

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use hotadd::hardware::Simulated;
use hotadd::{EventKind, HardwareId, Notice, Partition, State, Veto};

/// Far longer than anything here takes.
pub(crate) const LONG: Duration = Duration::from_secs(30);

/// What the observers of a partition are told of processors.
pub(crate) type Told = Receiver<(EventKind, u32)>;

/// Processors 0 and 1, and 2 to 5 that are not plugged in.
pub(crate) fn hardware() -> Arc<Simulated> {
    let hardware = Simulated::new(2, 4).unwrap();
    (2..6).for_each(|id| hardware.unplug(HardwareId(id)));
    hardware
}

/// Hears of these kinds of events for as long as the partition is there.
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

/// The next thing that is told.
#[track_caller]
pub(crate) fn next(told: &Told) -> (EventKind, u32) {
    told.recv_timeout(LONG).expect("something is told")
}

/// Says so when it is dropped.
struct SaysSo(Sender<()>);

impl Drop for SaysSo {
    fn drop(&mut self) {
        let _ = self.0.send(());
    }
}

thread_local! {
    /// Dropped when the thread ends.
    static END: RefCell<Option<SaysSo>> = const { RefCell::new(None) };
}

/// The calling thread says when it ends; if it was to say so before, then also now.
pub(crate) fn says_when_it_ends(to: &Sender<()>) {
    END.set(Some(SaysSo(to.clone())));
}

/// A driver that has the thread that adds say when it ends, and what hears that.
pub(crate) fn thread_of_the_add() -> (impl Fn(&Notice) -> Result<(), Veto> + Send, Receiver<()>) {
    let (sender, ended) = channel();
    let driver = move |notice: &Notice| {
        // The processors that are active already it hears of on the thread that registers it.
        if notice.state() == State::AddComplete && notice.processor().id >= HardwareId(2) {
            says_when_it_ends(&sender);
        }
        Ok(())
    };
    (driver, ended)
}
