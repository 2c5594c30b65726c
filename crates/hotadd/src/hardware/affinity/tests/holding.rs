//! Holding (H1 to H4): whatever makes other processors available to a thread, it uses none of them before agreement.

use super::*;

const TWO: HardwareId = HardwareId(2);

/// The threads of a program, with all processors available to it, on a kernel that keeps masks.
fn process(fake: &Fake) -> Affinity {
    Affinity::on(Box::new(fake.clone()), pid(10), Tree::Current, None).unwrap()
}

/// A machine with four processors, of which these are online, and a kernel that keeps masks.
fn machine(online: &str) -> Fake {
    let fake = Fake::new("0-3");
    fake.world().keeps = true;
    fake.world().turn(online, "0-3");
    fake
}

#[test]
fn h1_a_partition_of_all_processors_sets_masks_so_that_no_thread_gets_a_new_one() {
    let fake = machine("0-2");
    fake.world().born(20, 20, 10, mask("0-3"));
    let affinity = process(&fake);
    assert_eq!(affinity.set().to_string(), "0-2");
    fake.world().turn("0-3", "0-3");
    assert_eq!(fake.masks(), "10: 0-2, 20: 0-2", "before any look could repair it");
    assert_eq!(survey(&affinity), Survey { appeared: vec![HardwareId(3)], ..Survey::default() });
    assert_eq!(survey(&affinity), Survey::default(), "and it appears once");
}

#[test]
fn h1_masks_are_read_back_and_a_mask_without_effect_is_an_error() {
    let fake = Fake::new("0-3");
    fake.world().threads.get_mut(&10).unwrap().cpuset = mask("2-3");
    fake.world().born(20, 20, 10, mask("0-3"));
    let error = make(&fake, "0-1").unwrap_err();
    assert_eq!(error.errno(), Some(Number::EINVAL), "{error}");
    assert_eq!(fake.masks(), "10: 0-3, 20: 0-3", "no mask was changed");
}

#[test]
fn h1_creating_a_partition_keeps_the_masks_that_threads_have_set() {
    let fake = machine("0-3");
    fake.world().taskset(10, "0");
    fake.world().born(11, 10, 10, mask("1"));
    fake.world().born(12, 10, 10, mask("0-2"));
    let affinity = process(&fake);
    assert_eq!(affinity.set().to_string(), "0-2", "what its threads may use together");
    assert_eq!(fake.masks(), "10: 0, 11: 1, 12: 0-2");
    affinity.stop(TWO).unwrap();
    assert_eq!(fake.masks(), "10: 0, 11: 1, 12: 0-1");
}

#[test]
fn h1_offline_processors_are_removed_from_masks_when_they_are_first_set() {
    let fake = machine("0-3");
    fake.world().taskset(10, "0-3");
    fake.world().born(20, 20, 10, mask("1,3"));
    fake.world().turn("0-2", "0-3");
    let affinity = process(&fake);
    assert_eq!(fake.masks(), "10: 0-2, 20: 1");
    fake.world().turn("0-3", "0-3");
    assert_eq!(fake.masks(), "10: 0-2, 20: 1", "the kernel remembers no more than was set");
    drop(affinity);
}

#[test]
fn h2_a_growing_cpuset_above_is_an_appearance_and_shrinking_reverts_it() {
    let fake = machine("0-3");
    fake.world().turn("0-3", "0");
    let affinity = process(&fake);
    fake.world().turn("0-3", "0-1");
    assert!(affinity.look(false), "the poll finds it");
    assert_eq!(fake.masks(), "10: 0");
    fake.world().turn("0-3", "0");
    affinity.look(false);
    assert_eq!(survey(&affinity), Survey::default(), "gone before it was reported");
    fake.world().turn("0-3", "0-1");
    assert_eq!(survey(&affinity).appeared, [ONE]);
    affinity.start(ONE).unwrap();
    assert_eq!(fake.masks(), "10: 0-1");
    assert_eq!(survey(&affinity).appeared, []);
}

#[test]
fn h2_initial_candidates_and_removed_processors_do_not_appear() {
    let fake = machine("0-3");
    let affinity = partition(&fake, "0");
    assert_eq!(survey(&affinity).appeared, []);
    affinity.start(ONE).unwrap();
    affinity.stop(ONE).unwrap();
    assert_eq!(survey(&affinity).appeared, []);
    fake.world().turn("0,2-3", "0-3");
    survey(&affinity);
    fake.world().turn("0-3", "0-3");
    assert_eq!(survey(&affinity).appeared, [ONE], "it was away and is back");
}

#[test]
fn h2_processors_outside_of_the_initial_mask_do_not_appear() {
    let fake = machine("0-2");
    fake.world().taskset(10, "0");
    let affinity = process(&fake);
    fake.world().turn("0-3", "0-3");
    assert_eq!(survey(&affinity).appeared, []);
    assert_eq!(affinity.allowed().to_string(), "0");
}

#[test]
fn h3_a_widened_mask_is_put_back_reported_and_counts_as_a_request() {
    let fake = machine("0-1");
    fake.world().taskset(10, "0");
    let affinity = process(&fake);
    fake.world().born(11, 10, 10, mask("0"));
    affinity.look(false);
    fake.world().taskset(11, "0-1");
    assert!(affinity.look(false));
    assert_eq!(fake.masks(), "10: 0, 11: 0");
    let says = "another process set the mask of thread 11 of process 10 (a) to 0-1, outside of the \
     partition; restored to 0";
    let found = survey(&affinity);
    assert_eq!((found.repaired, found.appeared), (vec![says.to_owned()], vec![ONE]));
    assert_eq!(affinity.allowed().to_string(), "0-1", "the ceiling is raised");
    affinity.start(ONE).unwrap();
    assert_eq!(fake.masks(), "10: 0-1, 11: 0-1");
}

#[test]
fn h3_a_refused_request_is_not_repeated_by_further_widening() {
    let fake = machine("0-1");
    let affinity = partition(&fake, "0");
    for round in 0..5 {
        fake.world().taskset(10, "0-1");
        let found = survey(&affinity);
        assert_eq!(found.appeared.len(), usize::from(round == 0), "round {round}");
        assert_eq!(found.repaired.len(), 1, "each time it is reported");
        assert_eq!(fake.masks(), "10: 0");
    }
}

/// A probe widens the mask of its thread for a moment. Any program may use the name of such a thread.
#[test]
fn h3_a_probe_of_another_process_is_no_breach_unless_the_last_one_was_seconds_ago() {
    // No process has this id, so it is not that of this test.
    let thread = 5_000_000;
    for name in ["hotadd-probe", "hotadd-watch"] {
        let fake = machine("0-1");
        let affinity = partition(&fake, "0");
        fake.world().born(thread, thread, 10, mask("0"));
        fake.world().name = name;
        let meet_a_probe = || {
            // Its mask must be known. A new thread's could come from before the partition.
            survey(&affinity);
            let mut world = fake.world();
            world.taskset(thread, "0-1");
            world.at_owner = Some(Box::new(move |world| world.taskset(thread, "0")));
            let sets = world.sets;
            drop(world);
            (survey(&affinity), fake.world().sets - sets)
        };
        let (found, sets) = meet_a_probe();
        assert_eq!((found.repaired, found.appeared, sets), (vec![], vec![], 0), "{name}");
        let (found, _) = meet_a_probe();
        let says = format!(
            "another process set the mask of thread {thread} of process {thread} ({name}) to 0-1, outside \
             of the partition; restored to 0"
        );
        assert_eq!((found.repaired, found.appeared), (vec![says], vec![ONE]), "{name}, again");
    }
}

#[test]
fn h3_many_widened_threads_are_reported_in_one_sentence_that_names_some() {
    let fake = machine("0-1");
    let affinity = partition(&fake, "0");
    for thread in 11..20 {
        fake.world().born(thread, 10, 10, mask("0-1"));
    }
    let says = "another process set the masks of thread 11 of process 10 (a), thread 12 of process 10 (a), thread 13 of process 10 \
                (a) and 6 more threads to 0-1, outside of the partition; restored to 0";
    fake.world().ticks = 1_000;
    survey(&affinity);
    for thread in 11..20 {
        fake.world().taskset(thread, "0-1");
    }
    assert_eq!(survey(&affinity).repaired, [says]);
}

#[test]
fn h3_a_mask_is_put_back_to_what_the_thread_had() {
    let fake = machine("0-3");
    let affinity = partition(&fake, "0-1");
    fake.world().taskset(10, "1");
    fake.world().born(20, 20, 10, mask("0-1"));
    survey(&affinity);
    fake.world().taskset(10, "0,2");
    fake.world().taskset(20, "2-3");
    survey(&affinity);
    assert_eq!(fake.masks(), "10: 1, 20: 0-1", "not what happens to be left of the new mask");
}

/// If a thread's only processor goes offline, the kernel gives it all others. The thread has not asked for them.
#[test]
fn h3_a_processor_that_goes_while_the_masks_are_read_is_no_request_for_the_others() {
    let fake = machine("0-3");
    fake.world().keeps = true;
    let affinity = partition(&fake, "0");
    affinity.start(ONE).unwrap();
    fake.world().taskset(10, "1");
    assert_eq!(survey(&affinity).appeared, []);
    let goes = |world: &mut crate::hardware::affinity::fake::World| world.online = mask("0,2-3");
    fake.world().at_pass.push_back(Box::new(goes));
    let (mut vanished, mut appeared) = (Vec::new(), Vec::new());
    for _ in 0..2 {
        let survey = affinity.survey(&[HardwareId(0), ONE]);
        vanished.extend(survey.vanished);
        appeared.extend(survey.appeared);
    }
    assert!(vanished.contains(&ONE), "{vanished:?}");
    assert_eq!(appeared, [], "nobody has requested them");
    assert_eq!(fake.masks(), "10: 0");
    assert_eq!(affinity.set().to_string(), "0");
}

#[test]
fn h3_a_requested_processor_is_added_to_the_mask_when_it_joins() {
    let fake = machine("0-3");
    fake.world().taskset(10, "0");
    let affinity = process(&fake);
    fake.world().taskset(10, "1");
    assert_eq!(survey(&affinity).appeared, [ONE]);
    assert_eq!(fake.masks(), "10: 0");
    affinity.start(ONE).unwrap();
    assert_eq!(fake.masks(), "10: 1", "taskset -p 1, with agreement");
    survey(&affinity);
    assert_eq!(fake.masks(), "10: 1");
}

#[test]
fn h3_a_mask_inside_of_the_set_is_kept_when_other_processors_join_or_leave() {
    let fake = machine("0-3");
    let affinity = partition(&fake, "0");
    fake.world().born(20, 20, 10, mask("0"));
    affinity.start(ONE).unwrap();
    // Within the second after one joined, and just before the next does.
    fake.world().taskset(20, "0");
    affinity.start(TWO).unwrap();
    assert_eq!(fake.masks(), "10: 0-2, 20: 0");
    survey(&affinity);
    affinity.stop(TWO).unwrap();
    survey(&affinity);
    assert_eq!(fake.masks(), "10: 0-1, 20: 0");
}

#[test]
fn h3_a_reverted_change_keeps_masks_that_equal_it() {
    let fake = machine("0-3");
    let affinity = partition(&fake, "0-1");
    fake.world().born(20, 20, 10, mask("0"));
    fake.world().born(30, 30, 10, mask("1"));
    assert_eq!(affinity.stop(ONE).unwrap_err().errno, Some(Number::EBUSY));
    assert_eq!(fake.masks(), "10: 0-1, 20: 0, 30: 1", "20 has set what all would have had");
}

#[test]
fn h3_a_new_thread_that_sets_its_mask_is_distinguished_from_one_created_during_a_change() {
    let fake = machine("0-3");
    let affinity = partition(&fake, "0");
    affinity.start(ONE).unwrap();
    fake.world().born(11, 10, 10, mask("0"));
    fake.world().ticks += 10;
    fake.world().born(12, 10, 10, mask("0-1"));
    fake.world().taskset(12, "0");
    let says = "1 thread created while the partition changed still had 0; now 0-1";
    assert_eq!(survey(&affinity).repaired, [says]);
    assert_eq!(fake.masks(), "10: 0-1, 11: 0-1, 12: 0");
}

#[test]
fn h3_masks_that_an_old_kernel_overwrote_are_restored() {
    let fake = Fake::new("0-3");
    fake.world().online = mask("0-2");
    let affinity = partition(&fake, "0-1");
    fake.world().born(20, 20, 10, mask("1"));
    survey(&affinity);
    fake.world().turn("0-3", "0-3");
    assert_eq!(fake.masks(), "10: 0-3, 20: 0-3");
    assert!(affinity.look(true));
    assert_eq!(fake.masks(), "10: 0-1, 20: 1");
    assert_eq!(survey(&affinity).appeared, [HardwareId(3)], "a restored mask is not a request");
    assert_eq!(affinity.allowed().to_string(), "0-3");
}

#[test]
fn h3_a_process_whose_mask_cannot_be_put_back_is_reported_once() {
    let fake = machine("0-1");
    let affinity = partition(&fake, "0");
    fake.world().born(20, 20, 10, mask("0-1"));
    fake.world().threads.get_mut(&20).unwrap().refuses = Some(Errno::PERM);
    let says = "the masks of 1 thread could not be set to 0, thread 20's among them: EPERM (1)";
    assert_eq!(survey(&affinity).repaired, [says]);
    assert_eq!(survey(&affinity).repaired, [""; 0]);
}

#[test]
fn h1_a_process_that_cannot_be_changed_does_not_prevent_holding_others_if_its_mask_is_right() {
    let fake = machine("0-2");
    fake.world().born(20, 20, 10, mask("0-2"));
    fake.world().threads.get_mut(&20).unwrap().refuses = Some(Errno::PERM);
    let affinity = process(&fake);
    let says = "the masks of 1 thread could not be set to 0-2, thread 20's among them: EPERM (1)";
    assert_eq!(survey(&affinity).repaired, [says]);
    fake.world().turn("0-3", "0-3");
    assert_eq!(fake.masks(), "10: 0-2, 20: 0-2");
}

#[test]
fn h4_the_threads_own_mask_counts_and_not_the_lists_of_a_container() {
    let fake = machine("0-3");
    // A list as lxcfs shows it.
    fake.world().possible = mask("0");
    fake.world().taskset(10, "1");
    let affinity = process(&fake);
    assert_eq!(affinity.set().to_string(), "1");
    assert!(affinity.maximum() >= 2);
}

#[test]
fn threads_may_run_anywhere_again_after_the_partition_is_dropped() {
    let fake = machine("0-2");
    let affinity = partition(&fake, "0");
    fake.world().born(20, 20, 10, mask("0"));
    drop(affinity);
    fake.world().turn("0-3", "0-3");
    assert_eq!(fake.masks(), "10: 0-3, 20: 0-3");
    fake.world().taskset(10, "1");
    fake.world().taskset(20, "1");
    drop(process(&fake));
    assert_eq!(fake.masks(), "10: 1, 20: 1", "the mask from before the partition");
}
