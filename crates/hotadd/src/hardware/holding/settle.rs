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
//! Whoever slips through is found by the looks that follow a change, see the `hold` module.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use hotadd_core::HardwareId;
use rustix::io::Errno;
use rustix::process::Pid;

use super::breach::Why;
use super::known::Known;
use super::mask::Mask;
use super::threads::{Masks, Population};

/// Passes before we give up: more than this needs a tree that grows as fast as we read it.
const PASSES: u32 = 1_000;

/// Passes in a row that must find nothing to set and miss nobody.
const SURE: u32 = 2;

/// Passes in a row that must find nothing to set, if all the time somebody ends before he is visited.
const PATIENT: u32 = 30;

/// The same, where a pass takes so long that the time is up: a processor that has to be shared with many is not to hold up the add.
/// Whoever slips through then is found by the looks that follow.
const HURRIED: u32 = 4;
const TIME: Duration = Duration::from_millis(500);

/// Tries for a thread whose mask does not take. More than one, as it may have set the old mask itself just then.
const TRIES: u32 = 3;

/// What is to become of a thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Its mask is right, or its own.
    Leave,
    /// Its mask is right, and is set all the same, once: it may hold processors that are offline, which nobody sees.
    Refresh { give: Mask },
    /// It is to have the mask `to`, which comes of setting `give`.
    Put { give: Mask, to: Mask, why: Why },
}

/// Says what is to become of a thread with this mask.
pub(super) type Judge<'a> = &'a mut dyn FnMut(Pid, &Mask) -> Result<Verdict, Errno>;

/// How thorough to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Effort {
    /// One pass if that finds nothing to do: there will be another look.
    Look,
    /// Until it is certain, and going on with the others when the kernel refuses one.
    Stubborn,
    /// Until it is certain. The first refusal is the end.
    Strict,
}

/// How to go about it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Plan {
    pub(super) effort: Effort,
    /// A processor that nobody may be left on, by a mask of his own either.
    pub(super) leaving: Option<HardwareId>,
}

/// What became of it.
#[derive(Debug)]
pub(super) struct Settled {
    pub(super) passes: u32,
    /// Threads that were given another mask, each once.
    pub(super) put: Vec<Put>,
    /// How many threads the kernel refused to set, one of them, and its reason. If strict, only of those whose masks are right.
    pub(super) refused: Option<(usize, Pid, Errno)>,
    /// The masks as the last pass left them.
    pub(super) seen: Known,
}

impl Settled {
    /// Nothing yet. Most threads are to end with `set`.
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

/// Gives threads other masks until all are right. An error leaves it half done, and `settled` says how far it got.
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
    /// Threads that were set and counted; the kernel can overwrite one again between two passes.
    counted: HashSet<Pid>,
    /// This pass found something to set.
    busy: bool,
    /// In this pass somebody ended before he was visited, or the table was torn.
    missed: bool,
    /// In this pass a thread was seen that keeps to the leaving processor.
    held: bool,
}

impl Work<'_> {
    fn pass(&mut self, population: &mut dyn Population) -> Result<(), Errno> {
        (self.busy, self.missed, self.held) = (false, false, false);
        self.settled.refused = None;
        self.settled.seen.clear();
        let stubborn = self.plan.effort != Effort::Strict;
        let swept = population.sweep(&mut |thread| match self.visit(thread) {
            Err(errno) if stubborn && errno != Errno::SRCH => {
                self.refused(thread, errno);
                Ok(())
            }
            visited => visited,
        })?;
        self.settled.seen.sort();
        // A torn table hides some as those are hidden who have ended.
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

    /// What can be seen of the thread's mask is right: a refusal is to be said, and no reason to give up.
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

    /// Sets a thread's mask, and says what it then is.
    fn put(&mut self, thread: Pid, before: &Mask, give: &Mask) -> Result<Mask, Errno> {
        for _ in 0..TRIES {
            match self.masks.set_mask(thread, give) {
                // A thread with an old mask may have made others, even if it has ended since.
                Ok(()) | Err(Errno::SRCH) => self.busy = true,
                Err(errno) => return self.excuse(thread, errno).map(|()| *before),
            }
            // The kernel cuts a mask to what a cpuset of the thread's own permits. The old mask was permitted, and the
            // new one differs from it: so a cut shows as no change. Any other reading means that the thread has just
            // set a mask itself.
            let now = self.masks.mask(thread)?;
            if now != *before {
                self.refreshed.insert(thread);
                return Ok(now);
            }
        }
        Err(Errno::ACCESS)
    }

    /// The kernel refused to set a thread's mask: an error, unless that thread is none to be set.
    fn excuse(&mut self, thread: Pid, errno: Errno) -> Result<(), Errno> {
        let stat = self.masks.stat(thread)?;
        match errno {
            _ if stat.ended => Err(Errno::SRCH),
            // A worker that the kernel made for the program, such as io_uring's before 6.3.
            Errno::INVAL if stat.immovable => Ok(()),
            _ => Err(errno),
        }
    }
}
