//! [`follow`]: keeps the size of something equal to the number of processors that the partition has.

use hotadd_core::{Driver, Notice, Removal, Veto};

use crate::error::Error;
use crate::partition::Partition;
use crate::registration::Registration;

/// A thing that has a size. Calls come one at a time (A7), inside callbacks of the partition.
pub(crate) trait Resize: Send + 'static {
    /// A processor is about to join: makes what the new size needs, and changes nothing.
    ///
    /// # Errors
    /// The processor is refused (A3).
    fn prepare(&mut self, size: usize) -> Result<(), Veto> {
        let _ = size;
        Ok(())
    }

    /// The processor does not join: drops what was prepared.
    fn cancel(&mut self) {}

    /// The size is this from now on.
    fn resize(&mut self, size: usize);
}

/// The number of processors for which work is to be done at the same time. The only place that decides it.
pub(crate) fn size(partition: &Partition) -> usize {
    (partition.count() as usize).max(1)
}

/// Gives `target` the present size and every later one, until the registration is dropped. The target must have been made for the
/// present size already, as nothing is prepared for the replay.
///
/// # Errors
/// As [`Partition::register`].
pub(crate) fn follow<T: Resize>(
    partition: &Partition,
    name: &str,
    target: T,
) -> Result<Registration, Error> {
    partition.register(name, Follower { partition: partition.clone(), target })
}

struct Follower<T> {
    /// A driver that holds its own partition keeps it alive until the registration is dropped, as the registration does.
    partition: Partition,
    target: T,
}

impl<T: Resize> Follower<T> {
    fn resize(&mut self) {
        self.target.resize(size(&self.partition));
    }
}

impl<T: Resize> Driver for Follower<T> {
    fn add_start(&mut self, notice: &Notice) -> Result<(), Veto> {
        if notice.is_replay() {
            // The processor counts already, and there may be thousands of them.
            return Ok(());
        }
        // All processors of an atomic batch are proposed when the first one is asked about (A9), so one preparation serves all.
        let joining = self.partition.read().proposed().len();
        self.target.prepare(size(&self.partition) + joining)
    }

    /// In a replay too: the set may have changed since the target was made.
    fn add_complete(&mut self, _: &Notice) {
        self.resize();
    }

    fn add_failure(&mut self, _: &Notice) {
        self.target.cancel();
    }

    fn removal(&mut self) -> Option<&mut dyn Removal> {
        Some(self)
    }
}

impl<T: Resize> Removal for Follower<T> {
    fn remove_start(&mut self, _: &Notice) -> Result<(), Veto> {
        Ok(())
    }

    fn remove_complete(&mut self, _: &Notice) {
        self.resize();
    }
}
