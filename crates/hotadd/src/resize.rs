//! [`follow`]: keeps the size of something equal to the number of a [`Parallelism`].

use std::sync::{Arc, Weak};

use hotadd_core::{Driver, Notice, Removal, Veto};

use crate::error::Error;
use crate::observation::Observation;
use crate::parallelism::{Limits, Parallelism, Quota};
use crate::partition::Partition;
use crate::registration::Registration;

/// A thing that has a size. It is called by the thread of a transaction and by the thread that watches quotas, also at the same time.
pub(crate) trait Resize: Send + Sync + 'static {
    /// A processor is about to join: makes what the new size needs, and changes nothing.
    ///
    /// # Errors
    /// The processor is refused (A3).
    fn prepare(&self, size: usize) -> Result<(), Veto> {
        let _ = size;
        Ok(())
    }

    /// The processor has joined, or does not join: drops what was prepared and is not used.
    fn cancel(&self) {}

    /// Takes the size that `size` returns. `size` is called with the lock that is held during the change. So of several threads
    /// that change the size, the last one has the newest number.
    fn resize(&self, size: &dyn Fn() -> usize);
}

/// Keeps the size of something while this lives.
pub(crate) struct Following {
    // Dropped in this order: the first two wait until no callback uses the number.
    registration: Registration,
    _told: Observation,
    parallelism: Arc<Parallelism>,
}

impl Following {
    pub(crate) const fn registration(&self) -> &Registration {
        &self.registration
    }

    pub(crate) fn parallelism(&self) -> &Parallelism {
        &self.parallelism
    }
}

/// Gives `target` the present number and every later one, until the returned value is dropped.
///
/// # Errors
/// As [`Partition::register`].
pub(crate) fn follow<T: Resize>(
    partition: &Partition,
    name: &str,
    parallelism: Parallelism,
    target: Arc<T>,
) -> Result<Following, Error> {
    let parallelism = Arc::new(parallelism);
    let number = Arc::downgrade(&parallelism);
    let follower = Follower { partition: partition.clone(), number, target };
    let (number, target) = (Weak::clone(&follower.number), Arc::clone(&follower.target));
    let told = parallelism.on_change(move |_| resize(&number, &*target));
    // The number may have changed since the target was made.
    follower.resize();
    // Without a replay: each active processor counts already.
    let registration = partition.registration(name).without_replay().register(follower)?;
    Ok(Following { registration, _told: told, parallelism })
}

/// The callback is told the number too. But when this thread gets the lock of the target, there may be a newer one.
fn resize<T: Resize>(number: &Weak<Parallelism>, target: &T) {
    if let Some(number) = number.upgrade() {
        target.resize(&|| number.get().get());
    }
}

/// The number when `joining` processors have joined.
fn number_with(joining: usize, limits: &Limits) -> usize {
    let mask = match limits.mask {
        // A mask that contains the whole set grows with it (H3).
        Some(mask) if mask < limits.set => mask as usize,
        _ => usize::MAX,
    };
    let quota = limits.quota.as_ref().map_or(usize::MAX, |quota| Quota::whole(quota).get());
    (limits.set as usize).saturating_add(joining).min(mask).min(quota).max(1)
}

/// Asked before a processor joins. In AddComplete and RemoveComplete it resizes too, although the callback does: the thread that
/// watches quotas may be in that callback, and this one must not go on before the size is right (A5).
struct Follower<T> {
    /// A driver that holds its own partition keeps it alive until the registration is dropped, as the registration does.
    partition: Partition,
    /// Weak: a driver should not own it.
    number: Weak<Parallelism>,
    target: Arc<T>,
}

impl<T: Resize> Follower<T> {
    fn resize(&self) {
        resize(&self.number, &*self.target);
    }
}

impl<T: Resize> Driver for Follower<T> {
    fn add_start(&mut self, _: &Notice) -> Result<(), Veto> {
        let Some(number) = self.number.upgrade() else { return Ok(()) };
        // All processors of an atomic batch are proposed when the first one is asked about (A9), so one preparation serves all.
        let joining = self.partition.read().proposed().len();
        self.target.prepare(number_with(joining, &number.limits()))
    }

    fn add_complete(&mut self, _: &Notice) {
        self.resize();
        self.target.cancel();
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a3_the_prepared_number_considers_the_quota_and_a_mask_that_does_not_grow() {
        // set, mask, whole processors of the quota, joining, expected
        let cases = [
            (2, None, None, 1, 3),
            (2, Some(2), None, 3, 5),
            (4, Some(1), None, 1, 1),
            (2, Some(2), Some(3), 2, 3),
            (4, Some(4), Some(2), 1, 2),
            (4, Some(3), Some(9), 1, 3),
        ];
        for (set, mask, quota, joining, expected) in cases {
            let quota = quota.map(|time| Quota { cgroup: "/".into(), time, period: 1 });
            let set = (set, hotadd_core::Epoch(1));
            let limits = Limits::of(set, mask, quota, Vec::new(), 0);
            assert_eq!(number_with(joining, &limits), expected, "{joining} join {limits:?}");
        }
    }
}
