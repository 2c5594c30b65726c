//! Random histories of switching by others, lost events and failures, checked against what the fake kernel knows.
//!
//! `PROPTEST_CASES=100000 cargo test --release --lib histories` looks longer.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use hotadd_core::HardwareId;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

use super::super::Intruders;
use super::super::fake::{Fake, Way, World};
use super::super::kernel::Errno;
use super::Rig;

/// Sparse ids, not all of them present at first.
const IDS: [u32; 6] = [0, 1, 2, 3, 7, 64];

/// Something that happens.
#[derive(Clone, Debug)]
enum Act {
    Plug(u32),
    Pull(u32),
    Switch(u32, bool, Way),
    /// All unread events are lost.
    Lose,
    /// The socket is closed for good.
    Deafen,
    Junk(Vec<u8>),
    /// One of the next readings of the list fails.
    Unreadable(usize),
    Refuse(u32, Errno),
    /// A request to us. Another process switches the same processor just before our write and after it.
    Add(u32, Option<bool>, Vec<bool>),
    Remove(u32, Option<bool>, Vec<bool>),
    Look,
    /// Looks until there is nothing new, and compares.
    Check,
}

fn act() -> impl Strategy<Value = Act> {
    let id = || prop::sample::select(IDS.to_vec());
    let way = prop_oneof![3 => Just(Way::Switch), 1 => Just(Way::Target)];
    let errno = prop::sample::select(vec![Errno::AGAIN, Errno::CANCELED, Errno::PERM, Errno::INTR]);
    let before = || prop::option::weighted(0.1, any::<bool>());
    let after = || {
        prop_oneof![
            6 => Just(vec![]),
            1 => prop::collection::vec(any::<bool>(), 1..4),
        ]
    };
    prop_oneof![
        4 => id().prop_map(Act::Plug),
        2 => id().prop_map(Act::Pull),
        8 => (id(), any::<bool>(), way).prop_map(|(id, on, way)| Act::Switch(id, on, way)),
        1 => Just(Act::Lose),
        1 => prop::collection::vec(any::<u8>(), 0..40).prop_map(Act::Junk),
        1 => (0..4_usize).prop_map(Act::Unreadable),
        2 => (id(), errno).prop_map(|(id, errno)| Act::Refuse(id, errno)),
        8 => (id(), before(), after()).prop_map(|(id, b, a)| Act::Add(id, b, a)),
        4 => (id(), before(), after()).prop_map(|(id, b, a)| Act::Remove(id, b, a)),
        6 => Just(Act::Look),
        3 => Just(Act::Check),
    ]
}

#[derive(Clone, Debug)]
struct History {
    revoke: bool,
    /// Processor 0 has no switch, as on most machines.
    fixed: bool,
    acts: Vec<Act>,
}

fn history() -> impl Strategy<Value = History> {
    let acts = prop::collection::vec(prop_oneof![60 => act(), 1 => Just(Act::Deafen)], 1..40);
    (any::<bool>(), any::<bool>(), acts).prop_map(|(revoke, fixed, acts)| History {
        revoke,
        fixed,
        acts,
    })
}

/// A history in progress, and what is known in addition to the fake kernel's knowledge.
struct Run {
    rig: Rig,
    revoke: bool,
    deaf: bool,
    /// Members that may have been gone without a trace, because their switch was bypassed or events were lost.
    doubted: BTreeSet<u32>,
    /// Processors that were plugged in and not yet reported as appeared.
    plugged: BTreeSet<u32>,
    /// Those of them that may have been seen running by a look with failed readings. A running processor need
    /// not be added.
    excused: BTreeSet<u32>,
    /// Processors that may have been pulled without a trace.
    unnoticed: BTreeSet<u32>,
    /// How often each was revoked by a look.
    revocations: BTreeMap<u32, u32>,
    /// What the driver and the observer were told since the last look.
    told: Vec<String>,
    /// What has happened in this history, for the test that every kind of event happens.
    seen: BTreeSet<&'static str>,
}

impl Run {
    fn new(history: &History) -> Self {
        let fake = Fake::new("0-3,7,64", "0-2,64", "0-1");
        if history.fixed {
            fake.world().fixed.insert(0);
        }
        let intruders = if history.revoke { Intruders::Revoke } else { Intruders::Report };
        let rig = Rig::with(fake, intruders);
        Self {
            plugged: BTreeSet::new(),
            excused: BTreeSet::new(),
            unnoticed: BTreeSet::new(),
            rig,
            revoke: history.revoke,
            deaf: false,
            doubted: BTreeSet::new(),
            revocations: BTreeMap::new(),
            told: Vec::new(),
            seen: BTreeSet::new(),
        }
    }

    fn run(&mut self, act: &Act) -> Result<(), TestCaseError> {
        match act {
            Act::Plug(id) => {
                if !self.rig.fake.world().is_present(*id) {
                    self.rig.act(|w| w.plug(*id));
                    self.plugged.insert(*id);
                    self.excused.remove(id);
                }
            }
            Act::Pull(id) => {
                self.others(*id, |w| w.pull(*id));
                if !self.rig.fake.world().is_present(*id) {
                    self.plugged.remove(id);
                    self.unnoticed.extend(self.deaf.then_some(*id));
                }
            }
            Act::Switch(id, on, way) => {
                if *way == Way::Target && !on {
                    self.doubted.insert(*id);
                }
                self.others(*id, |w| w.switch(*id, *on, *way));
            }
            Act::Lose => {
                self.doubt_unread();
                self.rig.act(World::lose);
                self.seen.insert("events lost");
            }
            Act::Deafen => {
                self.doubt_unread();
                self.deaf = true;
                self.rig.act(|w| {
                    w.lose();
                    w.send(Err(Errno::BADF));
                });
            }
            Act::Junk(bytes) => self.rig.act(|w| w.send(Ok(Some(bytes.clone())))),
            Act::Unreadable(after) => self.rig.act(|w| {
                w.readings.extend((0..*after).map(|_| None).chain([Some(Errno::IO)]));
            }),
            Act::Refuse(id, errno) => {
                self.rig.act(|w| drop(w.refusals.insert(*id, VecDeque::from([*errno]))));
            }
            Act::Add(id, before, after) => self.change(*id, true, *before, after)?,
            Act::Remove(id, before, after) => self.change(*id, false, *before, after)?,
            Act::Look => drop(self.look()?),
            Act::Check => self.check()?,
        }
        self.hear()
    }

    /// Reads what was told before the next action, because a failed add looks by itself.
    fn hear(&mut self) -> Result<(), TestCaseError> {
        let told = self.rig.told();
        let appeared = told.iter().filter_map(|line| line.strip_suffix(" appeared"));
        for id in appeared.map(|id| id.parse().unwrap()) {
            prop_assert!(
                self.plugged.remove(&id),
                "{id} appeared, and was not plugged in: {told:?}"
            );
            self.seen.insert("appeared");
        }
        self.told.extend(told);
        Ok(())
    }

    /// Another process switches a processor. An event without a listener leaves no trace.
    fn others(&mut self, id: u32, act: impl FnOnce(&mut World)) {
        if self.deaf {
            self.doubted.insert(id);
        }
        self.rig.act(act);
    }

    fn doubt_unread(&mut self) {
        let world = self.rig.fake.world();
        let gone = || IDS.iter().filter(|id| world.has_said_gone(**id));
        self.doubted.extend(gone());
        self.unnoticed.extend(gone());
    }

    fn change(
        &mut self,
        id: u32,
        on: bool,
        before: Option<bool>,
        after: &[bool],
    ) -> Result<(), TestCaseError> {
        let member = self.rig.active().contains(&id);
        let hook = |acts: Vec<bool>| -> Box<dyn FnOnce(&mut World) + Send> {
            Box::new(move |w| acts.iter().for_each(|on| w.switch(id, *on, Way::Switch)))
        };
        self.rig.act(|w| {
            w.before = before.map(|on| hook(vec![on]));
            w.after = (!after.is_empty()).then(|| hook(after.to_vec()));
        });
        let result = if on { self.rig.add(id) } else { self.rig.remove(id) };
        let writes = self.rig.writes();
        let wrote = writes.first() == Some(&(id, on));
        // What was touched meanwhile is found by a look after the change.
        let revoked = &writes[usize::from(wrote)..];
        let mut world = self.rig.fake.world();
        let meddled = before.is_some() && world.before.is_none();
        (world.before, world.after) = (None, None);
        match &result {
            Ok(_) if on => {
                prop_assert!(wrote, "it was switched by us, or it is not ours");
                self.seen.insert("added");
                self.doubted.remove(&id);
                // All parties had agreed when another process was faster than our write. A processor that is
                // switched off at that moment counts as switched off after our write.
                if meddled || self.deaf && !after.is_empty() {
                    self.doubted.insert(id);
                }
                if meddled && before == Some(false) {
                    *world.brought.entry(id).or_default() += 1;
                }
            }
            Ok(_) => drop(self.seen.insert("removed")),
            Err(error) => {
                self.seen.extend(error.errno().and_then(crate::Errno::name));
                // It was switched and that could not be read, so the add has failed for every observer.
                let undone = revoked.contains(&(id, false));
                let switched = on && !member && (undone || world.online().contains(&id));
                if switched && world.ours.insert(id, false) == Some(true) {
                    *world.brought.entry(id).or_default() += 1;
                }
                if member && wrote && self.deaf {
                    self.doubted.insert(id);
                }
            }
        }
        drop(world);
        self.revoked(revoked)
    }

    /// Checks the writes of a look.
    fn revoked(&mut self, writes: &[(u32, bool)]) -> Result<(), TestCaseError> {
        prop_assert!(self.revoke || writes.is_empty(), "a look wrote: {writes:?}");
        let mut written: Vec<u32> = writes.iter().map(|(id, _)| *id).collect();
        written.dedup();
        prop_assert_eq!(written.len(), writes.len(), "a write was repeated: {:?}", writes);
        for (id, on) in writes {
            prop_assert!(!on, "a look may only switch off");
            let times = self.revocations.entry(*id).or_default();
            *times += 1;
            let brought = self.rig.fake.world().brought.get(id).copied().unwrap_or(0);
            prop_assert!(
                *times <= brought,
                "{id}: revoked {times} times, brought in {brought} times"
            );
        }
        Ok(())
    }

    /// One round of the watcher, after which nothing that it could see may pass for agreed.
    fn look(&mut self) -> Result<bool, TestCaseError> {
        let before = self.rig.fake.world().online();
        let readable = self.rig.fake.world().readings.is_empty();
        let due = self.rig.look();
        self.hear()?;
        let told = std::mem::take(&mut self.told);
        let writes = self.rig.writes();
        self.revoked(&writes)?;
        if !readable {
            self.excused.extend(&before);
            return Ok(due);
        }
        // Only a look that reads the list notices that one is gone.
        self.unnoticed.retain(|id| self.rig.fake.world().is_present(*id));
        for id in std::mem::take(&mut self.plugged) {
            // A running processor need not be added.
            let off = !self.rig.fake.world().online().contains(&id);
            // It joined before this look, and was taken offline since.
            let joined = told.contains(&format!("{id} joined"));
            let excused = joined || self.unnoticed.contains(&id) || self.excused.contains(&id);
            prop_assert!(!off || excused, "{id} was plugged in, and did not appear: {told:?}");
        }
        let (set, world) = (self.rig.partition.active(), self.rig.fake.world());
        self.doubted.retain(|id| before.contains(id));
        for id in before.iter().filter(|id| !self.doubted.contains(id) && !world.ours[id]) {
            let active = set.by_id(HardwareId(*id)).filter(|p| set.contains(p.index));
            let unagreed = active.is_some_and(|p| !set.is_agreed(p.index));
            let undone = format!("processor {id} was brought online by another process; it was");
            let undone = told.iter().any(|line| line.contains(&undone));
            prop_assert!(unagreed || undone, "{id} joined unreported: {told:?}");
            self.seen.insert(if undone { "revoked" } else { "joined without agreement" });
            if undone {
                continue;
            }
        }
        if told.iter().any(|line| line.ends_with("surprise")) {
            self.seen.insert("vanished");
        }
        if told.iter().any(|line| line.contains("cannot be taken offline again")) {
            self.seen.insert("not revoked");
        }
        Ok(due)
    }

    fn check(&mut self) -> Result<(), TestCaseError> {
        self.rig.act(|w| w.readings.clear());
        self.look()?;
        prop_assert!(!self.look()?, "the second look finds something more");
        let (set, world) = (self.rig.partition.active(), self.rig.fake.world());
        prop_assert_eq!(self.rig.active(), world.online(), "the partition's set is the kernel's");
        for processor in set.iter() {
            let id = processor.id.0;
            let agreed = set.is_agreed(processor.index);
            prop_assert!(
                agreed == world.ours[&id] || self.doubted.contains(&id),
                "{id}: agreed {agreed}, and switched by us {}",
                world.ours[&id]
            );
        }
        Ok(())
    }
}

fn run(history: &History) -> Result<BTreeSet<&'static str>, TestCaseError> {
    let mut run = Run::new(history);
    for act in history.acts.iter().chain([&Act::Check]) {
        run.run(act)?;
    }
    Ok(run.seen)
}

/// A failed add looks by itself.
#[test]
fn h2_a_processor_that_others_brought_in_before_a_failed_add_and_took_offline_does_not_appear() {
    let (on, off) = (Act::Switch(7, true, Way::Switch), Act::Switch(7, false, Way::Switch));
    let acts = vec![Act::Plug(7), Act::Unreadable(1), on, Act::Add(2, None, vec![]), off];
    run(&History { revoke: false, fixed: false, acts }).unwrap();
}

/// It is pulled while no events arrive, and is back before a look can read the list.
#[test]
fn h2_a_processor_that_is_pulled_and_plugged_between_unreadable_looks_leaves_no_trace() {
    let unread = [Act::Unreadable(1), Act::Unreadable(1), Act::Look];
    let back = [Act::Pull(1), Act::Look, Act::Plug(1)];
    let brought = [Act::Deafen, Act::Switch(2, true, Way::Switch)];
    let acts = brought.into_iter().chain(unread).chain(back).collect();
    run(&History { revoke: false, fixed: false, acts }).unwrap();
}

proptest! {
    #[test]
    fn x2_q3_the_set_equals_the_kernels_list_and_every_intruder_is_reported(history in history()) {
        run(&history)?;
    }
}

/// Whatever never happens in a history is not tested.
#[test]
fn every_kind_of_event_happens_in_some_history() {
    let mut seen: BTreeMap<&str, u32> = BTreeMap::new();
    let mut runner = TestRunner::deterministic();
    for _ in 0..400 {
        let history = history().new_tree(&mut runner).unwrap().current();
        for what in run(&history).unwrap() {
            *seen.entry(what).or_default() += 1;
        }
    }
    let wanted = [
        "appeared",
        "added",
        "removed",
        "vanished",
        "joined without agreement",
        "revoked",
        "not revoked",
        "events lost",
        "EAGAIN",
        "ECANCELED",
        "EPERM",
        "EINTR",
        "EIO",
    ];
    for what in wanted {
        assert!(seen.get(what).is_some_and(|n| *n >= 5), "{what} is rare: {seen:?}");
    }
}
