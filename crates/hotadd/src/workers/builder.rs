//! [`WorkersBuilder`]: the options of workers.

use std::sync::Arc;
use std::time::Duration;

use crate::error::Error;
use crate::partition::Partition;

use super::driver::WorkersDriver;
use super::jobs::Tally;
use super::sleepers::Sleepers;
use super::slot::Slot;
use super::thread::{Make, Threads};
use super::{Shared, Workers};

/// The options of [`Workers`]. Made by [`Workers::builder`].
#[must_use = "no worker is made until `start` is called"]
#[derive(Clone, Debug)]
pub struct WorkersBuilder<'a> {
    partition: &'a Partition,
    name: &'a str,
    stack_size: Option<usize>,
    drain_limit: Duration,
    job_limit: usize,
}

impl<'a> WorkersBuilder<'a> {
    pub(super) const fn new(partition: &'a Partition, name: &'a str) -> Self {
        let (drain_limit, job_limit) = (Duration::from_secs(1), 1 << 20);
        Self { partition, name, stack_size: None, drain_limit, job_limit }
    }

    /// Sets the size of the threads' stacks, in bytes. The default is that of [`std::thread::Builder`].
    pub const fn stack_size(mut self, bytes: usize) -> Self {
        self.stack_size = Some(bytes);
        self
    }

    /// Sets how long RemoveStart waits until a worker has finished the jobs for its processor, before it refuses the removal. The
    /// default is one second. A partition in another process waits no longer than the driver's own time limit, 5 seconds.
    pub const fn drain_limit(mut self, limit: Duration) -> Self {
        self.drain_limit = limit;
        self
    }

    /// Sets the maximum number of unfinished jobs. The default is 1,048,576. At least 1.
    pub const fn job_limit(mut self, jobs: usize) -> Self {
        self.job_limit = if jobs == 0 { 1 } else { jobs };
        self
    }

    /// Makes the workers.
    ///
    /// # Errors
    /// As [`Workers::new`].
    pub fn start(self) -> Result<Workers, Error> {
        let Self { partition, name, stack_size, drain_limit, job_limit } = self;
        let maximum = partition.active().maximum();
        let shared = Arc::new(Shared {
            slots: (0..maximum).map(|_| Slot::default()).collect(),
            any: crossbeam_queue::SegQueue::new(),
            sleepers: Sleepers::default(),
            tally: Tally::new(job_limit),
            threads: Threads::default(),
            pins: partition.hardware() != "simulated",
        });
        let make = Make { prefix: name.to_owned(), stack_size };
        let driver = WorkersDriver::new(Arc::clone(&shared), make, drain_limit);
        let registration = partition.register(name, driver)?;
        Ok(Workers { shared, partition: partition.clone(), registration: Some(registration) })
    }
}
