//! [`State`]: the state of a partition of masks: its hold on the threads, and the processors within reach.

use std::time::Instant;

use hotadd_core::HardwareId;

use super::kernel::{Errno, Kernel};
use crate::hardware::holding::{Arrivals, Hold, Mask, Members, Moment, TreeOf};

#[derive(Debug)]
pub(super) struct State {
    pub(super) hold: Hold,
    pub(super) members: Members,
    pub(super) arrivals: Arrivals,
    /// The processors to which this process was confined (by `taskset`, for example), and those that were put into its masks
    /// since; `None` if it was not confined.
    pub(super) ceiling: Option<Mask>,
    /// The processors that the kernel permitted at the last check.
    pub(super) seen: Mask,
    /// Processors have vanished from the set, and the partition does not know yet.
    pub(super) lost: bool,
}

impl State {
    /// The part of this that the partition may have.
    pub(super) fn allowed(&self, full: &Mask) -> Mask {
        self.ceiling.map_or(*full, |ceiling| full.and(&ceiling))
    }

    /// Checks everything, given what the kernel permits now.
    pub(super) fn look(&mut self, kernel: &dyn Kernel, full: Mask, hotplug: bool) {
        if let Err(errno) = self.catch_up(kernel, full, hotplug) {
            let errno = super::raw(errno);
            self.hold.report(format!("the affinity masks could not be checked: {errno}"));
        }
    }

    /// Removes vanished processors from the set, repairs masks, and records what has appeared.
    pub(super) fn catch_up(
        &mut self,
        kernel: &dyn Kernel,
        full: Mask,
        hotplug: bool,
    ) -> Result<(), Errno> {
        let moment = Moment { full, stirred: hotplug || full != self.seen };
        self.seen = full;
        if !self.hold.set().is_within(&full) {
            self.hold.left_with(&full);
            self.lost = true;
        }
        let mut tree = TreeOf { members: &mut self.members, kernel };
        let enforced = self.hold.enforce(kernel, &mut tree, moment);
        // A processor may go offline while the masks are read. A thread that could run only there gets all others from the kernel,
        // and has not requested them (H3).
        let changed = || kernel.permitted().map(|now| (now != full).then_some(now));
        let requested = self.hold.take_requested(changed);
        if let Some(ceiling) = &mut self.ceiling {
            *ceiling = ceiling.or(&requested);
        }
        let set = self.hold.set();
        let allowed = self.allowed(&full);
        self.arrivals.reach(allowed.ids(), |id| set.contains(id));
        self.arrivals.request(requested.ids(), Instant::now());
        enforced
    }

    /// Gives the threads that follow the set the mask `to`.
    pub(super) fn change(
        &mut self,
        kernel: &dyn Kernel,
        to: Mask,
        leaving: Option<HardwareId>,
    ) -> Result<(), Errno> {
        let moment = Moment { full: self.seen, stirred: false };
        let mut tree = TreeOf { members: &mut self.members, kernel };
        self.hold.change(kernel, &mut tree, to, leaving, moment)
    }

    /// Whether there is something to report to the partition.
    pub(super) fn is_due(&self) -> bool {
        self.lost || self.hold.has_reports() || self.arrivals.has_news()
    }

    /// Stops holding the threads.
    pub(super) fn release(&mut self, kernel: &dyn Kernel) {
        let to = self.ceiling.unwrap_or_else(Mask::full);
        let mut tree = TreeOf { members: &mut self.members, kernel };
        self.hold.release(kernel, &mut tree, to);
    }
}
