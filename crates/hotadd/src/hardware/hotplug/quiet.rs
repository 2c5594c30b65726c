//! [`Fresh`]: the processors that were plugged in just now, and how long to wait before they are switched.
//!
//! The kernel sends the add event of a processor while it still holds its hot-plug lock. A write to `online` meanwhile is retried
//! inside the kernel after a sleep, and takes 9 to 22 ms longer than a write that comes when the lock is free. Up to Linux 6.1 the
//! processor's `bind` event comes when the lock is released or nearly so, and the switch waits for it. Later kernels give no sign:
//! there the write is made at once. A fixed time to wait would be wrong in both directions, as the lock is held for 3 to 70 ms,
//! depending on how many slots the machine has; and any other user of the lock sleeps in the same way.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use hotadd_core::HardwareId;

/// The maximum time to wait for the event. It comes within 1 to 3 ms in an emulated guest. The drivers that were asked
/// meanwhile have used up some or all of this time.
pub(super) const BOUND: Duration = Duration::from_millis(10);

/// Processors that were plugged in just now.
#[derive(Debug)]
pub(super) struct Fresh {
    bound: Duration,
    /// The times at which their add events arrived.
    added: BTreeMap<HardwareId, Instant>,
}

impl Fresh {
    pub(super) const fn new(bound: Duration) -> Self {
        Self { bound, added: BTreeMap::new() }
    }

    /// Records that a processor was plugged in.
    pub(super) fn added(&mut self, id: HardwareId, now: Instant) {
        let bound = self.bound;
        self.added.retain(|_, at| now.saturating_duration_since(*at) < bound);
        self.added.insert(id, now);
    }

    /// Records that the kernel has released the processor, or that it is gone. Returns whether it was
    /// recorded as plugged in.
    pub(super) fn settled(&mut self, id: HardwareId) -> bool {
        self.added.remove(&id).is_some()
    }

    /// How much longer to wait before the processor is switched.
    pub(super) fn left(&self, id: HardwareId, now: Instant) -> Option<Duration> {
        let passed = now.saturating_duration_since(*self.added.get(&id)?);
        self.bound.checked_sub(passed).filter(|left| !left.is_zero())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: HardwareId = HardwareId(1);

    #[test]
    fn a_new_processor_is_not_switched_until_it_settles_or_a_timeout() {
        let (mut fresh, now) = (Fresh::new(BOUND), Instant::now());
        assert_eq!(fresh.left(ONE, now), None, "one that was there all along");
        fresh.added(ONE, now);
        let ms = Duration::from_millis;
        assert_eq!(fresh.left(ONE, now + ms(4)), Some(ms(6)));
        assert_eq!(fresh.left(HardwareId(2), now), None, "another one");
        assert_eq!(fresh.left(ONE, now + BOUND), None, "no longer than the bound");
        assert!(fresh.settled(ONE) && !fresh.settled(ONE), "once");
        assert_eq!(fresh.left(ONE, now), None, "no longer than it must");
    }

    #[test]
    fn old_entries_are_forgotten() {
        let (mut fresh, now) = (Fresh::new(BOUND), Instant::now());
        for n in 0..1000 {
            fresh.added(HardwareId(n), now + BOUND * n);
        }
        assert_eq!(fresh.added.len(), 1, "a machine that plugs for ever does not fill memory");
    }
}
