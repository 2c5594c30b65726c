//! Giving every thread of a tree a new mask while processes and threads come and go.
//!
//! # Why this ends with every thread right
//! A pass visits every thread of every process and sets those that have an old mask. Passes go on until one has found
//! nothing to set and has missed nobody. Suppose that a thread still had an old mask after that pass. It has it from
//! the thread that made it, at a time when that one had an old mask too. The maker was visited in the last pass and
//! found right, and only earlier passes set masks: so it was right before the last pass began, and the thread in
//! question was made before that. A thread that lives all through a pass is visited by it. So there is none.
//!
//! The kernel is less tidy than the argument:
//! - Its list of a process's threads can skip one when another ends just under the cursor. So two passes in a row must
//!   find nothing.
//! - A maker can end before it is visited, and then nobody knows which mask it had. So one that has ended and is not
//!   reaped yet counts like the living, and a pass in which anybody got away does not count. If that goes on (there are
//!   programs that make hundreds of processes a second), many passes in a row that find nothing must do.
//! - A thread being made copies its maker's mask some time before it can be found: with `fork`, as long as copying the
//!   page tables takes.
//!
//! Whoever slips through is found by the looks that follow a change, see the `repair` module.

use std::collections::HashSet;

use hotadd_core::HardwareId;
use rustix::process::Pid;

use super::kernel::{Errno, Kernel};
use super::mask::Mask;
use super::tree::Members;

/// Passes before we give up: more than this needs a tree that grows as fast as we read it.
const PASSES: u32 = 1_000;

/// Passes in a row that must find nothing to set and miss nobody.
const SURE: u32 = 2;

/// Passes in a row that must find nothing to set, if all the time somebody ends before he is visited.
const PATIENT: u32 = 30;

/// Tries for a thread whose mask does not take. More than one, as it may have set the old mask itself just then.
const TRIES: u32 = 3;

/// Which threads are to be set. All others have set a mask of their own and are left alone.
#[derive(Clone, Debug)]
pub(super) enum Whose {
    /// Those with one of these masks.
    Wearing(Vec<Mask>),
    /// Those that can run anywhere outside the new mask.
    Outside,
}

/// A change of masks.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) whose: Whose,
    pub(super) to: Mask,
    /// A processor that nobody may be left on, by a mask of his own either.
    pub(super) leaving: Option<HardwareId>,
    /// Set those once more that seem right: their masks may hold processors that are offline, which nobody sees.
    pub(super) force: bool,
    /// Go on with the others when the kernel refuses one.
    pub(super) stubborn: bool,
}

impl Plan {
    pub(super) fn new(whose: Whose, to: Mask) -> Self {
        Self { whose, to, leaving: None, force: false, stubborn: false }
    }
}

/// What became of a change of masks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Settled {
    /// How many passes it took.
    pub(super) passes: u32,
    /// How many threads were set, for each mask of [`Whose::Wearing`]; one number for [`Whose::Outside`].
    pub(super) set: Vec<usize>,
    /// How many threads the kernel refused to set, and its last reason; only when stubborn.
    pub(super) refused: Option<(usize, Errno)>,
}

/// Carries out a plan, or else takes back what was done of it, to `back`.
pub(super) fn change(
    kernel: &dyn Kernel,
    members: &mut Members,
    plan: Plan,
    back: Mask,
) -> Result<Settled, Errno> {
    let to = plan.to;
    settle(kernel, members, plan).inspect_err(|_| {
        let undo = Plan { stubborn: true, ..Plan::new(Whose::Wearing(vec![to]), back) };
        // The first error is the one to report, whatever comes of this.
        let _ = settle(kernel, members, undo);
    })
}

/// Carries out a plan; an error leaves it half done.
pub(super) fn settle(
    kernel: &dyn Kernel,
    members: &mut Members,
    plan: Plan,
) -> Result<Settled, Errno> {
    let kinds = if let Whose::Wearing(masks) = &plan.whose { masks.len() } else { 1 };
    let settled = Settled { set: vec![0; kinds], ..Settled::default() };
    let counted = HashSet::new();
    let mut work = Work { kernel, plan, settled, counted, busy: false, missed: false, held: false };
    let (mut quiet, mut sure, mut quick) = (0, 0, false);
    while work.settled.passes < PASSES {
        // While there is something to do, be quick about it, to overtake whoever makes more of it. And when somebody
        // got away, every other pass is quick, to see more of what is so short-lived.
        quick = work.busy || (work.missed && !quick);
        work.pass(members, quick)?;
        quiet = if work.busy { 0 } else { quiet + 1 };
        sure = if work.busy || work.missed || quick { 0 } else { sure + 1 };
        if sure == SURE || (quiet >= PATIENT && !quick) {
            return if work.held { Err(Errno::BUSY) } else { Ok(work.settled) };
        }
    }
    Err(Errno::AGAIN)
}

struct Work<'a> {
    kernel: &'a dyn Kernel,
    plan: Plan,
    settled: Settled,
    /// Threads that were set and counted; the kernel can overwrite one again between two passes.
    counted: HashSet<Pid>,
    /// This pass found something to set, or read a torn table.
    busy: bool,
    /// In this pass somebody ended before he was visited.
    missed: bool,
    /// In this pass a thread was seen that keeps to the leaving processor.
    held: bool,
}

impl Work<'_> {
    fn pass(&mut self, members: &mut Members, quick: bool) -> Result<(), Errno> {
        self.held = false;
        self.settled.refused = None;
        let look = members.look(self.kernel, quick)?;
        (self.busy, self.missed) = (look.torn, look.missed);
        for process in look.processes {
            let threads = match self.kernel.threads(process) {
                Err(Errno::SRCH) => {
                    self.missed = true;
                    continue;
                }
                threads => threads?,
            };
            for thread in threads {
                match self.visit(thread) {
                    Ok(()) => {}
                    Err(Errno::SRCH) => self.missed = true,
                    Err(errno) if self.plan.stubborn => {
                        let before = self.settled.refused.map_or(0, |(times, _)| times);
                        self.settled.refused = Some((before + 1, errno));
                    }
                    Err(errno) => return Err(errno),
                }
            }
        }
        self.settled.passes += 1;
        Ok(())
    }

    fn visit(&mut self, thread: Pid) -> Result<(), Errno> {
        let before = self.kernel.mask(thread)?;
        if before == self.plan.to {
            if self.plan.force && self.settled.passes == 0 {
                self.kernel.set_mask(thread, &self.plan.to)?;
            }
            return Ok(());
        }
        let Some(kind) = self.kind(&before) else { return self.check_held(thread, &before) };
        for _ in 0..TRIES {
            match self.kernel.set_mask(thread, &self.plan.to) {
                // Whoever had an old mask may have handed it on, even if he has ended since.
                Ok(()) | Err(Errno::SRCH) => self.busy = true,
                Err(errno) => return self.excuse(thread, &before, errno),
            }
            // The kernel cuts a mask to what a cpuset of the thread's own permits. The old mask was permitted, and the
            // new one differs by one processor: so a cut shows as no change. Any other reading means that the thread
            // has just set a mask itself.
            let now = self.kernel.mask(thread)?;
            if now != before {
                let first = now == self.plan.to && self.counted.insert(thread);
                self.settled.set[kind] += usize::from(first);
                return Ok(());
            }
        }
        Err(Errno::ACCESS)
    }

    /// Which of the plan's masks this is; `None` for one that the thread has set itself.
    fn kind(&self, mask: &Mask) -> Option<usize> {
        match &self.plan.whose {
            Whose::Wearing(masks) => masks.iter().position(|m| m == mask),
            Whose::Outside => (!mask.is_within(&self.plan.to)).then_some(0),
        }
    }

    /// The kernel refused to set a thread's mask: an error, unless that thread is none to be set.
    fn excuse(&mut self, thread: Pid, mask: &Mask, errno: Errno) -> Result<(), Errno> {
        let stat = self.kernel.stat(thread)?;
        match errno {
            _ if stat.ended => Err(Errno::SRCH),
            // A worker that the kernel made for the program, such as io_uring's before 6.3.
            Errno::INVAL if stat.immovable => self.check_held(thread, mask),
            _ => Err(errno),
        }
    }

    fn check_held(&mut self, thread: Pid, mask: &Mask) -> Result<(), Errno> {
        if self.plan.leaving.is_some_and(|id| mask.contains(id)) {
            self.held |= !self.kernel.stat(thread)?.ended;
        }
        Ok(())
    }
}
