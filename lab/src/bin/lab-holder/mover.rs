//! The thread that moves the counting threads from one processor to the next, and the driver that keeps them off a processor that
//! is about to leave: with a mask of its own, a thread would stay on it, and the removal would fail (EBUSY).

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use hotadd::{Driver, HardwareId, Notice, Partition, Removal, Veto};

use crate::busy::bit;
use crate::data::Counts;
use crate::masks;

/// What the thread and the driver share. All operations are `SeqCst`: a turn that begins after a bit was set sees the bit.
#[derive(Default)]
pub(crate) struct Moves {
    /// The processors that are about to leave: one bit each.
    leaving: AtomicU64,
    /// The turns that have ended. In each turn, every thread was moved once.
    turns: AtomicU64,
}

impl Moves {
    /// Moves these threads until the counts are stopped. Returns how often it did.
    pub(crate) fn run(&self, partition: &Partition, counts: &Counts, threads: &[i32]) -> u64 {
        let (mut turn, mut moves) = (0, 0);
        while !counts.is_stopped() {
            for (nth, thread) in threads.iter().enumerate() {
                let leaving = self.leaving.load(Ordering::SeqCst);
                let set: Vec<HardwareId> = partition.active().iter().map(|one| one.id).collect();
                let stays = |id: &HardwareId| leaving & bit(id.0) == 0;
                let set: Vec<HardwareId> = set.into_iter().filter(stays).collect();
                // Each thread takes another way through the set.
                let Some(to) = set.get((turn * (nth + 1) + nth) % set.len().max(1)) else { break };
                // Refused if the processor has just left: then the thread stays where it is.
                let moved = masks::set_one(Some(*thread), &[*to].into_iter().collect());
                moves += u64::from(moved.is_ok());
            }
            turn += 1;
            self.turns.fetch_add(1, Ordering::SeqCst);
        }
        moves
    }
}

/// The driver.
pub(crate) struct Avoiding(pub(crate) Arc<Moves>);

impl Driver for Avoiding {
    fn add_start(&mut self, _: &Notice) -> Result<(), Veto> {
        Ok(())
    }

    fn removal(&mut self) -> Option<&mut dyn Removal> {
        Some(self)
    }
}

impl Removal for Avoiding {
    fn remove_start(&mut self, notice: &Notice) -> Result<(), Veto> {
        self.0.leaving.fetch_or(bit(notice.processor().id.0), Ordering::SeqCst);
        // The turn in progress may have read the bits before.
        let end = self.0.turns.load(Ordering::SeqCst) + 2;
        while self.0.turns.load(Ordering::SeqCst) < end {
            thread::yield_now();
        }
        Ok(())
    }

    fn remove_complete(&mut self, notice: &Notice) {
        self.0.leaving.fetch_and(!bit(notice.processor().id.0), Ordering::SeqCst);
    }

    fn remove_failure(&mut self, notice: &Notice) {
        self.remove_complete(notice);
    }
}
