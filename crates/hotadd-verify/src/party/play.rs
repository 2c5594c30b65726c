//! [`Stage`]: a party, a partition of simulated processors, and what can be done with both. The scenarios are played here.

use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use hotadd::hardware::Simulated;
use hotadd::{
    Batch, Change, Driver, Errno, Error, HardwareId, Notice, Observation, Partition, PartyId,
    Registration, Status, Veto,
};

use super::recorder::Recorder;
use super::{Outstanding, PartyOptions, Start};
use crate::random::Random;
use crate::scenario::{Plain, Set};

/// The errno of a failed start.
const ERRNO: Errno = Errno::EIO;
/// How many equal rounds are compared, so that growth can be told from what is kept for the next time.
const ROUNDS: usize = 3;
/// How long a processor that vanishes may stay in the set.
const SOON: Duration = Duration::from_secs(10);

/// A party on its stage.
pub(super) struct Stage {
    /// Dropped first: the party's.
    party: Option<Box<dyn Any>>,
    hardware: Arc<Simulated>,
    partition: Partition,
    recorder: Recorder,
    start: Start,
    outstanding: Option<Outstanding>,
    active: Vec<HardwareId>,
    spare: Vec<HardwareId>,
    seed: u64,
    /// What the party keeps after its own refusal was examined.
    examined: bool,
    _observation: Observation,
}

/// What became of an attempt.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Attempt {
    Joined,
    /// The party refused.
    Refused,
    /// Something else prevented it.
    Prevented,
}

impl Stage {
    pub(super) fn new(
        scenario: &Plain,
        options: &PartyOptions,
        recorder: Recorder,
        start: Start,
    ) -> Result<Self, Box<dyn std::error::Error>> {
        let (active, spare) = ids(scenario.set);
        let hardware = Simulated::with_ids(active.iter().copied(), spare.iter().copied())?;
        let partition = Partition::simulated(&hardware)?;
        let observer = recorder.clone();
        let observation = partition.observe(move |event| observer.event(event))?;
        Ok(Self {
            party: None,
            hardware,
            partition,
            recorder,
            start,
            outstanding: options.outstanding.clone(),
            active,
            spare,
            seed: options.seed,
            examined: false,
            _observation: observation,
        })
    }

    /// Plays a scenario.
    pub(super) fn play(&mut self, name: &str) {
        let all = self.spare.clone();
        if name == "index-gaps" {
            self.vanish(self.active[1]);
        }
        let earlier =
            (name == "earlier-refusal").then(|| self.refuser("earlier", -1_000_000)).flatten();
        if !self.load() {
            return;
        }
        match name {
            "unload-at-once" => {}
            "quick-succession" | "batch" => {
                let how = if name == "batch" { Batch::Atomic } else { Batch::Each };
                self.batch(&all, how);
            }
            "earlier-refusal" => self.refused(earlier.as_ref(), &all),
            "later-refusal" => {
                let later = self.refuser("later", 1_000_000);
                self.refused(later.as_ref(), &all);
            }
            "refused-batch" => {
                let later = self.refuser("later", 1_000_000);
                if let Some((refuses, _)) = &later {
                    refuses.store(true, Ordering::Relaxed);
                    let round = |stage: &mut Self| stage.batch(&all, Batch::Atomic);
                    self.failure_rounds("a batch that a later party refuses", round);
                    refuses.store(false, Ordering::Relaxed);
                }
                self.batch(&all, Batch::Atomic);
            }
            "failed-start" => {
                for id in all.iter().take(2) {
                    self.failed_start(*id);
                    self.add(*id);
                }
            }
            "rehearsal" => {
                self.failure_rounds("rehearsals", |stage| {
                    stage.recorder.act(|| format!("rehearses processor {}", all[0]));
                    match stage.partition.rehearse(all[0]) {
                        Ok(rehearsal) if rehearsal.is_agreed() => Attempt::Prevented,
                        _ => Attempt::Refused,
                    }
                });
                self.add(all[0]);
            }
            "removal" => {
                self.add_all(&all[..2]);
                for _ in 0..ROUNDS {
                    self.remove(all[0]);
                    self.add(all[0]);
                }
            }
            "surprise-removal" => {
                self.add_all(&all[..2]);
                self.vanish(all[0]);
                self.add(all[0]);
            }
            "slow-start" => {
                all.iter().for_each(|id| self.hardware.delay(*id, Duration::from_millis(20)));
                self.add_all(&all[..2]);
            }
            "second-load" => return self.loads(all[0]),
            "registered-twice" => return self.twice(&all),
            "random" => self.random(),
            _ => self.add_all(&all),
        }
        self.unload();
    }

    /// Registers the party. Returns whether it is registered.
    fn load(&mut self) -> bool {
        self.recorder.act(|| "registers the party".to_owned());
        match (self.start)(&self.partition) {
            Ok(party) if self.recorder.is_registered() => {
                self.party = Some(party);
                self.recorder.stays(true);
                true
            }
            Ok(party) => {
                if !self.recorder.has_found() {
                    let what = "starts well, and nothing is registered".to_owned();
                    self.recorder.find("never-registered", what);
                }
                drop(party);
                false
            }
            Err(why) => {
                if !self.recorder.has_found() {
                    self.refused_loads();
                    self.recorder.refused_load(why);
                }
                false
            }
        }
    }

    /// Tries again to register a party that refused, and compares what it keeps.
    fn refused_loads(&self) {
        let Some(outstanding) = &self.outstanding else { return };
        let mut counts = [0; ROUNDS];
        self.recorder.mute(true);
        for count in &mut counts {
            drop((self.start)(&self.partition));
            *count = outstanding();
        }
        self.recorder.mute(false);
        self.compare("leak-after-refused-load", "each time it does not register", counts);
    }

    /// Deregisters the party.
    fn unload(&mut self) {
        let Some(party) = self.party.take() else { return };
        self.recorder.act(|| "deregisters the party".to_owned());
        self.recorder.stays(false);
        drop(party);
    }

    /// Whether the party is still there.
    fn is_there(&self) -> bool {
        self.party.is_some() && self.recorder.is_registered()
    }

    fn add_all(&mut self, ids: &[HardwareId]) {
        for id in ids {
            self.add(*id);
        }
    }

    /// Adds a processor.
    fn add(&mut self, id: HardwareId) -> Attempt {
        if !self.is_there() {
            return Attempt::Prevented;
        }
        self.recorder.act(|| format!("adds processor {id}"));
        let added = self.partition.add(id);
        let attempt = self.attempt(&added);
        if attempt == Attempt::Refused && !self.examined {
            self.examined = true;
            let how = "each time it refuses a processor";
            self.rounds("leak-after-veto", how, Attempt::Refused, |stage| {
                stage.attempt_quietly(id)
            });
        }
        attempt
    }

    /// Adds a processor, and records nothing of it.
    fn attempt_quietly(&self, id: HardwareId) -> Attempt {
        of(&self.partition.add(id), |_, _| ())
    }

    /// Records what the party decided.
    fn attempt(&self, added: &Result<Change, Error>) -> Attempt {
        of(added, |index, agreed| self.recorder.decided(index, agreed))
    }

    /// Adds several processors. Returns what became of the first that did not join.
    fn batch(&mut self, ids: &[HardwareId], how: Batch) -> Attempt {
        if !self.is_there() {
            return Attempt::Prevented;
        }
        self.recorder.act(|| {
            let list = ids.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
            let batch = if how == Batch::Atomic { " in an atomic batch" } else { "" };
            format!("adds processors {list}{batch}")
        });
        let added = self.partition.add_batch(ids, how).into_iter();
        let attempts: Vec<Attempt> = added.map(|(_, added)| self.attempt(&added)).collect();
        let stopped = attempts.into_iter().find(|attempt| *attempt != Attempt::Joined);
        stopped.unwrap_or(Attempt::Joined)
    }

    fn remove(&self, id: HardwareId) {
        if self.is_there() {
            self.recorder.act(|| format!("removes processor {id}"));
            // The party may refuse, and the processor may not have joined.
            let _ = self.partition.remove(id);
        }
    }

    fn vanish(&self, id: HardwareId) {
        self.recorder.act(|| format!("processor {id} vanishes"));
        self.hardware.vanish(id);
        let since = Instant::now();
        let is_active = || {
            let active = self.partition.active();
            active.by_id(id).is_some_and(|processor| active.contains(processor.index))
        };
        // The hardware tells the partition at once. The party is told on this thread, or soon.
        while is_active() && since.elapsed() < SOON {
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Lets another party refuse the first processor, and then agree to all.
    fn refused(&mut self, refuser: Option<&(Arc<AtomicBool>, Registration)>, all: &[HardwareId]) {
        let Some((refuses, _)) = refuser else { return };
        refuses.store(true, Ordering::Relaxed);
        self.failure_rounds("a processor that another party refuses", |stage| stage.add(all[0]));
        refuses.store(false, Ordering::Relaxed);
        self.add_all(&all[..3]);
    }

    fn failed_start(&mut self, id: HardwareId) {
        self.hardware.fail_start(id, ERRNO);
        self.failure_rounds("a processor that fails to start", |stage| stage.add(id));
        self.hardware.heal(id);
    }

    /// Does the same several times, and each time no processor joins.
    fn failure_rounds(&mut self, what: &str, mut round: impl FnMut(&mut Self) -> Attempt) {
        if self.is_there() && round(self) == Attempt::Prevented {
            let how = format!("for {what}, each time");
            self.rounds("leak-after-failure", &how, Attempt::Prevented, round);
        }
    }

    /// Does the same several times with the same result, and compares what the party keeps.
    fn rounds(
        &mut self,
        check: &str,
        how: &str,
        expected: Attempt,
        mut round: impl FnMut(&mut Self) -> Attempt,
    ) {
        let Some(outstanding) = self.outstanding.clone() else {
            if self.is_there() {
                round(self);
            }
            return;
        };
        let mut counts = [0; ROUNDS];
        self.recorder.mute(true);
        let mut equal = true;
        for count in &mut counts {
            equal = equal && self.is_there() && round(self) == expected;
            *count = outstanding();
        }
        self.recorder.mute(false);
        if equal {
            self.compare(check, how, counts);
        }
    }

    fn compare(&self, check: &str, how: &str, counts: [u64; ROUNDS]) {
        if counts.windows(2).all(|two| two[0] < two[1]) {
            let more = counts[ROUNDS - 1] - counts[ROUNDS - 2];
            self.recorder.find(check, format!("keeps {more} more {how}"));
        }
    }

    /// Registers and deregisters the party several times.
    fn loads(&mut self, id: HardwareId) {
        self.add(id);
        self.unload();
        let mut counts = [0; ROUNDS];
        let mut equal = true;
        for (at, count) in counts.iter_mut().enumerate() {
            self.recorder.mute(at > 0);
            // The party is not there, so no party is asked.
            let _ = self.partition.remove(id);
            equal = equal && self.load() && self.add(id) == Attempt::Joined;
            self.unload();
            *count = self.outstanding.as_ref().map_or(0, |outstanding| outstanding());
        }
        self.recorder.mute(false);
        if equal {
            self.compare("leak-after-unload", "each time it is deregistered", counts);
        }
    }

    /// Registers the party a second time (R6), and deregisters the first.
    fn twice(&mut self, all: &[HardwareId]) {
        self.add(all[0]);
        let first = self.party.take();
        if self.load() {
            self.add(all[1]);
            self.recorder.stays(false);
            drop(first);
            self.recorder.stays(true);
            self.add(all[2]);
        } else {
            self.recorder.stays(false);
            drop(first);
        }
        self.unload();
    }

    fn random(&mut self) {
        let mut random = Random::new(self.seed);
        let mut spare = self.spare.clone();
        for _ in 0..20 {
            if spare.is_empty() || !self.is_there() {
                return;
            }
            let at = random.below(spare.len());
            match random.below(5) {
                0 => self.failed_start(spare[at]),
                1 => {
                    self.unload();
                    if !self.load() {
                        return;
                    }
                }
                2 => {
                    self.recorder.act(|| format!("rehearses processor {}", spare[at]));
                    let _ = self.partition.rehearse(spare[at]);
                }
                _ => {
                    let id = spare.swap_remove(at);
                    self.add(id);
                }
            }
        }
    }

    /// A party that refuses while its flag is set.
    fn refuser(&self, name: &str, level: i32) -> Option<(Arc<AtomicBool>, Registration)> {
        let refuses = Arc::new(AtomicBool::new(false));
        let party = Refuser(Arc::clone(&refuses));
        let recorder = self.recorder.clone();
        let make = move |id: PartyId| {
            recorder.own(id);
            party
        };
        let registration =
            self.partition.registration(name).level(level).register_with(make).ok()?;
        Some((refuses, registration))
    }
}

/// What became of an attempt. Calls `decided` if it was the party's decision.
fn of(added: &Result<Change, Error>, decided: impl FnOnce(u32, bool)) -> Attempt {
    match added {
        Ok(change) => {
            decided(change.processor.index.get(), true);
            Attempt::Joined
        }
        Err(Error::Vetoed { processor, veto, .. })
            if veto.reason() != REFUSAL && !veto.is_crash() =>
        {
            decided(processor.index.get(), false);
            Attempt::Refused
        }
        Err(_) => Attempt::Prevented,
    }
}

/// The hardware ids.
fn ids(set: Set) -> (Vec<HardwareId>, Vec<HardwareId>) {
    let id = |at: u32| HardwareId(if set.sparse { at * 5 + 1 } else { at });
    let active = (0..set.active).map(id).collect();
    (active, (set.active..set.active + set.spare).map(id).collect())
}

/// Why a party of a scenario refuses.
const REFUSAL: &str = "another party of the scenario refuses";

/// A party that refuses while its flag is set.
struct Refuser(Arc<AtomicBool>);

impl Driver for Refuser {
    fn add_start(&mut self, _: &Notice) -> Result<(), Veto> {
        if self.0.load(Ordering::Relaxed) {
            return Err(Veto::new(Status::DEVICE_BUSY, REFUSAL));
        }
        Ok(())
    }
}
