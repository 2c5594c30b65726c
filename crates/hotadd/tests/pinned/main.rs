//! `Workers` on this machine's processors: each runs on its own, and the partition leaves its mask as it is. No processor is taken
//! offline.
//!
//! The partition governs this process, so the tests run one at a time.
#![cfg(not(hotadd_loom))]
#![expect(clippy::unwrap_used, reason = "helpers of tests are tests too")]

use std::fs;
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use hotadd::hardware::{Affinity, Hardware, Tree};
use hotadd::{
    CpuList, Driver, HardwareId, Notice, Partition, Removal, State, Status, Veto, Workers,
    WorkersReport,
};
use hotadd_testing::{Need, skip};

static TURN: Mutex<()> = Mutex::new(());

struct Machine {
    affinity: Arc<Affinity>,
    partition: Partition,
    first: HardwareId,
    second: HardwareId,
    /// Dropped after the partition, which lets the threads run anywhere again.
    _turn: MutexGuard<'static, ()>,
}

/// A partition of this process on its first processor. `None` on a machine with one.
fn machine(test: &str) -> Option<Machine> {
    let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let allowed = Affinity::available().unwrap();
    let [first, second, ..] = *allowed.ids() else {
        skip(Need::TwoProcessors, test);
        return None;
    };
    let affinity = Arc::new(Affinity::new(Tree::Current, Some(&list(first))).unwrap());
    let partition = Partition::from_hardware(Arc::clone(&affinity) as _).unwrap();
    Some(Machine { affinity, partition, first, second, _turn: turn })
}

fn list(id: HardwareId) -> CpuList {
    [id].into_iter().collect()
}

/// The processor on which the calling thread is.
fn here() -> HardwareId {
    HardwareId(rustix::thread::sched_getcpu().try_into().unwrap())
}

/// The mask of the thread with this name.
fn mask(name: &str) -> Option<CpuList> {
    let task = fs::read_dir("/proc/self/task").unwrap().flatten().find(|task| {
        fs::read_to_string(task.path().join("comm")).is_ok_and(|comm| comm.trim_end() == name)
    })?;
    let status = fs::read_to_string(task.path().join("status")).ok()?;
    let list = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:"))?;
    Some(list.trim().parse().unwrap())
}

/// Waits for an expected condition, and fails the test if it does not come true.
fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !holds() {
        assert!(begin.elapsed() < Duration::from_secs(60), "not in time: {what}");
        // The pause only leaves the processor to those that are waited for.
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Checks that each worker runs on its processor, and that the partition does not change their masks (H3).
fn check(machine: &Machine, workers: &Workers, name: &str) {
    let Machine { affinity, partition, .. } = machine;
    for _ in 0..20 {
        for (processor, (here, current)) in
            workers.run_on_each(|_| (here(), Workers::current())).unwrap()
        {
            assert_eq!((here, current), (processor.id, Some(processor)), "a job ran elsewhere");
        }
    }
    let active: Vec<_> = partition.active().iter().map(|p| p.id).collect();
    for _ in 0..3 {
        let survey = affinity.survey(&active);
        assert_eq!(survey.repaired, [""; 0], "the masks of the workers are their own");
        for id in &active {
            assert_eq!(mask(&format!("{name}/{id}")), Some(list(*id)), "of the worker of {id}");
        }
    }
    assert_eq!(workers.report(), WorkersReport::default());
}

#[test]
fn h3_each_worker_is_pinned_to_its_processor_and_keeps_its_mask() {
    let Some(machine) = machine("pinned workers") else { return };
    let Machine { partition, first, second, .. } = &machine;
    let workers = Workers::new(partition, "pinned").unwrap();
    check(&machine, &workers, "pinned");
    // The first worker's mask equals the set. So it grows with the set, and the worker must set it again.
    partition.add(*second).unwrap();
    check(&machine, &workers, "pinned");
    for _ in 0..3 {
        // A thread that stayed on the processor would make this fail (EBUSY).
        partition.remove(*second).unwrap();
        check(&machine, &workers, "pinned");
        partition.add(*second).unwrap();
        check(&machine, &workers, "pinned");
    }
    partition.remove(*first).expect("either of them may leave");
    check(&machine, &workers, "pinned");
}

#[test]
fn h3_an_idle_worker_whose_mask_grew_with_the_set_is_pinned_again() {
    let Some(machine) = machine("an idle worker") else { return };
    let Machine { partition, first, second, .. } = &machine;
    let _workers = Workers::new(partition, "idle").unwrap();
    let name = |id| format!("idle/{id}");
    wait_until("the worker is pinned", || mask(&name(first)) == Some(list(*first)));
    partition.add(*second).unwrap();
    for id in [first, second] {
        wait_until("each worker has its own mask", || mask(&name(id)) == Some(list(*id)));
    }
}

#[test]
fn h3_the_worker_of_a_single_processor_does_not_follow_the_set() {
    let Some(machine) = machine("a single worker") else { return };
    let Machine { partition, first, second, .. } = &machine;
    let workers = Workers::new(partition, "single").unwrap();
    workers.run_on_each(|_| ()).unwrap();
    let (name, expected, (sender, masks)) = (format!("single/{first}"), list(*first), channel());
    // It is told before the workers are, which would set the mask again.
    let driver = move |notice: &Notice| {
        if notice.state() == State::AddComplete {
            sender.send(mask(&name)).unwrap();
        }
        Ok(())
    };
    let early = partition.registration("early").level(-1).without_replay();
    let _early = early.register(driver).unwrap();
    partition.add(*second).unwrap();
    assert_eq!(masks.recv().unwrap(), Some(expected), "when the second processor has joined");
}

/// Refuses every removal. At a lower level it is asked after the workers (X1).
struct Keeps;

impl Driver for Keeps {
    fn add_start(&mut self, _: &Notice) -> Result<(), Veto> {
        Ok(())
    }

    fn removal(&mut self) -> Option<&mut dyn Removal> {
        Some(self)
    }
}

impl Removal for Keeps {
    fn remove_start(&mut self, _: &Notice) -> Result<(), Veto> {
        Err(Status::DEVICE_BUSY.into())
    }
}

#[test]
fn x1_a_worker_is_pinned_again_when_its_processor_stays() {
    let Some(machine) = machine("a refused removal") else { return };
    let Machine { partition, second, .. } = &machine;
    partition.add(*second).unwrap();
    let workers = Workers::new(partition, "stays").unwrap();
    let _keeps = partition.registration("keeps").level(-1).register(Keeps).unwrap();
    check(&machine, &workers, "stays");
    for _ in 0..3 {
        partition.remove(*second).unwrap_err();
        check(&machine, &workers, "stays");
    }
}

#[test]
fn a_worker_that_the_kernel_does_not_pin_runs_and_is_reported() {
    // No process may run on a processor that does not exist, so the simulation of one is not called simulated.
    let partition = Partition::from_hardware(Arc::new(elsewhere::Elsewhere)).unwrap();
    let workers = Workers::new(&partition, "elsewhere").unwrap();
    assert_eq!(workers.run_on_each(|processor| processor.id).unwrap().len(), 1, "it runs");
    let report = workers.report();
    let unpinned: Vec<_> = report.unpinned.iter().map(|(p, errno)| (p.id.0, *errno)).collect();
    assert_eq!(unpinned, [(1023, hotadd::Errno::EINVAL)]);
}

mod elsewhere {
    //! Hardware whose only processor this machine does not have.

    use std::sync::Arc;

    use hotadd::hardware::{Hardware, NotAdmitted, Nudge, Survey};
    use hotadd::{HardwareId, PlatformError};

    #[derive(Debug)]
    pub(crate) struct Elsewhere;

    impl Hardware for Elsewhere {
        fn name(&self) -> &'static str {
            "elsewhere"
        }

        fn active(&self) -> Result<Vec<HardwareId>, PlatformError> {
            Ok(vec![HardwareId(1023)])
        }

        fn maximum(&self) -> u32 {
            1
        }

        fn candidates(&self) -> Result<Vec<HardwareId>, PlatformError> {
            Ok(Vec::new())
        }

        fn admits(&self, _: HardwareId) -> Result<(), NotAdmitted> {
            Ok(())
        }

        fn start(&self, _: HardwareId) -> Result<(), PlatformError> {
            Ok(())
        }

        fn stop(&self, _: HardwareId) -> Result<(), PlatformError> {
            Ok(())
        }

        fn survey(&self, _: &[HardwareId]) -> Survey {
            Survey::default()
        }

        fn watch(self: Arc<Self>, _: Nudge) {}
    }
}
