//! What no real machine does on demand: refusals, events at the worst moment, other people's hands on the switches.

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

/// A partition over a kernel for tests, and the watcher's part of it, which listens when it is told to.
struct Rig {
    fake: Fake,
    hotplug: Arc<Hotplug>,
    partition: Partition,
    watcher: Watcher,
    told: Arc<Mutex<Vec<String>>>,
    _observation: Observation,
    _driver: Registration,
}

/// Writes down what it is told, and agrees to everything.
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
        // The partition's own watcher hears nothing and sleeps for ever.
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

    /// Somebody else does something.
    fn act(&self, act: impl FnOnce(&mut World)) {
        act(&mut self.fake.world());
    }

    /// One round of the watcher. Says whether it found something to look at.
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

    /// What the driver and the observer were told since the last time.
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

/// The state as a driver's line begins with it.
fn line(state: State, id: u32) -> String {
    format!("{state} {id}")
}
