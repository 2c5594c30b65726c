//! Random histories against a model of holding. Whatever comes, goes and is set, in whichever order, after a
//! look every thread has the mask of the rule, and no processor is in the set without agreement.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;

type Set = BTreeSet<u32>;

const THREADS: std::ops::Range<i32> = 10..14;

#[derive(Clone, Debug)]
enum Act {
    /// A processor comes online or goes offline.
    Switch(u32, bool),
    /// The cpuset above changes.
    Permit(Set),
    /// Another process sets a thread's mask.
    Widen(i32, Set),
    /// A thread creates another.
    Bear(i32),
    Add(u32),
    Remove(u32),
    Look,
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let id = || 0..4_u32;
    let some = || prop::collection::btree_set(id(), 1..4);
    let act = prop_oneof![
        3 => (id(), any::<bool>()).prop_map(|(id, on)| Act::Switch(id, on)),
        2 => some().prop_map(Act::Permit),
        4 => (THREADS, some()).prop_map(|(thread, list)| Act::Widen(thread, list)),
        1 => THREADS.prop_map(Act::Bear),
        3 => id().prop_map(Act::Add),
        2 => id().prop_map(Act::Remove),
        4 => Just(Act::Look),
    ];
    prop::collection::vec(act, 1..40)
}

/// The rule for a thread's mask.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Rule {
    /// It gets every processor that joins.
    Follows,
    /// It has set this mask itself.
    Own(Set),
    /// Its processors are all gone, or its mask was set twice between two looks: any mask inside of the set is right.
    Inside,
}

/// The reference: what is available, what has joined, and the mask that each thread must have.
struct Model {
    online: Set,
    permitted: Set,
    set: Set,
    threads: BTreeMap<i32, Rule>,
    wishes: BTreeMap<i32, Set>,
    /// Threads that may or may not still have a request: a processor that joins may be granted to them.
    doubtful: BTreeSet<i32>,
    /// Threads with masks that no look could see, because a processor in them was gone again before. A
    /// processor that comes back reaches them. A change that a look sees ends this.
    unseen: BTreeSet<i32>,
    /// Threads whose masks were set by others since the last look.
    touched: BTreeSet<i32>,
    /// What was available at the last look.
    reached: Set,
    /// The rules at the last look. An old kernel overwrites masks that were set after it, and no look has seen those.
    looked: (BTreeMap<i32, Rule>, BTreeMap<i32, Set>),
    /// An old kernel has overwritten masks recently, so that masks of that form may be its doing.
    shaken: bool,
    /// An old kernel has overwritten masks since the last look.
    overwritten: bool,
}

impl Model {
    fn reach(&self) -> Set {
        &self.online & &self.permitted
    }

    /// Processors that have gone are removed from the set and from masks.
    fn lose(&mut self) {
        let reach = self.reach();
        self.set = &self.set & &reach;
        for rule in self.threads.values_mut() {
            if let Rule::Own(own) = rule {
                let left = &*own & &self.set;
                *rule = if left.is_empty() { Rule::Inside } else { Rule::Own(left) };
            }
        }
    }
}

fn shown(set: &Set) -> String {
    set.iter().copied().map(HardwareId).collect::<crate::CpuList>().to_string()
}

fn seen(fake: &Fake, thread: i32) -> Set {
    use crate::hardware::holding::Masks;
    fake.mask(pid(thread)).unwrap().ids().map(|id| id.0).collect()
}

fn own_set(affinity: &Affinity) -> Set {
    affinity.set().ids().iter().map(|id| id.0).collect()
}

fn act(fake: &Fake, affinity: &Affinity, model: &mut Model, act: &Act) {
    match act {
        Act::Switch(0, _) => {}
        Act::Switch(id, on) => {
            let changed = if *on { model.online.insert(*id) } else { model.online.remove(id) };
            if changed {
                turn(fake, model);
            }
        }
        Act::Permit(list) => {
            let permitted = list | &Set::from([0]);
            if permitted != model.permitted {
                model.permitted = permitted;
                turn(fake, model);
            }
        }
        Act::Widen(thread, list) => {
            if (list & &model.reach()).is_empty() {
                return;
            }
            let visible = list & &model.reach();
            let had = match &model.threads[thread] {
                Rule::Follows => Some(model.set.clone()),
                Rule::Own(own) => Some(own.clone()),
                Rule::Inside => None,
            };
            if visible.is_subset(&model.set) && had != Some(visible.clone()) {
                // If its current mask is all that is left, it still looks like a request.
                if model.wishes.remove(thread).is_some() {
                    model.doubtful.insert(*thread);
                }
            }
            fake.world().taskset(*thread, &shown(&visible));
            let again = !model.touched.insert(*thread);
            let left = &model.set & &model.reach();
            if again || model.shaken && (visible == left || visible == model.reach()) {
                model.threads.insert(*thread, Rule::Inside);
                model.doubtful.insert(*thread);
            } else if visible == model.set {
                model.threads.insert(*thread, Rule::Follows);
            } else if visible.is_subset(&model.set) {
                model.threads.insert(*thread, Rule::Own(visible));
            // A thread that asks for all that is left of the set, and more, follows it.
            } else if !left.is_subset(&visible) {
                model.wishes.insert(*thread, visible);
            }
        }
        Act::Bear(of) => {
            look(fake, affinity, model);
            let thread = 10 + i32::try_from(model.threads.len()).unwrap();
            let mut world = fake.world();
            // Long after any change, the mask that it then sets is its own.
            world.ticks += 1_000;
            let mask = world.threads[of].mask;
            world.born(thread, 10, 0, mask);
            drop(world);
            let rule = model.threads[of].clone();
            model.threads.insert(thread, rule);
        }
        Act::Add(id) => {
            // Requests are granted according to the last look.
            look(fake, affinity, model);
            if affinity.start(HardwareId(*id)).is_ok() {
                assert!(model.reach().contains(id), "only what is within reach can be started");
                let before = model.set.clone();
                model.set.insert(*id);
                for (thread, wish) in &model.wishes {
                    let granted = wish & &model.set;
                    if !granted.is_subset(&before) {
                        let all = granted == model.set;
                        let rule = if all { Rule::Follows } else { Rule::Own(granted) };
                        model.threads.insert(*thread, rule);
                    }
                }
                for thread in &model.doubtful {
                    model.threads.insert(*thread, Rule::Inside);
                }
                let set = model.set.clone();
                model.wishes.retain(|_, wish| !wish.is_subset(&set));
                model.looked = (model.threads.clone(), model.wishes.clone());
            }
        }
        Act::Remove(id) => {
            look(fake, affinity, model);
            if affinity.stop(HardwareId(*id)).is_ok() && model.set.remove(id) {
                for rule in model.threads.values_mut() {
                    if matches!(rule, Rule::Own(own) if *own == model.set) {
                        *rule = Rule::Follows;
                    }
                }
                model.looked = (model.threads.clone(), model.wishes.clone());
            }
        }
        Act::Look => look(fake, affinity, model),
    }
    // H1: on a kernel that keeps masks, no processor reaches a thread by itself, with or without a look.
    if fake.world().keeps {
        for thread in model.threads.keys().copied().filter(|thread| !model.touched.contains(thread))
        {
            let mask = seen(fake, thread);
            let strays = &mask - &model.set;
            let lost = model.unseen.contains(&thread) || (&model.set & &model.reach()).is_empty();
            assert!(
                strays.is_empty() || lost || stranded(model, thread),
                "{thread} at {mask:?} by itself: {model:?}"
            );
        }
    }
}

/// Whether all processors of a thread's own mask are gone, so that the kernel runs it anywhere.
fn stranded(model: &Model, thread: i32) -> bool {
    match &model.threads[&thread] {
        Rule::Follows => false,
        Rule::Own(own) => (own & &model.reach()).is_empty(),
        Rule::Inside => true,
    }
}

fn turn(fake: &Fake, model: &mut Model) {
    fake.world().turn(&shown(&model.online), &shown(&model.permitted));
    if fake.world().keeps {
        // Masks that were set and cannot be seen any more are unknown.
        for thread in &model.touched {
            model.threads.insert(*thread, Rule::Inside);
            model.doubtful.insert(*thread);
            model.unseen.insert(*thread);
        }
    } else {
        // All masks are overwritten, including those that were just set.
        model.touched.clear();
        (model.threads, model.wishes) = model.looked.clone();
        (model.shaken, model.overwritten) = (true, true);
    }
}

fn look(fake: &Fake, affinity: &Affinity, model: &mut Model) {
    let expected: Vec<HardwareId> = model.set.iter().copied().map(HardwareId).collect();
    let found = affinity.survey(&expected);
    let before = model.set.clone();
    model.lose();
    let vanished: Set = found.vanished.iter().map(|id| id.0).collect();
    assert_eq!(vanished, &before - &model.set, "X2");
    assert_eq!(own_set(affinity), model.set, "nothing joins without being asked for");
    let reach = model.reach();
    let appeared: Set = found.appeared.iter().map(|id| id.0).collect();
    let news = &(&reach - &model.reached) - &model.set;
    assert!(news.is_subset(&appeared), "H2: {news:?} has come within reach, told was {appeared:?}");
    assert!(
        appeared.is_subset(&(&reach - &model.set)),
        "only available processors appear: {appeared:?}"
    );
    if model.reached != reach {
        model.unseen.clear();
    } else if model.overwritten {
        // Gone and back between two looks, without an event, looks as if the threads had set their masks themselves.
        for rule in model.threads.values_mut().filter(|rule| matches!(rule, Rule::Own(_))) {
            *rule = Rule::Inside;
        }
    }
    model.overwritten = false;
    model.reached = reach;
    model.touched.clear();
    if model.set.is_empty() {
        model.threads.values_mut().for_each(|rule| *rule = Rule::Inside);
        model.doubtful.extend(std::mem::take(&mut model.wishes).into_keys());
        model.looked = (model.threads.clone(), model.wishes.clone());
        return;
    }
    for (thread, rule) in &mut model.threads {
        let mask = seen(fake, *thread);
        match rule {
            Rule::Follows => assert_eq!(mask, model.set, "{thread} follows"),
            Rule::Own(own) => assert_eq!(mask, *own, "{thread} has a mask of its own (H3)"),
            Rule::Inside => {
                assert!(mask.is_subset(&model.set), "{thread} at {mask:?} of {:?}", model.set);
                *rule = if mask == model.set { Rule::Follows } else { Rule::Own(mask) };
            }
        }
        if *rule == Rule::Own(model.set.clone()) {
            *rule = Rule::Follows;
        }
    }
    model.looked = (model.threads.clone(), model.wishes.clone());
}

impl std::fmt::Debug for Model {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "set {:?} of {:?}, threads {:?}", self.set, self.reach(), self.threads)
    }
}

proptest! {
    #[test]
    fn after_a_look_every_thread_has_the_mask_of_its_rule(acts in acts(), keeps in any::<bool>(), start in 0..3_u32) {
        let fake = Fake::new("0-3");
        fake.world().keeps = keeps;
        for thread in THREADS.skip(1) {
            fake.world().born(thread, 10, 0, mask("0-3"));
        }
        let set: Set = (0..=start).collect();
        let affinity = partition(&fake, &shown(&set));
        let all: Set = (0..4).collect();
        let mut model = Model {
            online: all.clone(),
            permitted: all.clone(),
            set,
            threads: THREADS.map(|thread| (thread, Rule::Follows)).collect(),
            wishes: BTreeMap::new(),
            doubtful: BTreeSet::new(),
            unseen: BTreeSet::new(),
            touched: BTreeSet::new(),
            reached: all,
            looked: Default::default(),
            shaken: false,
            overwritten: false,
        };
        model.looked.0 = model.threads.clone();
        for one in &acts {
            act(&fake, &affinity, &mut model, one);
        }
        look(&fake, &affinity, &mut model);
    }
}
