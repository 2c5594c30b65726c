//! How the number changes, and who is told.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use hotadd_core::{HardwareId, Notice, State};

use super::Root;
use crate::hardware::Simulated;
use crate::parallelism::callbacks::Callbacks;
use crate::parallelism::current::Confined;
use crate::parallelism::{LimitKind, Limits, Parallelism};
use crate::{Observation, Partition};

/// Long enough for any machine. Nothing is said about how long it takes.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);

pub(super) fn simulated(active: u32, spare: u32) -> (Arc<Simulated>, Partition) {
    let hardware = Simulated::new(active, spare).unwrap();
    let partition = Partition::simulated(&hardware).unwrap();
    (hardware, partition)
}

/// The number of a partition of `active` processors in the cgroups of this root.
fn confined(active: u32, root: &Root) -> Parallelism {
    Parallelism::new(&simulated(active, 0).1, Some(Confined::new(root.path(), None)))
}

/// Every number that is told.
fn told(parallelism: &Parallelism) -> (Observation, Receiver<Limits>) {
    let (to, told) = mpsc::channel();
    let observation = parallelism.on_change(move |limits| {
        let _ = to.send(limits.clone());
    });
    (observation, told)
}

#[test]
fn a5_the_number_has_grown_in_the_add_complete_of_every_other_party() {
    let (_hardware, partition) = simulated(2, 1);
    // Registered before the number is followed.
    let seen = Arc::new(Mutex::new(Vec::new()));
    let number: Arc<Mutex<Option<Arc<Parallelism>>>> = Arc::default();
    let (saw, asks) = (Arc::clone(&seen), Arc::clone(&number));
    let _pool = partition
        .registration("pool")
        .without_replay()
        .register(move |notice: &Notice| {
            if let Some(parallelism) = &*asks.lock().unwrap() {
                saw.lock().unwrap().push((notice.state(), parallelism.get().get()));
            }
            Ok(())
        })
        .unwrap();
    let parallelism = Arc::new(partition.parallelism());
    *number.lock().unwrap() = Some(Arc::clone(&parallelism));
    let (_observation, told) = told(&parallelism);

    partition.add(HardwareId(2)).unwrap();
    assert_eq!(*seen.lock().unwrap(), [(State::AddStart, 2), (State::AddComplete, 3)]);
    let limits = told.try_recv().expect("the callback was called within the add");
    assert_eq!(partition.observers().unwrap(), 0, "no observer is needed");
    assert_eq!((limits.number.get(), limits.epoch), (3, 1));
    assert_eq!(limits, parallelism.limits());
    *number.lock().unwrap() = None;
}

#[test]
fn x1_x2_a_processor_that_is_removed_or_vanishes_no_longer_counts() {
    let (hardware, partition) = simulated(4, 0);
    let parallelism = partition.parallelism();
    let (_observation, told) = told(&parallelism);
    partition.remove(HardwareId(3)).unwrap();
    assert_eq!(told.try_recv().unwrap().number.get(), 3);
    hardware.vanish(HardwareId(0));
    assert_eq!(told.try_recv().unwrap().number.get(), 2);
    hardware.intrude(HardwareId(0));
    assert_eq!(told.try_recv().unwrap().number.get(), 3, "Q3: it joined without agreement");
    assert_eq!((parallelism.get().get(), parallelism.epoch()), (3, 3));
}

#[test]
fn simulated_processors_have_no_mask_and_no_quota() {
    let (_hardware, partition) = simulated(2048, 0);
    let limits = partition.parallelism().limits();
    assert_eq!((limits.number.get(), limits.mask, limits.quota), (2048, None, None));
    assert_eq!(limits.unknown, [""; 0]);
}

#[test]
fn a_quota_is_rounded_down_and_at_least_1_and_the_part_that_decides_is_named() {
    let root = Root::v2("/app");
    let cases = [
        ("max 100000", 4, LimitKind::Set),
        ("400000 100000", 4, LimitKind::Set),
        ("399999 100000", 3, LimitKind::Quota),
        ("150000 100000", 1, LimitKind::Quota),
        ("1000 100000", 1, LimitKind::Quota),
        ("18446744073709551615 1", 4, LimitKind::Set),
    ];
    for (max, number, decides) in cases {
        root.file("cg/app/cpu.max", max);
        let limits = confined(4, &root).limits();
        assert_eq!((limits.number.get(), limits.decides), (number, decides), "for {max:?}");
    }
    root.file("cg/app/cpu.max", "250000 100000");
    let limits = confined(4, &root).limits();
    assert_eq!(limits.quota.as_ref().map(super::super::Quota::processors), Some(2.5));
    let folder = root.path().join("cg/app").display().to_string();
    assert_eq!(limits.to_string(), format!("2: the quota of {folder} pays for 2.50 processors"));
    assert_eq!(confined(1, &root).limits().to_string(), "1: the partition has 1 processor");
}

#[test]
fn a_change_of_the_quota_is_told_without_being_asked_for() {
    let root = Root::v2("/app");
    root.file("cg/app/cpu.max", "300000 100000");
    let parallelism = confined(8, &root);
    assert_eq!(parallelism.get().get(), 3);
    let (_observation, told) = told(&parallelism);
    root.change("cg/app/cpu.max", "650000 100000");
    assert_eq!(told.recv_timeout(PATIENCE).unwrap().number.get(), 6);
    assert_eq!((parallelism.get().get(), parallelism.epoch()), (6, 1));
    root.group("cg/other");
    root.file("cg/other/cpu.max", "200000 100000");
    root.file("proc/self/cgroup", "0::/other\n");
    let moved = told.recv_timeout(PATIENCE).unwrap();
    assert_eq!(moved.number.get(), 2, "the process has moved to another cgroup");
    root.change("cg/other/cpu.max", "500000 100000");
    assert_eq!(told.recv_timeout(PATIENCE).unwrap().number.get(), 5, "whose quota is watched now");
}

#[test]
fn several_numbers_of_one_process_are_watched_at_once() {
    let (first, second) = (Root::v2("/a"), Root::v2("/b"));
    let numbers = [confined(8, &first), confined(8, &second)];
    let [(_one, one), (_two, two)] = numbers.each_ref().map(told);
    first.file("cg/a/cpu.max", "200000 100000");
    second.file("cg/b/cpu.max", "300000 100000");
    assert_eq!(one.recv_timeout(PATIENCE).unwrap().number.get(), 2);
    assert_eq!(two.recv_timeout(PATIENCE).unwrap().number.get(), 3);
}

#[test]
fn d1_a_callback_is_not_called_after_its_handle_or_the_number_is_dropped() {
    let (_hardware, partition) = simulated(1, 3);
    let parallelism = partition.parallelism();
    let (observation, told_first) = told(&parallelism);
    let (kept, told_second) = told(&parallelism);
    drop(observation);
    partition.add(HardwareId(1)).unwrap();
    assert!(told_first.try_recv().is_err(), "its handle was dropped");
    assert_eq!(told_second.try_recv().unwrap().number.get(), 2);
    kept.detach();
    partition.add(HardwareId(2)).unwrap();
    assert_eq!(told_second.try_recv().unwrap().number.get(), 3, "it was detached");
    drop(parallelism);
    partition.add(HardwareId(3)).unwrap();
    assert_eq!(told_second.try_recv(), Err(mpsc::TryRecvError::Disconnected), "it is dropped");
}

#[test]
fn d3_a_callback_may_drop_the_number_and_no_other_callback_is_called_then() {
    let (_hardware, partition) = simulated(1, 2);
    let number = Arc::new(Mutex::new(None));
    let parallelism = partition.parallelism();
    let drops = Arc::clone(&number);
    let dropping =
        parallelism.on_change(move |_| drop::<Option<Parallelism>>(drops.lock().unwrap().take()));
    let (_after, told) = told(&parallelism);
    *number.lock().unwrap() = Some(parallelism);
    partition.add(HardwareId(1)).unwrap();
    partition.add(HardwareId(2)).unwrap();
    assert_eq!(told.try_recv(), Err(mpsc::TryRecvError::Disconnected), "it was never called");
    drop(dropping);
}

#[test]
fn a_callback_that_panics_is_dropped_and_the_others_are_called() {
    let (_hardware, partition) = simulated(1, 2);
    let parallelism = partition.parallelism();
    parallelism.on_change(|_| std::panic::resume_unwind(Box::new("no message"))).detach();
    let (_observation, told) = told(&parallelism);
    for id in [1, 2] {
        partition.add(HardwareId(id)).unwrap();
        assert_eq!(told.try_recv().unwrap().number.get(), id as usize + 1);
    }
    assert_eq!(partition.active().count(), 3, "no party refused");
}

/// Limits with this number, which has changed this often.
fn limits(number: u32, epoch: u64) -> Limits {
    Limits::of((number, hotadd_core::Epoch(1)), None, None, Vec::new(), epoch)
}

#[test]
fn a_change_during_a_callback_is_told_after_it_and_with_the_newest_number() {
    let newest = Arc::new(Mutex::new(limits(2, 1)));
    let callbacks = Arc::new(Callbacks::default());
    let (inside, told) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(Vec::new())));
    let (flag, tells) = (Arc::clone(&inside), Arc::clone(&told));
    let (weak, changes) = (Arc::downgrade(&callbacks), Arc::clone(&newest));
    let call = move |limits: &Limits| {
        assert!(!flag.swap(true, Ordering::Relaxed), "calls come one at a time");
        tells.lock().unwrap().push(limits.number.get());
        if limits.epoch == 1 {
            // Twice while the callback runs, once from another thread, which does not wait.
            for epoch in [2, 3] {
                *changes.lock().unwrap() = self::limits(epoch + 1, u64::from(epoch));
                let (callbacks, newest) = (weak.upgrade().unwrap(), Arc::clone(&changes));
                let tell = move || callbacks.tell(|| newest.lock().unwrap().clone());
                if epoch == 2 { tell() } else { std::thread::spawn(tell).join().unwrap() }
            }
        }
        flag.store(false, Ordering::Relaxed);
    };
    callbacks.push(0, Box::new(call));
    callbacks.tell(|| newest.lock().unwrap().clone());
    assert_eq!(*told.lock().unwrap(), [2, 4], "3 was no longer the newest");
    callbacks.tell(|| newest.lock().unwrap().clone());
    assert_eq!(told.lock().unwrap().len(), 2, "nothing has changed");
    let late = Arc::clone(&told);
    callbacks.push(3, Box::new(move |limits| late.lock().unwrap().push(limits.number.get())));
    callbacks.tell(|| newest.lock().unwrap().clone());
    assert_eq!(told.lock().unwrap().len(), 2, "one that came later knows this number");
}
