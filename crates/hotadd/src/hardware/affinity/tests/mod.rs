//! Situations that a real machine does not produce on demand: refusals, new threads at the worst moment, and
//! hot-plugs.

mod histories;
mod holding;
mod watching;

use hotadd_core::{Errno as Number, HardwareId, Status};

use super::fake::{Fake, mask, pid};
use super::kernel::Errno;
use super::{Affinity, AffinityError, Tree};
use crate::hardware::{Hardware, Survey};

const ONE: HardwareId = HardwareId(1);

/// The partition of process 10 and its descendants.
fn partition(fake: &Fake, start_on: &str) -> Affinity {
    make(fake, start_on).unwrap()
}

fn make(fake: &Fake, start_on: &str) -> Result<Affinity, AffinityError> {
    let list = start_on.parse().unwrap();
    Affinity::on(Box::new(fake.clone()), pid(10), Tree::Current, Some(&list))
}

/// Process 10 on processor 0, with a child 20 of two threads, and its child 30.
fn family(processors: &str) -> (Fake, Affinity) {
    let fake = Fake::new(processors);
    let affinity = partition(&fake, "0");
    let mut world = fake.world();
    world.born(20, 20, 10, mask("0"));
    world.born(21, 20, 10, mask("0"));
    world.born(30, 30, 20, mask("0"));
    drop(world);
    (fake, affinity)
}

fn survey(affinity: &Affinity) -> Survey {
    affinity.survey(&affinity.active().unwrap())
}

#[test]
fn a4_a_start_refused_for_one_thread_widens_none() {
    let (fake, affinity) = family("0-1");
    fake.world().threads.get_mut(&30).unwrap().refuses = Some(Errno::PERM);
    let error = affinity.start(ONE).unwrap_err();
    assert_eq!((error.status, error.errno), (Status::PRIVILEGE_NOT_HELD, Some(Number::EPERM)));
    assert_eq!(fake.masks(), "10: 0, 20: 0, 21: 0, 30: 0");
    assert_eq!(fake.world().sets, 1 + 3 + 3, "to start on, widened, and narrowed again");
    assert_eq!(affinity.set().to_string(), "0");
}

#[test]
fn a4_a_start_whose_mask_the_kernel_cuts_fails_and_widens_none() {
    let (fake, affinity) = family("0-1");
    fake.world().threads.get_mut(&30).unwrap().cpuset = mask("0");
    assert_eq!(affinity.start(ONE).unwrap_err().errno, Some(Number::EACCES));
    assert_eq!(fake.masks(), "10: 0, 20: 0, 21: 0, 30: 0");
}

#[test]
fn a4_children_of_threads_not_yet_widened_are_widened_too() {
    let (fake, affinity) = family("0-1");
    // Thread 30 is visited last. After the pass it forks 15, whose id the pass has already passed, and 15
    // forks again.
    let mut next = vec![(17, 15), (16, 15), (15, 30)];
    fake.world().at_set = Some(Box::new(move |world| {
        if let Some((id, parent)) = next.pop() {
            world.born(id, id, parent, mask("0"));
        }
    }));
    affinity.start(ONE).unwrap();
    assert_eq!(fake.masks(), "10: 0-1, 15: 0-1, 16: 0-1, 17: 0-1, 20: 0-1, 21: 0-1, 30: 0-1");
}

#[test]
fn a4_a_process_tree_that_grows_as_fast_as_it_is_read_gives_eagain() {
    let fake = Fake::new("0-1");
    let affinity = partition(&fake, "0");
    let mut next = 100;
    fake.world().at_set = Some(Box::new(move |world| {
        world.threads.remove(&next);
        next += 1;
        world.born(next, next, 10, mask("0"));
    }));
    assert_eq!(affinity.start(ONE).unwrap_err().errno, Some(Number::EAGAIN));
    assert_eq!(affinity.set().to_string(), "0");
}

#[test]
fn a_process_whose_parent_ends_during_the_reading_is_found() {
    let (fake, affinity) = family("0-1");
    let orphan = |parent| {
        Box::new(move |world: &mut super::fake::World| {
            world.threads.get_mut(&30).unwrap().parent = parent;
        })
    };
    // At the first look, the parent of 30 has ended. From the second on, 30 is a child of 10.
    fake.world().at_pass.extend([orphan(99) as Box<_>, orphan(10) as Box<_>]);
    affinity.start(ONE).unwrap();
    assert_eq!(fake.masks(), "10: 0-1, 20: 0-1, 21: 0-1, 30: 0-1");
}

#[test]
fn a_process_with_an_unknown_parent_is_not_part_of_the_tree() {
    let (fake, affinity) = family("0-1");
    fake.world().born(40, 40, 39, mask("0"));
    affinity.start(ONE).unwrap();
    assert_eq!(fake.masks(), "10: 0-1, 20: 0-1, 21: 0-1, 30: 0-1, 40: 0");
}

#[test]
fn x1_a_stop_fails_with_ebusy_while_a_pinned_thread_uses_the_processor() {
    let (fake, affinity) = family("0-2");
    affinity.start(ONE).unwrap();
    fake.world().threads.get_mut(&21).unwrap().mask = mask("1");
    let error = affinity.stop(ONE).unwrap_err();
    assert_eq!((error.status, error.errno), (Status::DEVICE_BUSY, Some(Number::EBUSY)));
    assert_eq!(fake.masks(), "10: 0-1, 20: 0-1, 21: 1, 30: 0-1", "as before");
    fake.world().threads.get_mut(&21).unwrap().mask = mask("0");
    affinity.stop(ONE).unwrap();
    assert_eq!(fake.masks(), "10: 0, 20: 0, 21: 0, 30: 0");
    assert_eq!(affinity.stop(HardwareId(0)).unwrap_err().errno, Some(Number::EINVAL), "the last");
}

#[test]
fn a4_ended_and_immovable_threads_do_not_fail_a_start() {
    let (fake, affinity) = family("0-1");
    let mut world = fake.world();
    let zombie = world.threads.get_mut(&20).unwrap();
    (zombie.ended, zombie.refuses) = (true, Some(Errno::PERM));
    world.threads.get_mut(&30).unwrap().immovable = true;
    drop(world);
    affinity.start(ONE).unwrap();
    assert_eq!(
        fake.masks(),
        "10: 0-1, 20: 0, 21: 0-1, 30: 0",
        "21 outlives the main thread of its process"
    );
}

#[test]
fn creating_a_partition_narrows_only_threads_that_may_run_elsewhere() {
    let fake = Fake::new("0-3");
    fake.world().born(20, 20, 10, mask("1"));
    fake.world().born(30, 30, 10, mask("1-2"));
    fake.world().born(40, 40, 1, mask("0-3"));
    let affinity = partition(&fake, "0-1");
    assert_eq!(fake.masks(), "10: 0-1, 20: 1, 30: 1, 40: 0-3", "40 is not in the tree");
    assert_eq!(affinity.candidates().unwrap(), [HardwareId(2), HardwareId(3)]);
}

#[test]
fn processors_that_cannot_be_started_on_are_named() {
    let fake = Fake::new("0-3");
    (fake.world().online, fake.world().permitted) = (mask("0-2"), mask("0-1,3"));
    let says = |list: &str| make(&fake, list).unwrap_err().to_string();
    assert_eq!(says(""), "the list of processors to start on is empty; name at least one");
    assert_eq!(says("0,3-5"), "not online: 3-5; this process may use 0-1");
    assert_eq!(says("1-2"), "outside the set that this process may use: 2; it may use 0-1");
    assert_eq!(fake.world().sets, 0);
    fake.world().threads.get_mut(&10).unwrap().refuses = Some(Errno::PERM);
    assert_eq!(says("0"), "cannot set the masks of all threads under /proc: EPERM (1)");
}

#[test]
fn masks_widened_by_a_hotplug_are_narrowed_and_reported() {
    let (fake, affinity) = family("0-3");
    fake.world().online = mask("0-2");
    assert_eq!(
        survey(&affinity),
        Survey::default(),
        "a machine with fewer processors is not reported"
    );
    affinity.start(ONE).unwrap();
    let mut world = fake.world();
    world.online = mask("0-3");
    for thread in world.threads.values_mut() {
        thread.mask = mask("0-3");
    }
    world.born(40, 40, 10, mask("1"));
    drop(world);
    let says = "the kernel had set the masks of 4 threads to 0-3 on a hot-plug or a change of a cpuset; \
     restored to 0-1";
    assert_eq!(survey(&affinity).repaired, [says]);
    assert_eq!(fake.masks(), "10: 0-1, 20: 0-1, 21: 0-1, 30: 0-1, 40: 1");
}

#[test]
fn a_hotplug_and_its_reversal_between_two_looks_are_repaired() {
    let (fake, affinity) = family("0-3");
    for thread in fake.world().threads.values_mut() {
        thread.mask = mask("0-3");
    }
    assert!(affinity.look(true), "the event counts, although nothing has changed");
    let says = "the kernel had set the masks of 4 threads to 0-3 on a hot-plug or a change of a cpuset; \
     restored to 0";
    assert_eq!(survey(&affinity).repaired, [says]);
}

#[test]
fn a_thread_whose_mask_changes_during_the_repair_counts_once() {
    let (fake, affinity) = family("0-3");
    let overwrite = |world: &mut super::fake::World| {
        for thread in world.threads.values_mut() {
            thread.mask = mask("0-3");
        }
    };
    overwrite(&mut fake.world());
    fake.world().at_pass.extend([0; 3].map(|_| Box::new(overwrite) as Box<_>));
    assert!(affinity.look(true));
    let repaired = survey(&affinity).repaired;
    assert!(repaired[0].contains(" 4 threads "), "{repaired:?}");
    assert_eq!(fake.masks(), "10: 0, 20: 0, 21: 0, 30: 0");
}

#[test]
fn x2_x3_a_vanished_processor_is_reported_and_does_not_come_back_by_itself() {
    let (fake, affinity) = family("0-2");
    affinity.start(ONE).unwrap();
    fake.world().online = mask("0,2");
    assert_eq!(affinity.survey(&[HardwareId(0), ONE]).vanished, [ONE]);
    assert_eq!(affinity.set().to_string(), "0");
    fake.world().online = mask("0-2");
    assert_eq!(fake.masks(), "10: 0, 20: 0, 21: 0, 30: 0", "masks do not keep it while it is away");

    affinity.start(ONE).unwrap();
    fake.world().online = mask("0,2");
    assert_eq!(affinity.survey(&[HardwareId(0), ONE]).vanished, [ONE]);
    // A kernel that remembers the requested mask restores it.
    fake.world().online = mask("0-2");
    fake.world().threads.get_mut(&30).unwrap().mask = mask("0-1");
    let says =
        "processors that came back were at once in the mask of 1 thread, 0-1; narrowed to 0 again";
    assert_eq!(survey(&affinity).repaired, [says]);
    assert_eq!(fake.masks(), "10: 0, 20: 0, 21: 0, 30: 0");
}

#[test]
fn x2_a_partition_that_lost_every_processor_can_add_another() {
    let fake = Fake::new("0-2");
    let affinity = partition(&fake, "1");
    let mut world = fake.world();
    world.online = mask("0,2");
    world.threads.get_mut(&10).unwrap().mask = mask("0-2");
    drop(world);
    assert_eq!(affinity.survey(&[ONE]).vanished, [ONE]);
    affinity.start(HardwareId(2)).unwrap();
    assert_eq!(fake.masks(), "10: 2");
}

#[test]
fn h1_a_vanished_processor_is_not_left_in_masks_after_an_add() {
    let fake = Fake::new("0-1");
    fake.world().keeps = true;
    let affinity = partition(&fake, "1");
    fake.world().turn("0-1", "0");
    assert_eq!(affinity.survey(&[ONE]).vanished, [ONE]);
    assert_eq!(fake.masks(), "10: 0", "the kernel runs it where it can");
    affinity.start(HardwareId(0)).unwrap();
    fake.world().turn("0-1", "0-1");
    assert_eq!(fake.masks(), "10: 0", "and the one of before does not come back by itself");
}

#[test]
fn a_thread_created_during_a_change_is_found_by_the_next_look() {
    let (fake, affinity) = family("0-1");
    affinity.start(ONE).unwrap();
    fake.world().born(40, 40, 30, mask("0"));
    let says = "1 thread created while the partition changed still had 0; now 0-1";
    assert_eq!(survey(&affinity).repaired, [says]);
    affinity.stop(ONE).unwrap();
    fake.world().born(50, 50, 30, mask("0-1"));
    let says = "1 thread created while the partition changed still had 0-1; now 0";
    assert_eq!(survey(&affinity).repaired, [says]);
}

#[test]
fn a8_a_processor_that_goes_offline_just_before_its_start_is_refused() {
    let (fake, affinity) = family("0-3");
    (fake.world().online, fake.world().permitted) = (mask("0-2"), mask("0-1,3"));
    let says = |id| Hardware::admits(&affinity, HardwareId(id)).unwrap_err();
    let (no, off, barred) = (says(4), says(3), says(2));
    assert_eq!(no.reason, "there is no such processor; this machine has 0-3");
    assert_eq!(off.reason, "it is not online");
    assert_eq!(barred.reason, "it is outside this process's allowed set 0-1");
    assert_eq!(says(u32::MAX).status, Status::NO_SUCH_DEVICE);
    for (id, refusal) in [(4, no), (3, off), (2, barred)] {
        assert_eq!(affinity.start(HardwareId(id)).unwrap_err().status, refusal.status);
    }
    assert_eq!(fake.masks(), "10: 0, 20: 0, 21: 0, 30: 0");
}
