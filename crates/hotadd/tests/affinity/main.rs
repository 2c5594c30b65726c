//! Partitions of affinity masks over real processes on this machine's processors. No processor is taken offline.
//!
//! The backend governs all children of this process, so the tests run one at a time.
#![cfg(not(hotadd_loom))]
#![expect(clippy::unwrap_used, reason = "helpers of tests are tests too")]

mod proc;
mod role;

use std::io::ErrorKind;
use std::process::Command;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use hotadd::hardware::{Affinity, AffinityError, Hardware, Tree};
use hotadd::{CpuList, HardwareId, Status};
use hotadd_testing::{Need, skip};

use proc::{masks, parse, wait_until};
use role::RoleProcess;

static TURN: Mutex<()> = Mutex::new(());

/// A partition of this process's children on the first processor, and the second processor. `None` on a
/// machine with one.
fn partition(test: &str) -> Option<(MutexGuard<'static, ()>, Affinity, HardwareId, HardwareId)> {
    let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let allowed = Affinity::available().unwrap();
    let [first, second, ..] = allowed.ids() else {
        skip(Need::TwoProcessors, test);
        return None;
    };
    let affinity = Affinity::new(Tree::Descendants, Some(&list(*first))).unwrap();
    Some((turn, affinity, *first, *second))
}

fn list(id: HardwareId) -> CpuList {
    [id].into_iter().collect()
}

fn both(a: HardwareId, b: HardwareId) -> CpuList {
    [a, b].into_iter().collect()
}

#[test]
fn a4_a_start_widens_and_a_stop_narrows_every_thread_of_every_descendant() {
    let Some((_turn, affinity, first, second)) = partition("widening a family") else { return };
    let family = RoleProcess::start(&affinity, "family", "100 2");
    let all = |mask: CpuList| {
        let masks = masks(family.pid());
        assert!(masks.len() >= 303, "three generations of a hundred: {masks:?}");
        assert!(masks.iter().all(|(_, m)| *m == mask), "not all {mask}: {masks:?}");
    };
    all(list(first));
    let begin = Instant::now();
    affinity.start(second).unwrap();
    println!("widening {} threads took {:?}", masks(family.pid()).len(), begin.elapsed());
    all(both(first, second));
    assert_eq!(affinity.set(), both(first, second));
    affinity.start(second).unwrap();
    affinity.stop(second).unwrap();
    all(list(first));
    affinity.stop(second).unwrap();
    assert_eq!(affinity.active().unwrap(), [first]);
    assert_eq!(affinity.candidates().unwrap().first(), Some(&second));
}

#[test]
fn a4_a_thread_that_pinned_itself_keeps_its_mask() {
    let Some((_turn, affinity, first, second)) = partition("pinning") else { return };
    let family = RoleProcess::start(&affinity, "family", "2 0");
    let pinned = masks(family.pid()).last().unwrap().0;
    proc::pin(pinned, second);
    affinity.start(second).unwrap();
    for (thread, mask) in masks(family.pid()) {
        let want = if thread == pinned { list(second) } else { both(first, second) };
        assert_eq!(mask, want, "thread {thread:?}, with {pinned:?} pinned");
    }
    // The processor would continue to work, so this is not a stop (X1).
    assert_eq!(affinity.stop(second).unwrap_err().status, Status::DEVICE_BUSY);
    assert_eq!(affinity.set(), both(first, second));
    proc::pin(pinned, first);
    affinity.stop(second).unwrap();
    assert!(masks(family.pid()).iter().all(|(_, mask)| *mask == list(first)));
}

#[test]
fn a4_threads_and_processes_created_during_a_change_get_the_right_mask() {
    let Some((_turn, affinity, first, second)) = partition("a storm of births") else { return };
    let storm = RoleProcess::start(&affinity, "storm", "");
    let right = |mask: &CpuList| masks(storm.pid()).iter().all(|(_, m)| m == mask);
    let (mut longest, mut late) = (Duration::ZERO, Vec::new());
    for round in 0..12 {
        let begin = Instant::now();
        let mask = if round % 2 == 0 {
            affinity.start(second).unwrap();
            both(first, second)
        } else {
            affinity.stop(second).unwrap();
            list(first)
        };
        longest = longest.max(begin.elapsed());
        // Five correct readings in a row are enough. Threads that were being created may need the look that follows.
        let mut good = 0;
        wait_until("every thread has the new mask", || {
            good = if right(&mask) { good + 1 } else { 0 };
            late.extend(affinity.survey(&affinity.active().unwrap()).repaired);
            good == 5
        });
    }
    println!("12 changes in a storm: the longest took {longest:?}; found late: {late:?}");
}

#[test]
fn a8_a_processor_that_cannot_be_started_is_refused_with_a_sentence() {
    let Some((_turn, affinity, _, _)) = partition("refusals") else { return };
    let possible = parse("/sys/devices/system/cpu/possible");
    let online = parse("/sys/devices/system/cpu/online");
    for id in [possible.ids().last().unwrap().0 + 1, 1024, 65_535, u32::MAX] {
        let refusal = affinity.admits(HardwareId(id)).unwrap_err();
        assert_eq!(refusal.status, Status::NO_SUCH_DEVICE);
        let says = format!("there is no such processor; this machine has {possible}");
        assert_eq!(refusal.reason, says);
        assert_eq!(affinity.start(HardwareId(id)).unwrap_err().status, Status::NO_SUCH_DEVICE);
    }
    if let Some(off) = possible.ids().iter().find(|id| !online.contains(**id)) {
        let refusal = affinity.admits(*off).unwrap_err();
        assert_eq!(
            (refusal.status, &*refusal.reason),
            (Status::DEVICE_OFF_LINE, "it is not online")
        );
    } else {
        skip(Need::OfflineProcessor, "a processor that is not online is refused");
    }
    assert_eq!(affinity.maximum() as usize, possible.len());
    let empty = Affinity::new(Tree::Descendants, Some(&CpuList::default())).unwrap_err();
    assert_eq!(empty, AffinityError::Empty);
    let none = Affinity::new(Tree::Descendants, Some(&list(HardwareId(5000)))).unwrap_err();
    let allowed = affinity.allowed();
    assert_eq!(none.to_string(), format!("not online: 5000; this process may use {allowed}"));
}

#[test]
fn a8_a_process_governs_itself_within_its_initial_mask() {
    let Some(_turn) = partition("governing oneself") else { return };
    role::pass("oneself");
}

#[test]
fn a4_a_start_refused_for_one_child_widens_no_thread() {
    let Some(_turn) = partition("a refusal by the kernel") else { return };
    if !Need::Root.is_met("a child that refuses") {
        return;
    }
    role::pass("refusal");
}

#[test]
fn a4_a_chain_of_processes_that_fork_and_exit_is_found() {
    let Some(_turn) = partition("a chain of forks") else { return };
    role::pass("chain");
}

#[test]
fn a_child_has_the_partitions_mask_from_its_first_instruction() {
    let Some((_turn, affinity, first, _)) = partition("spawning") else { return };
    let mut command = Command::new("cat");
    command.arg("/proc/self/status").stdout(std::process::Stdio::piped());
    let output = affinity.spawn(&mut command).unwrap().wait_with_output().unwrap();
    let status = String::from_utf8(output.stdout).unwrap();
    let says = format!("Cpus_allowed_list:\t{first}\n");
    assert!(status.contains(&says), "{status}");
    let none = affinity.spawn(&mut Command::new("/nowhere/at/all")).unwrap_err();
    assert_eq!(none.kind(), ErrorKind::NotFound);
}

#[test]
fn adopting_the_mask_binds_the_calling_thread_only() {
    let Some((_turn, affinity, first, _)) = partition("adopting") else { return };
    let mask = affinity.mask();
    let own = || proc::own_mask();
    let before = own();
    let adopted = std::thread::spawn(move || {
        mask.adopt().unwrap();
        proc::own_mask()
    });
    assert_eq!((adopted.join().unwrap(), own()), (list(first), before));
}

#[test]
fn h1_a_partition_of_this_process_sets_the_masks_of_all_threads_even_to_all_processors() {
    let Some(_turn) = partition("holding everything") else { return };
    role::pass("held");
}

#[test]
fn h3_a_mask_widened_from_outside_is_put_back_and_the_processor_requested() {
    let Some(_turn) = partition("widening from outside") else { return };
    role::pass("widened");
}

#[test]
fn h3_two_partitions_of_one_process_must_both_agree() {
    let Some(_turn) = partition("two partitions") else { return };
    role::pass("two");
}

#[test]
fn h3_partitions_of_one_process_do_not_take_one_anothers_probes_for_breaches() {
    let Some(_turn) = partition("probes of one process") else { return };
    role::pass("probing");
}

#[test]
fn h3_a_thread_that_has_the_name_of_a_probe_is_put_back_like_any_other() {
    let Some((_turn, affinity, first, second)) = partition("a probe's name") else { return };
    let family = RoleProcess::start(&affinity, "named", "hotadd-probe");
    let thread = masks(family.pid()).last().unwrap().0;
    proc::pin(thread, second);
    let survey = affinity.survey(&[first]);
    let [said] = &survey.repaired[..] else { panic!("one report, not {:?}", survey.repaired) };
    let wanted =
        format!("set the mask of thread {thread} of process {} (hotadd-probe)", family.pid());
    assert!(said.contains(&wanted), "{said}");
    assert_eq!(survey.appeared, [second], "the mask is a request");
    assert!(masks(family.pid()).iter().all(|(_, mask)| *mask == list(first)), "it is put back");
}

#[test]
fn q3_a_watching_partition_sets_no_mask_and_reports_changes() {
    let Some(_turn) = partition("watching") else { return };
    role::pass("watched");
}
