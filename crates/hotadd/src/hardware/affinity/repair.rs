//! What a partition of masks remembers, and putting right what the kernel or the moment of a change has left wrong.

use std::time::{Duration, Instant};

use rustix::process::Pid;

use super::kernel::{Errno, Kernel};
use super::mask::Mask;
use super::settle::{Plan, Settled, Whose, settle};
use super::tree::{Members, Tree};

/// How long after a change its leftovers may turn up: threads in the making, or a kernel that overwrites masks late.
const GRACE: Duration = Duration::from_secs(1);

/// Why threads can have a mask that is not the partition's although they set none themselves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Why {
    /// Before 6.2, inside a cgroup with the cpuset controller, the kernel overwrites every mask on every hot-plug, and
    /// in any cgroup when the processors of its cpuset change.
    Hotplug,
    /// A processor that had vanished is back, and so is its bit in masks that were set while it was away.
    Returned,
    /// They were being made while the partition's mask changed.
    Late,
}

#[derive(Debug)]
pub(super) struct State {
    pub(super) members: Members,
    /// The partition's own mask.
    pub(super) set: Mask,
    /// What the kernel permitted, less what was offline, when we last looked.
    pub(super) seen: Mask,
    /// A processor went online or offline since we last looked, even if all is as it was.
    pub(super) stirred: bool,
    /// What was put right and not yet reported.
    pub(super) repaired: Vec<String>,
    /// The partition's own mask before processors vanished from it.
    former: Option<Mask>,
    /// Masks that leftovers of the last changes would have, and until when to look for them.
    late: Vec<(Mask, Why, Instant)>,
}

impl State {
    pub(super) fn new(root: Pid, tree: Tree, set: Mask, seen: Mask) -> Self {
        Self {
            members: Members::new(root, tree),
            set,
            seen,
            stirred: false,
            repaired: Vec::new(),
            former: None,
            late: Vec::new(),
        }
    }

    /// The partition's mask is `set` from now on.
    pub(super) fn changed(&mut self, set: Mask) {
        self.set = set;
        // All masks are fresh: none holds a processor that is away.
        self.former = None;
    }

    /// After a change, or one taken back, threads that were being made meanwhile would have this mask.
    pub(super) fn expect_late(&mut self, mask: Mask) {
        self.late.retain(|(m, why, _)| (*m, *why) != (mask, Why::Late));
        self.late.push((mask, Why::Late, Instant::now() + GRACE));
    }

    /// Whether a look is due, given what the kernel permits and has online now.
    pub(super) fn is_due(&self, full: &Mask) -> bool {
        let late = self.late.iter().any(|(_, _, until)| *until <= Instant::now());
        self.stirred || late || !self.repaired.is_empty() || *full != self.seen
    }

    /// Drops processors that are gone from the partition's mask, and sets threads right that are wrong through no doing
    /// of their own. Without a change since the last look it does nothing, so a program that chooses its masks itself
    /// is not fought with.
    pub(super) fn catch_up(&mut self, kernel: &dyn Kernel, full: Mask) -> Result<(), Errno> {
        let change = self.stirred || full != self.seen;
        let now = Instant::now();
        let mut suspects = Vec::new();
        if change {
            suspects.push((full, Why::Hotplug));
            suspects.extend(self.former.map(|former| (former.and(&full), Why::Returned)));
        }
        suspects.extend(self.late.iter().map(|(mask, why, _)| (mask.and(&full), *why)));
        self.late.retain(|(_, _, until)| *until > now);
        if change {
            self.late.push((full, Why::Hotplug, now + GRACE));
        }
        self.seen = full;
        self.stirred = false;
        let vanished = !self.set.is_within(&full);
        if vanished {
            self.former = Some(self.set);
            self.set = self.set.and(&full);
        }
        suspects.retain(|(mask, _)| *mask != self.set);
        // With nothing left there is no mask to give; the kernel has put the threads wherever it could.
        if self.set.is_empty() || (suspects.is_empty() && !vanished) {
            return Ok(());
        }
        let whose = Whose::Wearing(suspects.iter().map(|(mask, _)| *mask).collect());
        let plan = Plan { force: vanished, stubborn: true, ..Plan::new(whose, self.set) };
        let settled =
            settle(kernel, &mut self.members, plan).inspect_err(|_| self.stirred = true)?;
        self.report(&suspects, &settled);
        Ok(())
    }

    fn report(&mut self, suspects: &[(Mask, Why)], settled: &Settled) {
        let to = self.set;
        for ((mask, why), count) in suspects.iter().zip(&settled.set) {
            let (masks, threads) =
                if *count == 1 { ("mask", "thread") } else { ("masks", "threads") };
            let sentence = match why {
                _ if *count == 0 => continue,
                Why::Hotplug => format!(
                    "the kernel had set the {masks} of {count} {threads} to {mask} on a hot-plug or a \
                     change of a cpuset; now {to} again"
                ),
                Why::Returned => format!(
                    "processors that came back were in the {masks} of {count} {threads} at once, {mask}; \
                     narrowed to {to} again"
                ),
                Why::Late => format!(
                    "{count} {threads} born while the partition changed still had {mask}; now {to}"
                ),
            };
            self.repaired.push(sentence);
        }
        if let Some((times, errno)) = settled.refused {
            self.repaired.push(format!(
                "of the masks that should be {to}, {times} could not be set: {errno}"
            ));
        }
    }
}
