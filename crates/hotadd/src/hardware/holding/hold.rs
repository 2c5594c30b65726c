//! [`Hold`]: the state of a partition that holds its threads, and the rule by which it judges each thread.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use hotadd_core::HardwareId;
use rustix::io::Errno;
use rustix::process::Pid;

use super::breach::{Why, sentences};
use super::known::Known;
use super::mask::Mask;
use super::pinned::is_pinned;
use super::probe::Patience;
use super::settle::{Effort, Plan, Put, Settled, Verdict, settle};
use super::threads::{Masks, Population};

/// How long the effects of a change may appear after it: threads that were being created, or a kernel that
/// overwrites masks late.
const GRACE: Duration = Duration::from_secs(1);

/// The mask that a thread which follows the partition is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::hardware) enum Means {
    /// The set itself.
    Mask,
    /// All processors: a cpuset limits the mask to the set, now and whenever the set changes.
    Cpuset,
}

/// The kernel's current state.
#[derive(Clone, Copy, Debug)]
pub(in crate::hardware) struct Moment {
    /// The processors that the kernel permits and that are online: the mask that it gives when it overwrites masks.
    pub(in crate::hardware) full: Mask,
    /// A processor or a cpuset has just changed.
    pub(in crate::hardware) stirred: bool,
}

/// Holds threads to a set.
#[derive(Debug)]
pub(in crate::hardware) struct Hold {
    set: Mask,
    means: Means,
    /// Every thread's mask as it was last read or set. A thread that is not in it is new.
    known: Known,
    /// Masks that were put back and that did not contain the whole set. They are granted when the processors in them have joined.
    wishes: HashMap<Pid, Wish>,
    /// The sets before the last changes.
    recent: Vec<Recent>,
    /// The set before processors vanished from it.
    former: Option<Mask>,
    /// A processor came or went. Masks that were set before may contain processors that are not visible while
    /// they are offline.
    scrub: bool,
    /// The time until which the kernel may overwrite masks.
    stirred: Option<Instant>,
    /// With probes of other processes.
    patience: Patience,
    /// The kernel's error when refused masks were last reported.
    refused: Option<Errno>,
    reports: Vec<String>,
    /// The masks with processors outside of the set that were put back, each once.
    requested: Vec<Mask>,
}

/// A mask that a thread was given by a program, and the mask that it has instead.
#[derive(Clone, Copy, Debug)]
struct Wish {
    wanted: Mask,
    has: Mask,
}

/// A set that was replaced. A thread that was being created at that time may have it.
#[derive(Clone, Copy, Debug)]
struct Recent {
    mask: Mask,
    /// The latest creation time of such a thread, in ticks.
    born_by: u64,
    until: Instant,
}

impl Hold {
    pub(in crate::hardware) fn new(set: Mask, means: Means) -> Self {
        Self {
            set,
            means,
            known: Known::new(set),
            wishes: HashMap::new(),
            recent: Vec::new(),
            former: None,
            scrub: false,
            stirred: None,
            patience: Patience::default(),
            refused: None,
            reports: Vec::new(),
            requested: Vec::new(),
        }
    }

    /// The set to which threads are held.
    pub(in crate::hardware) fn set(&self) -> Mask {
        self.set
    }

    /// The repairs that are not reported yet.
    pub(in crate::hardware) fn take_reports(&mut self) -> Vec<String> {
        std::mem::take(&mut self.reports)
    }

    pub(in crate::hardware) fn has_reports(&self) -> bool {
        !self.reports.is_empty()
    }

    /// Adds another report.
    pub(in crate::hardware) fn report(&mut self, sentence: String) {
        if self.reports.last() != Some(&sentence) {
            self.reports.push(sentence);
        }
    }

    /// The processors outside of the set that were put into masks since the last call. `all` is what the kernel permits now: if this
    /// has just changed, a mask of exactly these is the kernel's and requests nothing. If it is not known, nothing is requested.
    pub(in crate::hardware) fn take_requested(
        &mut self,
        all: impl FnOnce() -> Result<Option<Mask>, Errno>,
    ) -> Mask {
        let requested = std::mem::take(&mut self.requested);
        if requested.is_empty() {
            return Mask::none();
        }
        let Ok(all) = all() else { return Mask::none() };
        self.wishes.retain(|_, wish| Some(wish.wanted) != all);
        let wanted = requested.into_iter().filter(|mask| Some(*mask) != all);
        wanted.fold(Mask::none(), |sum, mask| sum.or(&mask.without(&self.set)))
    }

    /// Starts to hold all threads (H1): sets the mask of each, and reads it back. On an error all masks are restored.
    pub(in crate::hardware) fn begin(
        &mut self,
        masks: &dyn Masks,
        population: &mut dyn Population,
    ) -> Result<(), Errno> {
        let mut settled = Settled::new(self.set);
        let mut wishes = HashMap::new();
        let judge = &mut |thread, mask: &Mask| {
            if mask.is_within(&self.set) {
                return Ok(Verdict::Refresh { give: self.give(mask) });
            }
            let to = self.inside(mask);
            if to != self.set {
                wishes.insert(thread, Wish { wanted: *mask, has: to });
            }
            Ok(Verdict::Put { give: self.give(&to), to, why: Why::Ours })
        };
        let plan = Plan { effort: Effort::Strict, leaving: None };
        let result = settle(masks, population, judge, plan, &mut settled);
        if let Err(errno) = result {
            // For a thread that was created meanwhile, its creator's former mask is unknown.
            undo(masks, population, &settled.put, None);
            return Err(errno);
        }
        let was = settled.put.iter().map(|put| put.was).max_by_key(Mask::count);
        self.replaced(masks, was.into_iter());
        (self.known, self.wishes) = (settled.seen, wishes);
        self.say_refused(settled.refused);
        Ok(())
    }

    /// Gives the threads that follow the set the mask `to`. A thread that wished for a processor that has now joined gets what
    /// it wished for. On an error all masks are restored.
    pub(in crate::hardware) fn change(
        &mut self,
        masks: &dyn Masks,
        population: &mut dyn Population,
        to: Mask,
        leaving: Option<HardwareId>,
        moment: Moment,
    ) -> Result<(), Errno> {
        // If all processors had vanished, the kernel has given each thread all that there was.
        let from = if self.set.is_empty() { moment.full } else { self.set };
        let adrift = self.set.is_empty();
        let mut settled = Settled::new(to);
        let judge = &mut |thread: Pid, mask: &Mask| {
            let granted = self.granted(thread, mask, &to);
            let to = match granted {
                Some(granted) => granted,
                None if is_pinned(thread, mask) => return Ok(Verdict::Leave),
                None if *mask == from || adrift => to,
                None => return Ok(Verdict::Leave),
            };
            if to == *mask {
                // The mask from before all processors vanished is hidden in the thread's mask, and would come
                // back with them.
                return Ok(if adrift { Verdict::Refresh { give: to } } else { Verdict::Leave });
            }
            Ok(Verdict::Put { give: to, to, why: Why::Ours })
        };
        let plan = Plan { effort: Effort::Strict, leaving };
        let result = settle(masks, population, judge, plan, &mut settled);
        if let Err(errno) = result {
            undo(
                masks,
                population,
                &settled.put,
                Some(&Meanwhile { to, from, known: &self.known }),
            );
            self.replaced(masks, [to].into_iter());
            return Err(errno);
        }
        self.replaced(masks, [from].into_iter());
        for put in &settled.put {
            if let Some(wish) = self.wishes.get_mut(&put.thread).filter(|wish| wish.has == put.was)
            {
                wish.has = put.now;
            }
        }
        self.known = settled.seen;
        self.set_is(to);
        Ok(())
    }

    /// Records that the set is this one from now on. The masks have been set, by this process or by the cpuset. None of them
    /// contains a processor that is offline.
    pub(in crate::hardware) fn set_is(&mut self, set: Mask) {
        self.take_along(&set);
        (self.set, self.former) = (set, None);
        let known = &self.known;
        self.wishes
            .retain(|thread, wish| known.get(*thread).is_some() && !wish.wanted.is_within(&set));
    }

    /// Records that only these processors are left of the set.
    pub(in crate::hardware) fn left_with(&mut self, full: &Mask) {
        let set = self.set.and(full);
        self.take_along(&set);
        self.former = Some(std::mem::replace(&mut self.set, set));
        for wish in self.wishes.values_mut() {
            let left = wish.has.and(&set);
            wish.has = if left.is_empty() { set } else { left };
        }
    }

    /// Updates the recorded masks of the threads that follow the set to this one.
    fn take_along(&mut self, to: &Mask) {
        let from = self.set;
        self.known.follow(*to);
        let masks = self.wishes.values_mut().map(|wish| &mut wish.has);
        masks.filter(|mask| **mask == from).for_each(|mask| *mask = *to);
    }

    /// Reads the masks of all threads. Puts back each mask that reaches outside of the set (H3), and each that is wrong because
    /// of the kernel or because of a change in progress. Stores reports of both, and the processors that were requested by masks.
    pub(in crate::hardware) fn enforce(
        &mut self,
        masks: &dyn Masks,
        population: &mut dyn Population,
        moment: Moment,
    ) -> Result<(), Errno> {
        let now = Instant::now();
        if moment.stirred {
            self.stirred = Some(now + GRACE);
            self.scrub = true;
        }
        self.stirred = self.stirred.filter(|until| *until > now);
        self.recent.retain(|recent| recent.until > now);
        // If no processor is left, there is no mask to give. The kernel has let the threads run wherever it could.
        if self.set.is_empty() {
            return Ok(());
        }
        let mut settled = Settled::new(self.set);
        let (mut strays, mut patience) = (Vec::new(), std::mem::take(&mut self.patience));
        let judge = &mut |thread, mask: &Mask| {
            let verdict = self.judge(masks, thread, mask, &moment)?;
            if let Verdict::Put { to, why: Why::Somebody, .. } = verdict {
                if patience.was_probe(masks, thread, &self.set)? {
                    // Like a thread that has ended: nothing is known of its mask.
                    return Err(Errno::SRCH);
                }
                strays.push((thread, Wish { wanted: *mask, has: to }));
            }
            Ok(verdict)
        };
        let effort = if moment.stirred { Effort::Stubborn } else { Effort::Look };
        let plan = Plan { effort, leaving: None };
        let result = settle(masks, population, judge, plan, &mut settled);
        self.patience = patience;
        for (thread, wish) in strays {
            if !self.requested.contains(&wish.wanted) {
                self.requested.push(wish.wanted);
            }
            if !self.set.is_within(&wish.wanted) {
                self.wishes.insert(thread, wish);
            }
        }
        self.reports.extend(sentences(&settled.put, masks));
        self.say_refused(settled.refused);
        self.scrub &= result.is_err();
        self.known = settled.seen;
        // A thread that has set another mask since then no longer wants this mask.
        self.wishes.retain(|thread, wish| self.known.get(*thread) == Some(&wish.has));
        result
    }

    /// Reports which masks could not be set, if this has changed.
    fn say_refused(&mut self, refused: Option<(usize, Pid, Errno)>) {
        let now = refused.map(|(.., errno)| errno);
        if let Some((count, thread, errno)) = refused.filter(|_| now != self.refused) {
            let (to, errno) = (self.set, hotadd_core::Errno::from_raw(errno.raw_os_error()));
            let threads = if count == 1 { "thread" } else { "threads" };
            self.reports.push(format!(
                "the masks of {count} {threads} could not be set to {to}, thread {thread}'s among them: {errno}"
            ));
        }
        self.refused = now;
    }

    /// Stops holding: every thread that follows the set gets the mask `to`.
    pub(in crate::hardware) fn release(
        &mut self,
        masks: &dyn Masks,
        population: &mut dyn Population,
        to: Mask,
    ) {
        let from = self.set;
        let judge = &mut |thread, mask: &Mask| {
            Ok(match *mask == from && !is_pinned(thread, mask) {
                true => Verdict::Refresh { give: to },
                false => Verdict::Leave,
            })
        };
        let plan = Plan { effort: Effort::Stubborn, leaving: None };
        // No report can be delivered any more.
        let _ = settle(masks, population, judge, plan, &mut Settled::new(to));
    }

    fn judge(
        &self,
        masks: &dyn Masks,
        thread: Pid,
        mask: &Mask,
        moment: &Moment,
    ) -> Result<Verdict, Errno> {
        if mask.is_within(&self.set) && is_pinned(thread, mask) {
            return Ok(Verdict::Leave);
        }
        let known = self.known.get(thread);
        let put = |to: Mask, why| Verdict::Put { give: self.give(&to), to, why };
        let right = match self.scrub {
            true => Verdict::Refresh { give: self.give(mask) },
            false => Verdict::Leave,
        };
        let shaken = self.stirred.is_some();
        if *mask == self.set {
            // The kernel has just overwritten the thread's own mask.
            let own = known.filter(|own| shaken && **own != self.set && masks.overwrites());
            let own = own.map(|own| self.inside(own)).filter(|own| *own != self.set);
            return Ok(match own {
                Some(own) => put(own, Why::Kernel),
                None if known.is_none() && self.means == Means::Cpuset => {
                    Verdict::Refresh { give: self.give(mask) }
                }
                None => right,
            });
        }
        if known == Some(mask) && mask.is_within(&self.set) {
            return Ok(right);
        }
        let recent = self.recent.iter().find(|recent| recent.mask.and(&moment.full) == *mask);
        if mask.is_within(&self.set) {
            // A thread that was created while the set grew has the former set. Any other thread with that mask has set
            // it itself.
            let late = match (recent, known) {
                (Some(recent), None) => {
                    masks.stat(thread)?.born.is_some_and(|born| born <= recent.born_by)
                }
                _ => false,
            };
            return Ok(if late { put(self.set, Why::Late) } else { right });
        }
        let former = self.former.map(|former| former.and(&moment.full));
        let why = match () {
            // The mask is unchanged, so the set has changed.
            () if known == Some(mask) => Why::Ours,
            // No thread can set a mask outside of its cpuset.
            () if self.means == Means::Cpuset => Why::Stale,
            () if shaken && *mask == moment.full => Why::Kernel,
            () if known.is_none() && recent.is_some() => return Ok(put(self.set, Why::Late)),
            () if former == Some(*mask) => Why::Returned,
            () => Why::Somebody,
        };
        Ok(put(self.inside(known.unwrap_or(mask)), why))
    }

    /// The part of a mask inside of the set; if that is empty, the set.
    fn inside(&self, mask: &Mask) -> Mask {
        let inside = mask.and(&self.set);
        if inside.is_empty() { self.set } else { inside }
    }

    fn give(&self, mask: &Mask) -> Mask {
        let follows = *mask == self.set && self.means == Means::Cpuset;
        if follows { Mask::full() } else { *mask }
    }

    /// The part of its wish that a thread gets, if it still has the mask that it was given instead.
    fn granted(&self, thread: Pid, mask: &Mask, to: &Mask) -> Option<Mask> {
        let wish = self.wishes.get(&thread).filter(|wish| wish.has == *mask)?;
        let granted = wish.wanted.and(to);
        (!granted.is_empty() && !granted.is_within(&self.set)).then_some(granted)
    }

    /// Records masks that threads may have which were being created during a change, or during its reversal.
    fn replaced(&mut self, masks: &dyn Masks, sets: impl Iterator<Item = Mask>) {
        // The clock of creation times is coarse, so one tick is added.
        let (born_by, until) = (masks.ticks() + 1, Instant::now() + GRACE);
        for mask in sets {
            self.recent.retain(|recent| recent.mask != mask);
            self.recent.push(Recent { mask, born_by, until });
        }
    }
}

/// A change that is reverted. A thread that was created meanwhile has `to` and should have `from`. A thread that was known before
/// and has `to` set that mask itself.
struct Meanwhile<'a> {
    to: Mask,
    from: Mask,
    known: &'a Known,
}

/// Restores the former masks of the threads that were set.
fn undo(
    masks: &dyn Masks,
    population: &mut dyn Population,
    put: &[Put],
    meanwhile: Option<&Meanwhile<'_>>,
) {
    let put: HashMap<Pid, &Put> = put.iter().map(|put| (put.thread, put)).collect();
    let judge = &mut |thread: Pid, mask: &Mask| {
        let to = match (put.get(&thread), meanwhile) {
            (Some(put), _) if put.now == *mask => put.was,
            (None, Some(new)) if new.to == *mask && new.known.get(thread).is_none() => new.from,
            _ => return Ok(Verdict::Leave),
        };
        Ok(Verdict::Put { give: to, to, why: Why::Ours })
    };
    let plan = Plan { effort: Effort::Stubborn, leaving: None };
    // The first error is the one to report, whether or not this succeeds.
    let _ = settle(masks, population, judge, plan, &mut Settled::new(Mask::none()));
}
