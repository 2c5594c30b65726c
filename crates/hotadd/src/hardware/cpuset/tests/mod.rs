//! Situations that a real machine does not produce on demand: refusals, invalid partitions, and other
//! processes that write to the same files.

mod changing;
mod histories;
mod holding;
mod others;

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use hotadd_core::HardwareId;

use super::fake::{Fake, World};
use super::{Cpuset, CpusetError, CpusetKind, CpusetOptions};
use crate::hardware::Hardware;
use crate::hardware::watch::Watcher;
use crate::{Change, Error, EventKind, Observation, Partition};

/// A partition over a fake cpuset, and its watcher, which the test drives.
struct Rig {
    fake: Fake,
    cpuset: Arc<Cpuset>,
    partition: Partition,
    watcher: Watcher,
    told: Arc<Mutex<Vec<String>>>,
    _observation: Observation,
}

fn govern(fake: &Fake, options: &CpusetOptions, fresh: bool) -> Result<Cpuset, CpusetError> {
    Cpuset::on(Box::new(fake.clone()), Path::new("/cg"), options, fresh)
}

impl Rig {
    /// Four processors, and a cpuset with these of them.
    fn new(cpus: &str, kind: CpusetKind) -> Self {
        Self::over(Fake::new("0-3", cpus, kind))
    }

    fn over(fake: Fake) -> Self {
        let options = CpusetOptions::new().poll(Duration::MAX);
        let cpuset = Arc::new(govern(&fake, &options, false).unwrap());
        // The partition's own watcher gets no events and sleeps.
        fake.world().deaf = true;
        let partition = Partition::from_hardware(Arc::clone(&cpuset) as Arc<dyn Hardware>).unwrap();
        fake.world().deaf = false;
        let watcher = Watcher::new(&*cpuset);
        let told = Arc::new(Mutex::new(Vec::new()));
        let heard = Arc::clone(&told);
        let observation = partition.observe(move |event| {
            let reason = event.reason.as_deref().unwrap_or_default();
            let says = match event.kind {
                EventKind::Breach => format!("breach {}: {reason}", event.clause.unwrap()),
                EventKind::Joined if !event.agreed => format!("{} joined", event.id.unwrap()),
                EventKind::Appeared => format!("{} appeared", event.id.unwrap()),
                EventKind::Left if event.surprise => format!("{} vanished", event.id.unwrap()),
                _ => return,
            };
            heard.lock().unwrap().push(says);
        });
        let _observation = observation.unwrap();
        fake.world().writes.clear();
        Self { fake, cpuset, partition, watcher, told, _observation }
    }

    /// Another process acts.
    fn act(&self, act: impl FnOnce(&mut World)) {
        act(&mut self.fake.world());
    }

    /// One round of the watcher. Returns whether it found a change.
    fn look(&mut self) -> bool {
        let due = self.watcher.look(&*self.cpuset);
        if due {
            let inner = self.partition.local().expect("it was made here");
            crate::hardware::Nudged::nudge(&*inner);
        }
        due
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

    /// The events since the last call.
    fn told(&self) -> Vec<String> {
        std::mem::take(&mut *self.told.lock().unwrap())
    }

    fn writes(&self) -> Vec<String> {
        std::mem::take(&mut self.fake.world().writes)
    }
}

/// The line for a processor that joined without agreement.
fn breach(id: u32) -> String {
    format!("breach Q3: processor {id} was brought in by another process; no driver was asked")
}
