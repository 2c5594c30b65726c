//! Drivers that do next to nothing.

use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use hotadd::hardware::Simulated;
use hotadd::{Driver, HardwareId, Notice, Partition, Registration, Status, Veto};

/// Agrees to everything and does nothing, which the compiler cannot know.
///
/// It has a small state, so that each box is an allocation of its own.
#[derive(Default)]
pub(crate) struct Idle {
    _state: u64,
}

impl Driver for Idle {
    fn add_start(&mut self, notice: &Notice) -> Result<(), Veto> {
        black_box(notice);
        Ok(())
    }

    fn add_complete(&mut self, _: &Notice) {
        black_box(self);
    }

    fn add_failure(&mut self, _: &Notice) {
        black_box(self);
    }
}

/// Refuses one processor.
pub(crate) struct Refusing(pub(crate) HardwareId);

impl Driver for Refusing {
    fn add_start(&mut self, notice: &Notice) -> Result<(), Veto> {
        if notice.processor().id == self.0 {
            return Err(Veto::new(Status::INSUFFICIENT_RESOURCES, "no"));
        }
        Ok(())
    }
}

/// Counts its calls. Refuses one processor, if there is one to refuse.
pub(crate) struct Counted(pub(crate) Arc<AtomicU64>, pub(crate) Option<HardwareId>);

impl Driver for Counted {
    fn add_start(&mut self, notice: &Notice) -> Result<(), Veto> {
        self.0.fetch_add(1, Ordering::Relaxed);
        if Some(notice.processor().id) == self.1 {
            return Err(Veto::new(Status::INSUFFICIENT_RESOURCES, "no"));
        }
        Ok(())
    }

    fn add_complete(&mut self, _: &Notice) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    fn add_failure(&mut self, _: &Notice) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// A partition of simulated processors: this many that are active, and one more.
pub(crate) fn partition(active: usize) -> Partition {
    let active = u32::try_from(active).expect("at most 2,047");
    let hardware = Simulated::new(active, 1).expect("at most 2,048 processors");
    Partition::simulated(&hardware).expect("simulated processors")
}

/// The one that can be added.
pub(crate) fn spare(partition: &Partition) -> HardwareId {
    partition.candidates().expect("simulated processors")[0]
}

/// The names of so many drivers.
pub(crate) fn names(number: usize) -> Vec<String> {
    (0..number).map(|n| format!("driver-{n:05}")).collect()
}

/// Registers a driver under each of these names, as long as the result lives.
pub(crate) fn register<D: Driver + Send + 'static>(
    partition: &Partition,
    names: &[String],
    mut driver: impl FnMut() -> D,
) -> Vec<Registration> {
    let registered = |name: &String| partition.register(name, driver()).expect("it agrees");
    names.iter().map(registered).collect()
}

/// Deregisters all, the last first, so that the registry moves none of the others.
pub(crate) fn deregister(mut registrations: Vec<Registration>) {
    while registrations.pop().is_some() {}
}
