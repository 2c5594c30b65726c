//! Gives every thread of a tree a new mask while processes and threads come and go.
//!
//! # Why this ends with every thread right
//! A pass visits every thread of every process and sets those that have an old mask. Passes are repeated until one has
//! found nothing to set and has missed no thread. Suppose that a thread still had an old mask after that pass. It has
//! the mask from the thread that created it, at a time when its creator had an old mask too. The creator was visited in
//! the last pass and found right, and only earlier passes set masks: so the creator was right before the last pass
//! began, and the thread in question was created before that. A thread that exists during a whole pass is visited by
//! it. So there is no such thread.
//!
//! The kernel deviates from this argument in three ways:
//! - Its list of a process's threads can skip a thread when another ends just under the cursor. So two passes in a row
//!   must find nothing.
//! - A creator can end before it is visited, and then its mask is unknown. So a thread that has ended and is not reaped
//!   yet counts as a live thread, and a pass that missed a thread does not count. If that continues (there are programs
//!   that create hundreds of processes a second), many passes in a row that find nothing are enough.
//! - A thread that is being created copies its creator's mask some time before it can be found: with `fork`, as long as
//!   copying the page tables takes.
//!
//! A thread that is missed nevertheless is found by the checks that follow a change, see the `hold` module.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use hotadd_core::HardwareId;
use rustix::io::Errno;
use rustix::process::Pid;

use super::breach::Why;
use super::known::Known;
use super::mask::Mask;
use super::probe::without_probes;
use super::threads::{Masks, Population};

/// The maximum number of passes. More are needed only for a tree that grows as fast as it is read.
const PASSES: u32 = 1_000;

/// The number of passes in a row that must find nothing to set and miss no thread.
const SURE: u32 = 2;

/// The number of passes in a row that must find nothing to set, if threads keep ending before they are visited.
const PATIENT: u32 = 30;

/// The same number, if passes are so slow that the time has passed: a processor that is shared with many programs must not delay
/// the add. A thread that is missed then is found by the checks that follow.
const HURRIED: u32 = 4;
const TIME: Duration = Duration::from_millis(500);

/// The number of tries for a thread whose mask does not change. One is not enough, as the thread may have set
/// the old mask itself just then.
const TRIES: u32 = 3;

/// What to do with a thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Its mask is right, or the thread has chosen a smaller one for itself (H3).
    Leave,
    /// Its mask is right, and is set all the same, once: it may contain processors that are offline, which cannot be read.
    Refresh { give: Mask },
    /// The thread must get the mask `to`, which is the result of setting `give`.
    Put { give: Mask, to: Mask, why: Why },
}

/// Returns what to do with a thread with this mask.
pub(super) type Judge<'a> = &'a mut dyn FnMut(Pid, &Mask) -> Result<Verdict, Errno>;

/// How thorough a change is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Effort {
    /// One pass if that finds nothing to do, because another check follows.
    Look,
    /// Until it is certain. If the kernel refuses one thread, the others are still set.
    Stubborn,
    /// Until it is certain. The first refusal ends it.
    Strict,
}

/// The parameters of a change.
#[derive(Clone, Copy, Debug)]
pub(super) struct Plan {
    pub(super) effort: Effort,
    /// A processor on which no thread may remain, not even by a mask of its own.
    pub(super) leaving: Option<HardwareId>,
}

/// The result of a change.
#[derive(Debug)]
pub(super) struct Settled {
    pub(super) passes: u32,
    /// The threads that were given another mask, each once.
    pub(super) put: Vec<Put>,
    /// The number of threads that the kernel refused to set, one of them, and its error. With `Strict`, only threads whose
    /// masks are right.
    pub(super) refused: Option<(usize, Pid, Errno)>,
    /// The masks as the last pass left them.
    pub(super) seen: Known,
}

impl Settled {
    /// The empty result. Most threads will end with `set`.
    pub(super) fn new(set: Mask) -> Self {
        Self { passes: 0, put: Vec::new(), refused: None, seen: Known::new(set) }
    }
}

/// A thread that was given another mask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Put {
    pub(super) thread: Pid,
    pub(super) was: Mask,
    pub(super) now: Mask,
    pub(super) why: Why,
}

/// Gives threads other masks until all are right. After an error the change is incomplete, and `settled` shows its progress.
pub(super) fn settle(
    masks: &dyn Masks,
    population: &mut dyn Population,
    judge: Judge<'_>,
    plan: Plan,
    settled: &mut Settled,
) -> Result<(), Errno> {
    let look = plan.effort == Effort::Look;
    let (refreshed, counted) = (HashSet::new(), HashSet::new());
    let mut work = Work {
        masks,
        judge,
        plan,
        settled,
        refreshed,
        counted,
        busy: false,
        missed: false,
        held: false,
    };
    let began = Instant::now();
    let (mut quiet, mut sure) = (0, 0);
    while work.settled.passes < PASSES {
        work.pass(population)?;
        if look && work.settled.passes == 1 && !work.busy {
            return Ok(());
        }
        quiet = if work.busy { 0 } else { quiet + 1 };
        sure = if work.busy || work.missed { 0 } else { sure + 1 };
        let patient = if began.elapsed() > TIME { HURRIED } else { PATIENT };
        if sure == SURE || quiet >= patient {
            return if work.held { Err(Errno::BUSY) } else { Ok(()) };
        }
    }
    Err(Errno::AGAIN)
}

struct Work<'a> {
    masks: &'a dyn Masks,
    judge: Judge<'a>,
    plan: Plan,
    settled: &'a mut Settled,
    refreshed: HashSet<Pid>,
    /// The threads that were set and counted. The kernel can overwrite their masks again between two passes.
    counted: HashSet<Pid>,
    /// This pass found a mask to set.
    busy: bool,
    /// In this pass a thread ended before it was visited, or the table was torn.
    missed: bool,
    /// In this pass a thread was found that stays on the leaving processor.
    held: bool,
}

impl Work<'_> {
    fn pass(&mut self, population: &mut dyn Population) -> Result<(), Errno> {
        (self.busy, self.missed, self.held) = (false, false, false);
        self.settled.refused = None;
        self.settled.seen.clear();
        let _turn = without_probes();
        let stubborn = self.plan.effort != Effort::Strict;
        let swept = population.sweep(&mut |thread| match self.visit(thread) {
            Err(errno) if stubborn && errno != Errno::SRCH => {
                self.refused(thread, errno);
                Ok(())
            }
            visited => visited,
        })?;
        self.settled.seen.sort();
        // A torn table hides threads in the same way as the end of a process.
        self.missed |= swept.missed || swept.torn;
        self.settled.passes += 1;
        Ok(())
    }

    fn visit(&mut self, thread: Pid) -> Result<(), Errno> {
        let before = self.masks.mask(thread)?;
        match (self.judge)(thread, &before)? {
            Verdict::Leave => {
                self.check_held(thread, &before)?;
                self.saw(thread, before);
            }
            Verdict::Refresh { give } => {
                if !self.refreshed.contains(&thread) {
                    self.refresh(thread, &give)?;
                }
                self.saw(thread, before);
            }
            Verdict::Put { give, to, why } => {
                let now = self.put(thread, &before, &give)?;
                if now == before {
                    self.check_held(thread, &now)?;
                }
                if now == to && self.counted.insert(thread) {
                    self.settled.put.push(Put { thread, was: before, now, why });
                }
                self.saw(thread, now);
            }
        }
        Ok(())
    }

    fn check_held(&mut self, thread: Pid, mask: &Mask) -> Result<(), Errno> {
        if self.plan.leaving.is_some_and(|id| mask.contains(id)) {
            self.held |= !self.masks.stat(thread)?.ended;
        }
        Ok(())
    }

    /// The visible part of the thread's mask is right. So a refusal is reported, and does not end the change.
    fn refresh(&mut self, thread: Pid, give: &Mask) -> Result<(), Errno> {
        if let Err(errno) = self.masks.set_mask(thread, give) {
            return match self.excuse(thread, errno) {
                Err(errno) if errno != Errno::SRCH => {
                    self.refused(thread, errno);
                    Ok(())
                }
                excused => excused,
            };
        }
        self.refreshed.insert(thread);
        Ok(())
    }

    fn refused(&mut self, thread: Pid, errno: Errno) {
        let before = self.settled.refused.map_or(0, |(times, ..)| times);
        self.settled.refused = Some((before + 1, thread, errno));
    }

    fn saw(&mut self, thread: Pid, mask: Mask) {
        self.settled.seen.saw(thread, mask);
    }

    /// Sets a thread's mask, and returns the mask that it then has.
    fn put(&mut self, thread: Pid, before: &Mask, give: &Mask) -> Result<Mask, Errno> {
        for _ in 0..TRIES {
            match self.masks.set_mask(thread, give) {
                // A thread with an old mask may have created others, even if it has ended since.
                Ok(()) | Err(Errno::SRCH) => self.busy = true,
                Err(errno) => return self.excuse(thread, errno).map(|()| *before),
            }
            // The kernel limits a mask to the thread's own cpuset. The old mask was permitted, and the new one differs
            // from it, so a limited mask reads as unchanged. Any other result means that the thread has just set a
            // mask itself.
            let now = self.masks.mask(thread)?;
            if now != *before {
                self.refreshed.insert(thread);
                return Ok(now);
            }
        }
        Err(Errno::ACCESS)
    }

    /// Handles the kernel's refusal to set a thread's mask. It is an error, unless the thread need not be set.
    fn excuse(&mut self, thread: Pid, errno: Errno) -> Result<(), Errno> {
        let stat = self.masks.stat(thread)?;
        match errno {
            _ if stat.ended => Err(Errno::SRCH),
            // The thread is a worker that the kernel created for the program, such as io_uring's before 6.3.
            Errno::INVAL if stat.immovable => Ok(()),
            _ => Err(errno),
        }
    }
}
