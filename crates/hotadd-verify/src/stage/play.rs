//! [`Stage`]: a driver, a partition of simulated processors, and what can be done with both. The scenarios are played here.

use std::mem;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;
use std::time::Duration;

use hotadd::hardware::Simulated;
use hotadd::{
    Batch, Driver as Party, Errno, Error, EventKind, HardwareId, Notice, Partition, Registration,
    Status, Veto,
};
use hotadd_nt::{Driver, Place, probe};

use super::classify;
use super::ledger::{Growth, Ledger};
use super::recorder::{Recorder, place, record_this_thread, status};
use crate::message::AddDecision;
use crate::random::Random;
use crate::scenario::{DRY, Failing, Phase, Scenario, Set};

/// The name of the driver's parties: those after the first have a number appended.
pub(super) const DRIVER: &str = "driver";
/// The errno of a failed start.
const ERRNO: Errno = Errno::EIO;
/// How often the same processor does not join, so that growth can be told from what is kept for the next time.
const ROUNDS: usize = 3;
/// How long is waited for the partition to notice a change. It notices at once.
const PATIENCE: Duration = Duration::from_secs(10);
/// How many images of the driver are prepared, since no file can be loaded once its code runs.
pub(super) const IMAGES: usize = 4;

/// A driver on its stage.
pub(super) struct Stage {
    pub(super) hardware: Arc<Simulated>,
    pub(super) partition: Partition,
    pub(super) recorder: Recorder,
    /// Images of the driver that were not used yet.
    pub(super) images: Vec<Driver>,
    pub(super) set: Set,
    pub(super) active: Vec<HardwareId>,
    pub(super) spare: Vec<HardwareId>,
    pub(super) random: Random,
    /// The loaded driver, and what was outstanding before it was loaded.
    pub(super) loaded: Option<(Driver, Ledger)>,
    /// What was reported as kept for processors that did not join.
    pub(super) lost: Vec<Growth>,
}

impl Stage {
    /// Plays a scenario.
    pub(super) fn play(&mut self, scenario: &Scenario) {
        match scenario {
            Scenario::Plain(name) => self.plain(name),
            Scenario::Failing(failing) => self.failing(failing),
        }
    }

    fn plain(&mut self, name: &str) {
        if name == "index-gaps" {
            let id = self.active[1];
            self.recorder
                .act(Phase::Load, format!("processor {id} leaves before the driver is loaded"));
            self.vanish(id);
        }
        let earlier = (name == "earlier-refusal").then(|| self.refuser("earlier", -1)).flatten();
        if !self.load() {
            return;
        }
        let all = self.spare.clone();
        match name {
            "unload-at-once" => {}
            // The scenario that lists the calls that can fail. Afterwards each is made as often.
            DRY => self.add_all(&all),
            "quick-succession" => {
                self.recorder
                    .act(Phase::Add, format!("adds processors {} one after the other", list(&all)));
                self.batch(&all, Batch::Each);
            }
            "batch" => {
                self.recorder
                    .act(Phase::Add, format!("adds processors {} in an atomic batch", list(&all)));
                self.batch(&all, Batch::Atomic);
            }
            "earlier-refusal" => {
                self.refused_rounds("an earlier driver refuses", earlier.as_ref());
                self.add_all(&all);
            }
            "later-refusal" => {
                let later = self.refuser("later", 1);
                self.refused_rounds("a later driver refuses", later.as_ref());
                self.add_all(&all);
            }
            "failed-start" => {
                for id in all {
                    self.hardware.fail_start(id, ERRNO);
                    self.rounds(id, "the processor fails to start");
                    self.hardware.heal(id);
                    self.add(id);
                }
            }
            "refused-status" => {
                self.recorder.preset(status::REFUSAL, 0);
                self.add_all(&all);
            }
            "outcome-status" => {
                self.recorder.preset(0, status::SENTINEL);
                self.hardware.fail_start(all[0], ERRNO);
                self.rounds(all[0], "the processor fails to start");
                self.add_all(&all[1..]);
            }
            "rehearsal" => {
                for id in all.iter().take(ROUNDS) {
                    self.recorder.act(Phase::Add, format!("rehearses processor {id}"));
                    let _ = self.partition.rehearse(*id);
                    probe::settle();
                }
                self.add(all[0]);
            }
            "surprise-removal" => {
                self.add_all(&all);
                let id = all[0];
                self.recorder.act(Phase::Add, format!("processor {id} vanishes"));
                self.vanish(id);
                probe::settle();
            }
            "slow-host" => {
                for id in &all {
                    self.hardware.delay(*id, Duration::from_millis(20));
                }
                self.add_all(&all[..2]);
            }
            "add-during-unload" => {
                self.add(all[0]);
                self.add_during_unload(all[1]);
            }
            "second-load" => {
                self.add(all[0]);
                self.unload();
                if !self.load() {
                    return;
                }
                self.add(all[1]);
            }
            "random" => self.random(),
            _ => {
                // Also in a group that is new, or not the first.
                if let Some(first) = all.first().copied() {
                    self.hardware.fail_start(first, ERRNO);
                    self.rounds(first, "the processor fails to start");
                    self.hardware.heal(first);
                }
                self.add_all(&all);
            }
        }
        self.unload();
    }

    fn failing(&mut self, failing: &Failing) {
        let first = self.spare[0];
        let recorder = self.recorder.clone();
        let phase = failing.point.phase;
        recorder.arm(matches!(phase, Phase::Load | Phase::Replay | Phase::Complete | Phase::Other));
        let loaded = self.load();
        if matches!(phase, Phase::Load | Phase::Replay) {
            recorder.arm(false);
        }
        if !loaded && !self.load() {
            return;
        }
        match phase {
            Phase::Add => {
                recorder.arm(true);
                // Some calls are made only for some processors: when a table grows.
                for id in self.spare.clone() {
                    self.rounds(id, "a call fails");
                    if recorder.reached() {
                        break;
                    }
                }
                recorder.arm(false);
            }
            Phase::Failure => {
                self.hardware.fail_start(first, ERRNO);
                recorder.arm(true);
                self.rounds(first, "the processor fails to start");
                recorder.arm(false);
                self.hardware.heal(first);
            }
            _ => {}
        }
        // As many as in the scenario that lists the calls, so that each of them is made.
        let all = self.spare.clone();
        self.add_all(&all);
        recorder.arm(matches!(phase, Phase::Unload | Phase::Other));
        self.unload();
    }

    /// Loads the driver. Returns whether it is loaded and registered.
    fn load(&mut self) -> bool {
        self.recorder.act(Phase::Load, "loads the driver");
        let Some(image) = self.images.pop() else {
            self.recorder
                .note(|played| played.not_run = Some("no image of the driver is left".to_owned()));
            return false;
        };
        let before = Ledger::now();
        let registered = self.recorder.registered_ever();
        match image.begin() {
            Ok(driver) => {
                self.recorder.loaded();
                self.loaded = Some((driver, before));
                probe::settle();
                if self.recorder.registered_ever() == registered {
                    let what = "returns success from DriverEntry without a registered callback";
                    self.recorder.find("never-registered", what, None, None);
                    self.unload();
                    return false;
                }
                true
            }
            Err(error) => {
                self.lose(
                    "leak-after-refused-load",
                    "DriverEntry failed and keeps",
                    Ledger::now().growth_since(&before),
                );
                if !self.recorder.reached() {
                    self.recorder.note(|played| played.refused_load = Some(error.to_string()));
                }
                false
            }
        }
    }

    fn unload(&mut self) {
        let Some((driver, before)) = self.loaded.take() else { return };
        self.recorder.act(Phase::Unload, "unloads the driver");
        match driver.unload() {
            Ok(_) => {
                let known = mem::take(&mut self.lost);
                let mut growth = Ledger::now().growth_since(&before);
                // Objects are in the report of the unload, which the console has received.
                growth
                    .retain(|one| one.is_memory() && !known.iter().any(|known| known.is_same(one)));
                self.lose("leak-after-unload", "is unloaded and keeps", growth);
            }
            // It stays until the process ends (L2).
            Err((driver, _)) => mem::forget(driver),
        }
    }

    /// Adds processors one by one.
    fn add_all(&mut self, ids: &[HardwareId]) {
        for id in ids {
            self.add(*id);
        }
    }

    /// Adds a processor. Returns whether it joined.
    fn add(&mut self, id: HardwareId) -> bool {
        self.recorder.act(Phase::Add, format!("adds processor {id}"));
        let groups = self.active_groups();
        let added = self.partition.add(id);
        probe::settle();
        let joined = added.is_ok();
        if let Ok(change) = &added {
            probe::use_devices(change.processor.index.get());
        }
        self.decide(&added.map(|change| change.processor), &groups);
        joined
    }

    fn batch(&mut self, ids: &[HardwareId], how: Batch) {
        let groups = self.active_groups();
        for (_, added) in self.partition.add_batch(ids, how) {
            self.decide(&added.map(|change| change.processor), &groups);
        }
        probe::settle();
    }

    /// The groups that have active processors.
    fn active_groups(&self) -> Vec<u32> {
        self.partition
            .active()
            .iter()
            .map(|processor| processor.index.get() / self.set.group)
            .collect()
    }

    /// Records what the driver decided.
    fn decide(&self, added: &Result<hotadd::Processor, Error>, groups: &[u32]) {
        let (processor, agreed) = match added {
            Ok(processor) => (*processor, true),
            Err(Error::Vetoed { processor, .. }) => (*processor, false),
            Err(_) => return,
        };
        let index = processor.index.get();
        let group_was_active = groups.contains(&(index / self.set.group));
        self.recorder
            .note(|played| played.adds.push(AddDecision { index, group_was_active, agreed }));
    }

    /// Tries to add a processor several times, while something prevents it, and reports what the driver keeps each time.
    fn rounds(&mut self, id: HardwareId, why: &str) {
        let mut check = "leak-after-failure";
        let mut ledgers = Vec::new();
        for _ in 0..ROUNDS {
            self.recorder.act(Phase::Add, format!("adds processor {id}: {why}"));
            let before = Ledger::now();
            match self.partition.add(id) {
                // The driver does without the call that failed.
                Ok(_) if self.recorder.reached() => return self.judge_agreement(id, &before),
                Ok(_) => return,
                // It cleans up after its own refusal itself (A3).
                Err(Error::Vetoed { party, .. }) if party.name.starts_with(DRIVER) => {
                    check = "leak-after-veto";
                }
                Err(_) => {}
            }
            probe::settle();
            ledgers.push(Ledger::now());
        }
        let growth = Ledger::growth_of_rounds(&ledgers);
        self.lose(check, "keeps, for each processor that did not join,", growth);
    }

    /// Compares what the driver has for a processor that it agreed to after a call had failed with what it makes for another one.
    fn judge_agreement(&mut self, id: HardwareId, before: &Ledger) {
        probe::settle();
        let with_failure = Ledger::now().blocks_since(before);
        self.recorder.arm(false);
        let Some(other) = self.spare.iter().copied().find(|other| *other != id) else { return };
        let before = Ledger::now();
        if self.add(other) && Ledger::now().blocks_since(&before) > with_failure {
            let what = format!(
                "agrees to processor {id} after a call failed, and has less memory for it than for others"
            );
            self.recorder.find("agrees-unprepared", what, None, None);
        }
    }

    fn refused_rounds(&mut self, why: &str, refuser: Option<&(Arc<AtomicBool>, Registration)>) {
        let Some((refuses, _)) = refuser else { return };
        refuses.store(true, Ordering::Relaxed);
        self.rounds(self.spare[0], why);
        refuses.store(false, Ordering::Relaxed);
    }

    fn lose(&mut self, check: &str, how: &str, growth: Vec<Growth>) {
        for one in &growth {
            let origin: Option<Place> = one.origin;
            self.recorder.find(
                check,
                format!("{how} {}", one.what),
                origin.map(place),
                origin.map(place),
            );
        }
        self.lost.extend(growth);
    }

    /// A party that refuses while its flag is set.
    fn refuser(&self, name: &str, level: i32) -> Option<(Arc<AtomicBool>, Registration)> {
        let refuses = Arc::new(AtomicBool::new(false));
        let party = Refuser(Arc::clone(&refuses));
        let registration = self.partition.registration(name).level(level).register(party).ok()?;
        Some((refuses, registration))
    }

    /// Adds a processor when the driver deregisters: until that returns, its callback may be called (D1).
    fn add_during_unload(&self, id: HardwareId) {
        let (partition, recorder) = (self.partition.clone(), self.recorder.clone());
        let add = move || {
            recorder.act(Phase::Add, format!("adds processor {id}, while the driver deregisters"));
            classify::set_deregistering(true);
            let add = move || {
                record_this_thread();
                let _ = partition.add(id);
            };
            // Not on this thread, which is inside of the driver.
            let _ = std::thread::spawn(add).join();
            classify::set_deregistering(false);
            recorder.act(Phase::Unload, "the driver goes on unloading");
        };
        self.recorder.on_deregistering(Some(Box::new(add)));
    }

    fn random(&mut self) {
        let mut spare = self.spare.clone();
        for _ in 0..20 {
            if spare.is_empty() || self.loaded.is_none() {
                break;
            }
            let at = self.random.below(spare.len());
            match self.random.below(4) {
                0 => {
                    self.hardware.fail_start(spare[at], ERRNO);
                    self.rounds(spare[at], "the processor fails to start");
                    self.hardware.heal(spare[at]);
                }
                1 if self.images.len() > 1 => {
                    self.unload();
                    self.load();
                }
                2 => {
                    self.recorder.act(Phase::Add, format!("rehearses processor {}", spare[at]));
                    let _ = self.partition.rehearse(spare[at]);
                }
                _ => {
                    let id = spare.swap_remove(at);
                    self.add(id);
                }
            }
        }
    }

    /// Lets a processor vanish, and waits until the partition has noticed.
    fn vanish(&self, id: HardwareId) {
        let (sender, left) = channel();
        let observation = self.partition.observe(move |event| {
            if event.kind == EventKind::Left && event.id == Some(id) {
                let _ = sender.send(());
            }
        });
        self.recorder.vanished();
        self.hardware.vanish(id);
        // Without an observation the sender is gone, and nothing is waited for.
        let _ = left.recv_timeout(PATIENCE);
        drop(observation);
    }
}

fn list(ids: &[HardwareId]) -> String {
    ids.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// A party that refuses while its flag is set.
struct Refuser(Arc<AtomicBool>);

impl Party for Refuser {
    fn add_start(&mut self, _: &Notice) -> Result<(), Veto> {
        if self.0.load(Ordering::Relaxed) {
            return Err(Veto::new(Status::DEVICE_BUSY, "another driver of the scenario refuses"));
        }
        Ok(())
    }
}
