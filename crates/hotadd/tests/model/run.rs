//! Applies a history to a real partition and to the model, and compares them after every step.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::sync::Arc;

use hotadd::hardware::Simulated;
use hotadd::{Batch, Change, Error, Event, HardwareId, Partition, ProcessorIndex, ProcessorNumber};

use crate::driver::{Scripted, Shared, lock, names, number};
use crate::history::{History, Removal, Script, Step, World};
use crate::journal::{Course, Entry, Failure, Outcome};
use crate::pairs::Pairs;
use crate::reference::{Model, Processor};

/// The real partition, and its drivers.
struct Real {
    hardware: Arc<Simulated>,
    partition: Partition,
    shared: Arc<Shared>,
}

impl Real {
    fn new(world: &World) -> Self {
        let ids = |running| {
            world.machines().filter(move |m| m.running == running).map(|m| m.id).collect::<Vec<_>>()
        };
        let hardware = Simulated::with_ids(ids(true), ids(false)).expect("a world is consistent");
        for machine in world.machines() {
            if let Some(errno) = machine.fail_start {
                hardware.fail_start(machine.id, errno);
            }
            if let Some(errno) = machine.fail_stop {
                hardware.fail_stop(machine.id, errno);
            }
        }
        let partition = Partition::simulated(&hardware).expect("a world is consistent");
        let shared: Arc<Shared> = Arc::default();
        if world.observed {
            let watcher = Arc::clone(&shared);
            let watch = move |event: &Event| watcher.observe(event);
            partition.observe(watch).expect("nobody is inside").detach();
        }
        Self { hardware, partition, shared }
    }

    fn step(&self, step: &Step) -> Outcome {
        let Self { partition, shared, .. } = self;
        let one = |id: HardwareId, result: Result<Change, Error>| {
            (id, result.map(|c| (names(c.processor), c.epoch.0)).map_err(|e| failure(&e)))
        };
        match step {
            Step::Register(slot, script) => Outcome::Registered(self.register(*slot, script)),
            Step::Deregister(slot) => Outcome::Deregistered(shared.deregister(*slot)),
            Step::Add(id) => Outcome::Changed(vec![one(*id, partition.add(*id))]),
            Step::Batch(batch, ids) => {
                let results = partition.add_batch(ids, *batch);
                Outcome::Changed(results.into_iter().map(|(id, r)| one(id, r)).collect())
            }
            Step::Rehearse(id) => {
                let answers = partition.rehearse(*id).map(|rehearsal| {
                    assert_eq!(rehearsal.processor.id, *id);
                    let answers = rehearsal.answers.into_iter();
                    answers.map(|a| (number(&a.party), a.answer.map_err(|v| v.status()))).collect()
                });
                Outcome::Rehearsed(answers.map_err(|e| failure(&e)))
            }
            Step::Spare(_) => unreachable!("resolved"),
            Step::Remove(id) => Outcome::Changed(vec![one(*id, partition.remove(*id))]),
            event => {
                self.event(event);
                Outcome::Done
            }
        }
    }

    fn event(&self, step: &Step) {
        match *step {
            Step::FailStart(id, errno) => self.hardware.fail_start(id, errno),
            Step::FailStop(id, errno) => self.hardware.fail_stop(id, errno),
            Step::Heal(id) => self.hardware.heal(id),
            Step::Vanish(id) => self.hardware.vanish(id),
            Step::Intrude(id) => self.hardware.intrude(id),
            _ => unreachable!("a request, not an event"),
        }
    }

    fn register(&self, slot: usize, script: &Script) -> Result<(), Failure> {
        let Self { hardware, partition, shared } = self;
        let party = {
            let mut drops = lock(&shared.drops);
            drops.push(0);
            drops.len() - 1
        };
        let name = format!("p{party}");
        let mut registering = partition.registration(&name).level(script.level);
        if !script.replay {
            registering = registering.without_replay();
        }
        if script.at_once {
            registering = registering.at_once();
        }
        let driver = Scripted {
            party,
            slot,
            script: script.clone(),
            calls: 0,
            partition: partition.clone(),
            hardware: Arc::clone(hardware),
            shared: Arc::clone(shared),
        };
        let registration = registering.register(driver).map_err(|e| failure(&e))?;
        assert_eq!(registration.party().name, name);
        assert_eq!(registration.party().level.0, script.level);
        lock(&shared.slots)[slot] = Some(registration);
        Ok(())
    }
}

impl Drop for Real {
    fn drop(&mut self) {
        // Drivers and registrations refer to one another through `shared`.
        for slot in 0..crate::history::SLOTS {
            self.shared.deregister(slot);
        }
    }
}

fn failure(error: &Error) -> Failure {
    match *error {
        Error::Vetoed { action, processor, party: ref by, ref veto } => Failure::Vetoed {
            action,
            processor: names(processor),
            party: number(by),
            status: veto.status(),
        },
        Error::NotJoining { processor, party: ref by, ref veto } => Failure::Vetoed {
            action: hotadd::Action::Add,
            processor: names(processor),
            party: number(by),
            status: veto.status(),
        },
        Error::Platform { action, processor, ref error } => Failure::Platform {
            action,
            processor: names(processor),
            errno: error.errno.expect("simulated faults have an errno"),
        },
        Error::Touched { processor, .. } => Failure::Touched { processor: names(processor) },
        Error::Stuck { processor, ref error } => Failure::Stuck {
            processor: names(processor),
            errno: error.errno.expect("simulated faults have an errno"),
        },
        Error::NotAddable { id, status, .. } => Failure::NotAddable(vec![(id, status)]),
        Error::NotRemovable { id, .. } => Failure::NotRemovable(id),
        Error::Crashed(ref by) => Failure::Crashed { party: number(by) },
        ref other => Failure::Other(other.to_string()),
    }
}

/// Runs a history. `Err` describes the first difference. Returns the kinds of events, to be counted.
pub(crate) fn run(history: &History) -> Result<Vec<Course>, String> {
    let real = Real::new(&history.world);
    let mut model = Model::new(&history.world);
    let mut epochs = Epochs::default();
    let mut pairs = Pairs::default();
    let mut all = Vec::new();
    compare(&real, &model, &mut epochs).map_err(|e| format!("at the start: {e}"))?;
    for (at, step) in history.steps.iter().enumerate() {
        for step in &resolve(step, &model) {
            let located = |e| format!("at step {at}, {step:?}: {e}");
            let outcome = model.step(step);
            let journal = std::mem::take(&mut model.journal);
            let real_outcome = real.step(step);
            let real_journal = std::mem::take(&mut *lock(&real.shared.journal));
            if history.world.observed {
                let observed = std::mem::take(&mut *lock(&real.shared.observed));
                same("observed calls", &observed, &calls(&journal)).map_err(located)?;
            }
            let hears = |party: usize| model.parties[party].script.removal == Removal::Heard;
            pairs.check(&real_journal, hears).map_err(located)?;
            same_journal(real_journal, &journal, &mut epochs).map_err(located)?;
            same_outcome(real_outcome, &outcome, &mut epochs).map_err(located)?;
            compare(&real, &model, &mut epochs).map_err(located)?;
            all.push((outcome, journal, std::mem::take(&mut model.remarks)));
        }
    }
    Ok(all)
}

/// A step as steps that both can perform without knowing their state.
fn resolve(step: &Step, model: &Model) -> Vec<Step> {
    match step {
        Step::Register(slot, _) => vec![Step::Deregister(*slot), step.clone()],
        Step::Spare(ids) => {
            let spare = ids.iter().copied().filter(|id| !model.is_active(*id));
            let spare = spare.filter(|id| model.machines.contains_key(id));
            vec![Step::Batch(Batch::Atomic, spare.collect())]
        }
        _ => vec![step.clone()],
    }
}

/// Pairs the epochs of both. The contract promises only that they grow together, not by how much (Q2).
#[derive(Default)]
struct Epochs(BTreeMap<u64, u64>);

impl Epochs {
    /// Returns the model's epoch for the real one, or 0 if they do not correspond.
    fn pair(&mut self, real: u64, model: u64) -> u64 {
        let before = self.0.range(..real).next_back().is_none_or(|(_, m)| *m < model);
        let after = self.0.range(real + 1..).next().is_none_or(|(_, m)| *m > model);
        let fits = before && after && *self.0.entry(real).or_insert(model) == model;
        if fits { model } else { 0 }
    }
}

/// Observers are told of a call when it begins, and not again when its answer is read.
fn calls(journal: &[Entry]) -> Vec<usize> {
    let mut begun = BTreeSet::new();
    let party = |entry: &Entry| match entry {
        Entry::Begin { party, .. } => begun.insert(*party).then_some(*party),
        Entry::Call { party, .. } => (!begun.remove(party)).then_some(*party),
        _ => None,
    };
    journal.iter().filter_map(party).collect()
}

fn same_journal(real: Vec<Entry>, model: &[Entry], epochs: &mut Epochs) -> Result<(), String> {
    let paired = real.into_iter().enumerate().map(|(at, mut entry)| {
        if let (
            Entry::Begin { view, .. } | Entry::Call { view, .. },
            Some(Entry::Begin { view: modelled, .. } | Entry::Call { view: modelled, .. }),
        ) = (&mut entry, model.get(at))
        {
            view.epoch = epochs.pair(view.epoch, modelled.epoch);
        }
        entry
    });
    same("journal", &paired.collect::<Vec<_>>().as_slice(), &model)
}

fn same_outcome(mut real: Outcome, model: &Outcome, epochs: &mut Epochs) -> Result<(), String> {
    let one_of = |real: &mut Failure, model: &Failure| {
        if let (Failure::NotAddable(one), Failure::NotAddable(all)) = (&mut *real, model)
            && all.contains(&one[0])
        {
            one.clone_from(all);
        }
    };
    match (&mut real, model) {
        (Outcome::Changed(real), Outcome::Changed(model)) => {
            // Whichever fault is reported, it is the same one for the whole of an atomic batch (A9); the model's
            // batches of single adds never have more than one to choose from.
            for ((_, real), (_, model)) in real.iter_mut().zip(model) {
                match (real, model) {
                    (Ok((_, real)), Ok((_, model))) => *real = epochs.pair(*real, *model),
                    (Err(real), Err(model)) => one_of(real, model),
                    _ => {}
                }
            }
        }
        (Outcome::Rehearsed(Err(real)), Outcome::Rehearsed(Err(model))) => one_of(real, model),
        _ => {}
    }
    same("outcome", &real, model)
}

/// Compares all queries (Q1, Q2, Q3, X3), the registrations, and the drops of drivers.
fn compare(real: &Real, model: &Model, epochs: &mut Epochs) -> Result<(), String> {
    let set = real.partition.active();
    same("epoch", &epochs.pair(set.epoch().0, model.epoch), &model.epoch)?;
    same("epoch word", &real.partition.epoch(), &set.epoch())?;
    same("count word", &(real.partition.count() as usize), &model.active.len())?;
    same("count", &(set.count() as usize), &model.active.len())?;
    same("maximum", &(set.maximum() as usize), &model.machines.len())?;
    same("proposed", &set.proposed().len(), &0)?;
    same("groups", &(set.group_count() as usize), &model.known.len().div_ceil(64))?;
    let members: Vec<Processor> = model.active.iter().map(|&i| (i, model.known[i])).collect();
    same("members", &set.iter().map(names).collect::<Vec<_>>(), &members)?;
    same("list", &set.to_vec(), &set.iter().collect())?;
    let mut masks = [0_u64; 3];
    model.active.iter().for_each(|i| masks[i / 64] |= 1 << (i % 64));
    same("masks", &[0, 1, 2].map(|group| set.group_mask(group)), &masks)?;
    for position in 0..model.known.len() + 2 {
        let id = model.known.get(position).copied();
        let index = ProcessorIndex::new(u32::try_from(position).expect("few")).expect("few");
        let number = ProcessorNumber { group: index.number().group, number: index.number().number };
        let active = model.active.contains(&position);
        same("contains", &set.contains(index), &active)?;
        let agreed = active && !model.unagreed.contains(&position);
        same("agreed", &set.is_agreed(index), &agreed)?;
        same("by index", &set.by_index(index).map(|p| p.id), &id)?;
        same("by number", &set.by_number(number).map(|p| p.id), &id)?;
    }
    for id in model.machines.keys() {
        let index = model.known.iter().position(|k| k == id);
        same("by id", &set.by_id(*id).map(|p| p.index.as_usize()), &index)?;
    }
    let running = |running: bool| {
        let machines = model.machines.values().filter(move |m| m.running == running);
        machines.map(|m| m.id).collect::<Vec<_>>()
    };
    same("candidates", &real.partition.candidates().unwrap(), &running(false))?;
    let mut active: Vec<HardwareId> = members.iter().map(|(_, id)| *id).collect();
    active.sort_unstable();
    same("model: what runs is active", &active, &running(true))?;
    let held = lock(&real.shared.slots);
    let held = held.each_ref().map(|r| r.as_ref().map(|r| (number(&r.party()), r.is_registered())));
    let slots = model.slots.map(|slot| slot.map(|party| (party, model.parties[party].registered)));
    same("registered", &held, &slots)?;
    let dropped: Vec<u32> = model.parties.iter().map(|p| u32::from(!p.registered)).collect();
    same("dropped", &*lock(&real.shared.drops), &dropped)
}

fn same<T: PartialEq + Debug>(what: &str, real: &T, model: &T) -> Result<(), String> {
    if real == model {
        return Ok(());
    }
    Err(format!("{what} differs\n real: {real:#?}\nmodel: {model:#?}"))
}
