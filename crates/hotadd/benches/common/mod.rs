//! Shared parts of the benches: drivers that do next to nothing, and their bare calls without a partition.

use std::hint::black_box;

use hotadd::hardware::Simulated;
use hotadd::{Driver, Notice, Partition, Processor, Registration, State, Veto};

pub(crate) type Boxed = Box<dyn Driver + Send>;

/// A driver that agrees to everything and does nothing, which the compiler cannot know.
///
/// It has a small state, so that each box is a separate allocation, as with real drivers.
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
}

/// This many boxed drivers, allocated in order.
pub(crate) fn boxed<D: Driver + Send + Default + 'static>(count: usize) -> Vec<Boxed> {
    (0..count).map(|_| Box::new(D::default()) as Boxed).collect()
}

/// The bare calls of an agreed add: every driver is asked, and then every driver is told.
#[inline(never)]
pub(crate) fn bare_add(drivers: &mut [Boxed], processor: Processor) -> bool {
    let notice = Notice::new(State::AddStart, processor);
    for driver in &mut *drivers {
        if driver.add_start(&notice).is_err() {
            return false;
        }
    }
    let notice = Notice::new(State::AddComplete, processor);
    for driver in drivers {
        driver.add_complete(&notice);
    }
    true
}

/// The bare calls of registering with ADD_EXISTING: a new driver is asked about every processor, and then told.
#[inline(never)]
pub(crate) fn bare_replay(processors: &[Processor]) -> Option<Boxed> {
    let mut driver = black_box(Box::new(Idle::default()) as Boxed);
    for &processor in processors {
        if driver.add_start(&Notice::new(State::AddStart, processor)).is_err() {
            return None;
        }
    }
    for &processor in processors {
        driver.add_complete(&Notice::new(State::AddComplete, processor));
    }
    Some(driver)
}

/// A partition of simulated processors, this many that run and this many that can be added.
pub(crate) fn partition(active: u32, spare: u32) -> Partition {
    let hardware = Simulated::new(active, spare).unwrap();
    Partition::simulated(&hardware).unwrap()
}

/// Registers this many drivers. They are called as long as the result lives.
pub(crate) fn register<D: Driver + Send + Default + 'static>(
    partition: &Partition,
    count: usize,
) -> Vec<Registration> {
    (0..count)
        .map(|n| partition.register(&format!("driver-{n:05}"), D::default()).unwrap())
        .collect()
}
