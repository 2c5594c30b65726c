//! Situations that a real machine does not produce on demand: refusals, events at the worst moment, and other
//! processes that switch processors.

mod appearing;
mod blind;
mod histories;
mod others;
mod switching;
mod watching;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use hotadd_core::{HardwareId, State};

use super::fake::{Fake, World};
use super::{Hotplug, HotplugOptions, Intruders};
use crate::hardware::Hardware;
use crate::hardware::watch::Watcher;
use crate::{
    Change, Error, EventKind, Notice, Observation, Partition, Registration, Removal, Veto,
};

/// A partition over a fake kernel, and its watcher, which the test drives.
struct Rig {
    fake: Fake,
    hotplug: Arc<Hotplug>,
    partition: Partition,
    watcher: Watcher,
    told: Arc<Mutex<Vec<String>>>,
    _observation: Observation,
    _driver: Registration,
}

/// A driver that records its calls and agrees to everything.
struct Driver(Arc<Mutex<Vec<String>>>);

impl Driver {
    fn tell(&self, notice: &Notice) {
        let surprise = if notice.is_surprise() { " surprise" } else { "" };
        let says = format!("{} {}{surprise}", notice.state(), notice.processor().id);
        self.0.lock().unwrap().push(says);
    }
}

impl crate::Driver for Driver {
    fn add_start(&mut self, notice: &Notice) -> Result<(), Veto> {
        self.tell(notice);
        Ok(())
    }

    fn add_complete(&mut self, notice: &Notice) {
        self.tell(notice);
    }

    fn add_failure(&mut self, notice: &Notice) {
        self.tell(notice);
    }

    fn removal(&mut self) -> Option<&mut dyn Removal> {
        Some(self)
    }
}

impl Removal for Driver {
    fn remove_start(&mut self, _: &Notice) -> Result<(), Veto> {
        Ok(())
    }

    fn remove_complete(&mut self, notice: &Notice) {
        self.tell(notice);
    }
}

impl Rig {
    fn new(possible: &str, present: &str, online: &str) -> Self {
        Self::with(Fake::new(possible, present, online), Intruders::Report)
    }

    fn with(fake: Fake, intruders: Intruders) -> Self {
        let mut options = HotplugOptions::new().intruders(intruders).poll(Duration::MAX);
        options.quiet = Duration::ZERO;
        let hotplug = Arc::new(Hotplug::on(Arc::new(fake.clone()), options).unwrap());
        // The partition's own watcher gets no events and sleeps.
        fake.world().deaf = true;
        let partition =
            Partition::from_hardware(Arc::clone(&hotplug) as Arc<dyn Hardware>).unwrap();
        fake.world().deaf = false;
        let watcher = Watcher::new(&*hotplug);
        let told = Arc::new(Mutex::new(Vec::new()));
        let driver = partition.register("driver", Driver(Arc::clone(&told)));
        told.lock().unwrap().clear();
        let heard = Arc::clone(&told);
        let observation = partition.observe(move |event| {
            let says = match event.kind {
                EventKind::Breach => format!(
                    "breach {}: {}",
                    event.clause.unwrap(),
                    event.reason.as_deref().unwrap_or_default()
                ),
                EventKind::Joined if !event.agreed => format!("{} joined", event.id.unwrap()),
                EventKind::Appeared => format!("{} appeared", event.id.unwrap()),
                _ => return,
            };
            heard.lock().unwrap().push(says);
        });
        let (_driver, _observation) = (driver.unwrap(), observation.unwrap());
        Self { fake, hotplug, partition, watcher, told, _observation, _driver }
    }

    /// Another process acts.
    fn act(&self, act: impl FnOnce(&mut World)) {
        act(&mut self.fake.world());
    }

    /// One round of the watcher. Returns whether it found a change.
    fn look(&mut self) -> bool {
        let due = self.watcher.look(&*self.hotplug);
        if due {
            let inner = self.inner();
            inner.nudge();
        }
        due
    }

    fn inner(&self) -> Arc<dyn crate::hardware::Nudged> {
        self.partition.local().expect("it was made here")
    }

    fn add(&self, id: u32) -> Result<Change, Error> {
        self.partition.add(HardwareId(id))
    }

    fn remove(&self, id: u32) -> Result<Change, Error> {
        self.partition.remove(HardwareId(id))
    }

    fn active(&self) -> Vec<u32> {
        let mut ids: Vec<u32> = self.partition.active().iter().map(|p| p.id.0).collect();
        ids.sort_unstable();
        ids
    }

    /// The calls of the driver and the events since the last call.
    fn told(&self) -> Vec<String> {
        std::mem::take(&mut *self.told.lock().unwrap())
    }

    fn writes(&self) -> Vec<(u32, bool)> {
        std::mem::take(&mut self.fake.world().writes)
    }
}

/// The line for a processor that joined without agreement.
fn breach(id: u32) -> String {
    format!("breach Q3: processor {id} was brought in by another process; no driver was asked")
}

/// The beginning of a driver's line for this state.
fn line(state: State, id: u32) -> String {
    format!("{state} {id}")
}
