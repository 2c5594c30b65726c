//! Random histories. Whatever other processes do in whichever order, after a look the partition equals the
//! effective list, and contains only processors that were agreed to or reported.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::hardware::cpuset::kernel::Errno;

#[derive(Clone, Debug)]
enum Act {
    Add(u32),
    Remove(u32),
    Switch(u32, bool),
    Write(BTreeSet<u32>),
    Kind(CpusetKind),
    Above(BTreeSet<u32>),
    Beside(BTreeSet<u32>),
    Below(BTreeSet<u32>),
    Spoil(u32, bool),
    Refuse,
    Lose,
    /// A thread enters the cpuset.
    Attach(i32),
    /// A thread sets its mask.
    Pin(i32, BTreeSet<u32>),
    Look,
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let id = || 0..4_u32;
    let some = || prop::collection::btree_set(id(), 0..4);
    let kind =
        prop_oneof![Just(CpusetKind::Member), Just(CpusetKind::Root), Just(CpusetKind::Isolated)];
    let act = prop_oneof![
        4 => id().prop_map(Act::Add),
        3 => id().prop_map(Act::Remove),
        3 => (id(), any::<bool>()).prop_map(|(id, on)| Act::Switch(id, on)),
        2 => some().prop_map(Act::Write),
        1 => kind.prop_map(Act::Kind),
        1 => some().prop_map(Act::Above),
        1 => some().prop_map(Act::Beside),
        1 => some().prop_map(Act::Below),
        1 => (id(), any::<bool>()).prop_map(|(id, spoils)| Act::Spoil(id, spoils)),
        1 => Just(Act::Refuse),
        1 => Just(Act::Lose),
        2 => (10..13_i32).prop_map(Act::Attach),
        2 => (10..13_i32, some()).prop_map(|(thread, list)| Act::Pin(thread, list)),
        4 => Just(Act::Look),
    ];
    prop::collection::vec(act, 1..40)
}

fn show(ids: &BTreeSet<u32>) -> String {
    ids.iter().copied().map(HardwareId).collect::<crate::CpuList>().to_string()
}

/// Performs an action. `agreed` has the processors that are in the partition with agreement.
fn act(rig: &mut Rig, act: Act, agreed: &mut BTreeSet<u32>) {
    let effective = |rig: &Rig| rig.cpuset.kernel.effective().unwrap();
    match act {
        Act::Add(id) => {
            if rig.add(id).is_ok() {
                assert!(effective(rig).contains(HardwareId(id)), "it runs there (A5)");
                agreed.insert(id);
            }
        }
        Act::Remove(id) => {
            if rig.remove(id).is_ok() {
                assert!(!effective(rig).contains(HardwareId(id)), "it does not any more (X1)");
                agreed.remove(&id);
            }
        }
        // The kernel keeps processor 0, and our cpuset has no offline processor.
        Act::Switch(id, on) => rig.act(|w| w.switch(id, on || id == 0)),
        Act::Write(list) => rig.act(|w| w.write(&show(&list))),
        Act::Kind(kind) => rig.act(|w| w.write_kind(kind)),
        Act::Above(list) => rig.act(|w| w.give_above(&show(&list))),
        Act::Beside(list) => rig.act(|w| drop(w.beside.insert("other", list))),
        Act::Below(list) => rig.act(|w| w.below = list),
        Act::Spoil(id, spoils) => rig.act(|w| {
            if spoils {
                w.spoils.insert(id, "so");
            } else {
                w.spoils.remove(&id);
            }
        }),
        Act::Refuse => rig.act(|w| w.refusals.push_back(Some(Errno::BUSY))),
        Act::Lose => rig.act(World::lose),
        Act::Attach(thread) => rig.act(|world| world.attach(thread)),
        // Nothing changes if the thread does not exist or may have none of these.
        Act::Pin(thread, list) => rig.act(|world| {
            let _ = world.set_mask(thread, list);
        }),
        Act::Look => look(rig, agreed),
    }
}

/// Looks until there is nothing new, and compares.
fn look(rig: &mut Rig, agreed: &mut BTreeSet<u32>) {
    let mut looks = 0;
    while rig.look() {
        looks += 1;
        assert!(looks < 8, "looking comes to an end: {:?}", rig.told());
    }
    for line in rig.told() {
        let first = line.split(' ').next().unwrap();
        let Ok(id) = first.parse::<u32>() else { continue };
        if line.ends_with("joined") {
            agreed.insert(id);
        } else if line.ends_with("vanished") {
            agreed.remove(&id);
        }
    }
    let active = rig.active();
    let effective: Vec<u32> =
        rig.cpuset.kernel.effective().unwrap().ids().iter().map(|id| id.0).collect();
    assert_eq!(active, effective, "what is effective is what counts");
    for (thread, mask) in rig.fake.world().thread_masks() {
        // With no processor left, they run wherever the kernel puts them.
        let held = effective.is_empty() || mask.iter().all(|id| effective.contains(id));
        assert!(held, "{thread} runs on {mask:?} of {effective:?} (H1)");
    }
    let known: Vec<u32> = agreed.iter().copied().collect();
    assert_eq!(active, known, "every active processor was agreed or reported");
}

proptest! {
    #[test]
    fn after_a_look_the_partition_equals_the_effective_list(
        acts in acts(),
        is_6_1 in any::<bool>(),
        root in any::<bool>(),
    ) {
        let kind = if root { CpusetKind::Root } else { CpusetKind::Member };
        let mut rig = Rig::new("1", kind);
        rig.act(|world| world.is_6_1 = is_6_1);
        let mut agreed = BTreeSet::from([1]);
        for one in acts {
            act(&mut rig, one, &mut agreed);
        }
        look(&mut rig, &mut agreed);
    }
}
