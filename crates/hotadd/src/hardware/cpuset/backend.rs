//! [`Cpuset`] as a [`Hardware`]: a start or a stop writes to `cpuset.cpus`, and the effective processors are the result.

use std::collections::BTreeSet;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use hotadd_core::{Errno as Number, HardwareId, MAX_PROCESSORS, PlatformError, Status};
use rustix::process::Pid;

use super::kernel::{Errno, Kernel};
use super::look::{Look, only, with};
use super::state::State;
use super::{Cpuset, raw};
use crate::hardware::holding::{Moment, Population, Swept};
use crate::hardware::uevents::Uevent;
use crate::hardware::watch::{self, Watched};
use crate::hardware::{Hardware, NotAdmitted, Nudge, Survey};
use crate::{CpuList, Topology};

impl Hardware for Cpuset {
    fn name(&self) -> &'static str {
        "cpuset"
    }

    fn active(&self) -> Result<Vec<HardwareId>, PlatformError> {
        let mut state = self.lock();
        let sequence = self.sequence();
        let look = Look::at(&*self.kernel).map_err(failed)?;
        let active = look.effective.ids().to_vec();
        state.restart(look, sequence);
        Ok(active)
    }

    fn maximum(&self) -> u32 {
        u32::try_from(self.possible.len()).unwrap_or(u32::MAX).min(MAX_PROCESSORS)
    }

    fn candidates(&self) -> Result<Vec<HardwareId>, PlatformError> {
        if self.kernel.standing().map_err(failed)?.invalid.is_some() {
            return Ok(Vec::new());
        }
        let effective = self.kernel.effective().map_err(failed)?;
        let allowed = super::allowed(&*self.kernel).map_err(failed)?;
        Ok(allowed.ids().iter().copied().filter(|id| !effective.contains(*id)).collect())
    }

    fn admits(&self, id: HardwareId) -> Result<(), NotAdmitted> {
        let state = self.lock();
        let unreadable = |errno| {
            let (status, errno) = (Status::from_errno(raw(errno)), raw(errno));
            NotAdmitted { status, reason: format!("the cpuset cannot be read: {errno}") }
        };
        let no = |status, reason| Err(NotAdmitted { status, reason });
        if !self.possible.contains(id) {
            let all = &self.possible;
            let reason = format!("there is no such processor; this machine can have {all}");
            return no(Status::NO_SUCH_DEVICE, reason);
        }
        if self.kernel.effective().map_err(unreadable)?.contains(id) {
            // The partition itself has the better error.
            return if state.is_member(id) {
                Ok(())
            } else {
                let reason = "another process has added it to the cpuset".into();
                no(Status::DEVICE_ALREADY_ATTACHED, reason)
            };
        }
        if self.kernel.is_off(id) {
            return no(Status::DEVICE_OFF_LINE, "it is not online".into());
        }
        if let Some(why) = self.kernel.standing().map_err(unreadable)?.complaint() {
            let reason =
                format!("the cpuset is not a valid partition and must be made one first: {why}");
            return no(Status::INVALID_DEVICE_STATE, reason);
        }
        let beside = self.kernel.beside().map_err(unreadable)?;
        if let Some(holder) = beside.iter().find(|holder| holder.cpus.contains(id)) {
            let reason = format!("it is exclusive to the sibling cgroup {}", holder.name);
            return no(Status::ACCESS_DENIED, reason);
        }
        let above = self.kernel.above().map_err(unreadable)?;
        if !above.contains(id) {
            let reason = format!("the parent cgroup does not have it; it has {above}");
            return no(Status::ACCESS_DENIED, reason);
        }
        self.kernel.may_write().or_else(|errno| {
            let errno = raw(errno);
            let reason = format!("this process may not change {}: {errno}", self.shown());
            no(Status::from_errno(errno), reason)
        })
    }

    fn topology(&self, id: HardwareId) -> Topology {
        Topology::of_machine(id)
    }

    fn start(&self, id: HardwareId) -> Result<(), PlatformError> {
        // Since the parties were asked, a sibling cgroup may have taken it. Widening into the sibling's partition
        // would make that invalid.
        self.admits(id)?;
        let mut state = self.lock();
        // The number is read before the write. If a processor goes offline at this moment, one report too many is
        // better than one too few.
        let sequence = self.sequence();
        let before = Look::at(&*self.kernel).map_err(failed)?;
        if before.effective.contains(id) {
            // Another process has brought it in. It must not count as this partition's start (Q3).
            let error =
                PlatformError::new(Status::DEVICE_ALREADY_ATTACHED).with_errno(Number::EEXIST);
            return Err(error.with_reason("another process has added it to the cpuset"));
        }
        let after = self.change(&mut state, &before, &with(before.base(), id), |after| {
            if after.effective.contains(id) {
                return Ok(());
            }
            let has = &after.effective;
            Err((
                Errno::IO,
                format!("the kernel accepted the write, but the effective processors are {has}"),
            ))
        })?;
        state.started(id, sequence, after);
        self.keep(&mut state, true);
        Ok(())
    }

    fn stop(&self, id: HardwareId) -> Result<(), PlatformError> {
        let mut state = self.lock();
        let before = Look::at(&*self.kernel).map_err(failed)?;
        let to = only(before.base(), |one| one != id);
        if !before.effective.ids().iter().any(|one| to.contains(*one)) {
            return Err(failed(Errno::INVAL).with_reason("the cpuset would have no processor left"));
        }
        let after = if to == *before.base() {
            before
        } else {
            self.change(&mut state, &before, &to, |after| {
                if !after.effective.contains(id) {
                    return Ok(());
                }
                Err((Errno::IO, "the kernel accepted the write, but it is still effective".into()))
            })?
        };
        state.stopped(id, after);
        state.arrivals.expect(id);
        self.keep(&mut state, true);
        Ok(())
    }

    fn survey(&self, expected: &[HardwareId]) -> Survey {
        let mut state = self.lock();
        let mut repaired = std::mem::take(&mut state.unsaid);
        let sequence = self.sequence();
        let mut look = match Look::at(&*self.kernel) {
            Ok(look) => look,
            Err(errno) => {
                repaired.extend(state.blinded(errno));
                return Survey { repaired, ..Survey::default() };
            }
        };
        let left = state.take_left();
        if !left.is_empty() {
            // These processors were away. If they are back, they are new.
            state.arrivals.forget(&left);
            state.above = CpuList::default();
        }
        let stayed: BTreeSet<HardwareId> = expected
            .iter()
            .copied()
            .filter(|id| look.effective.contains(*id) && !left.contains(id))
            .collect();
        repaired.extend(state.turned(&look.standing));
        let adrift = look.is_adrift();
        let foreign = look.cpus != *state.written();
        if foreign {
            repaired.push(self.written_by_others(&look, state.written()));
        }
        if adrift && look.effective.ids().iter().any(|id| !stayed.contains(id)) {
            let (has, above) = (&look.cpus, &look.effective);
            repaired.push(format!(
                "none of the cpuset's processors is left ({has}): the kernel runs its threads on {above}"
            ));
        }
        if !adrift {
            let narrowed = self.forget(&mut look, &left, &mut repaired);
            if narrowed && foreign {
                let (shown, to) = (self.shown(), &look.cpus);
                repaired.push(format!("{shown} was narrowed to the effective processors, {to}"));
            }
        }
        let vanished: BTreeSet<HardwareId> =
            expected.iter().copied().filter(|id| !stayed.contains(id)).collect();
        let intruded = look.effective.ids().iter().copied().filter(|id| !stayed.contains(id));
        let intruded = intruded.collect();
        let stirred = look.effective != *state.effective();
        state.looked(look, &stayed, sequence);
        self.keep(&mut state, stirred);
        self.reach(&mut state);
        repaired.extend(state.hold.take_reports());
        let vanished = vanished.into_iter().collect();
        Survey { vanished, intruded, appeared: state.arrivals.take(), repaired }
    }

    fn watch(self: Arc<Self>, nudge: Nudge) {
        watch::start(&self, &self.watched, nudge);
    }
}

impl Watched for Cpuset {
    fn every(&self) -> Duration {
        self.poll
    }

    fn listen(&self) -> Result<OwnedFd, Errno> {
        self.kernel.listen()
    }

    fn receive(&self, socket: &OwnedFd, buffer: &mut [u8]) -> Result<Option<usize>, Errno> {
        self.kernel.receive(socket, buffer)
    }

    fn notices(&self) -> Result<OwnedFd, Errno> {
        self.kernel.notices()
    }

    // Lost events need no handling: the files are read in any case.
    fn look(&self, heard: &[Uevent], _lost: bool) -> bool {
        let mut state = self.lock();
        // An event about a processor that the kernel cannot have is invalid and is not recorded.
        heard
            .iter()
            .filter(|event| self.possible.contains(event.id))
            .for_each(|event| state.heard(*event));
        let look = Look::at(&*self.kernel);
        // If other processors are effective, the partition is told first. The threads are held to them after that.
        if look.as_ref().is_ok_and(|look| look.effective == *state.effective()) {
            self.keep(&mut state, !heard.is_empty());
        }
        self.reach(&mut state);
        state.is_due(look.as_ref().map_err(|errno| *errno))
    }
}

impl Cpuset {
    /// Checks the masks of its threads (H1). `stirred`: a processor or the cpuset has just changed.
    pub(super) fn keep(&self, state: &mut State, stirred: bool) {
        let moment = Moment { full: state.hold.set(), stirred };
        let mut threads = ThreadsOf(&*self.kernel);
        if let Err(errno) = state.hold.enforce(self.kernel.masks(), &mut threads, moment) {
            let errno = raw(errno);
            state.hold.report(format!("the affinity masks could not be checked: {errno}"));
        }
    }

    /// Records the processors that have come within reach, in the cgroup above (H2).
    pub(super) fn reach(&self, state: &mut State) {
        let Ok(above) = self.kernel.above() else { return };
        if above == state.above {
            return;
        }
        let Ok(allowed) = super::allowed(&*self.kernel) else { return };
        let members = state.hold.set();
        state.arrivals.reach(allowed.ids().iter().copied(), |id| members.contains(id));
        state.above = above;
    }

    /// Writes the list and reads the result. If the partition becomes invalid, or the result is not the expected one, the write
    /// is reverted, and the reason is the error.
    fn change(
        &self,
        state: &mut State,
        before: &Look,
        to: &CpuList,
        good: impl FnOnce(&Look) -> Result<(), (Errno, String)>,
    ) -> Result<Look, PlatformError> {
        self.kernel.write_cpus(to).map_err(failed)?;
        let after =
            Look::at(&*self.kernel).map_err(|errno| (errno, "the result cannot be read".into()));
        let checked = after.and_then(|after| {
            let broken = after.standing.complaint().filter(|_| before.standing.invalid.is_none());
            match broken {
                Some(why) => Err((Errno::INVAL, why)),
                None => good(&after).map(|()| after),
            }
        });
        checked.map_err(|(errno, why)| {
            state.unsaid.extend(self.take_back(before));
            failed(errno).with_reason(why)
        })
    }

    /// Writes the former list. If the kernel refuses, returns what is still wrong.
    pub(super) fn take_back(&self, before: &Look) -> Option<String> {
        let back = || -> Result<bool, Errno> {
            let broken = self.kernel.standing()? != before.standing;
            self.kernel.write_cpus(&before.cpus)?;
            if broken && before.standing.invalid.is_none() {
                // Linux 6.1 does not check the partition again by itself, and ignores a write of the kind that it already
                // has. 6.12 does check it, but from then on does not notice when a sibling cgroup takes the same processors,
                // unless the kind is written again.
                self.kernel.write_kind(super::CpusetKind::Member)?;
                self.kernel.write_kind(before.standing.kind)?;
            }
            Ok(Look::at(&*self.kernel)? == *before)
        };
        let was = &before.cpus;
        match back() {
            Ok(true) => None,
            Ok(false) => {
                Some(format!("{} was {was} and could not be restored completely", self.shown()))
            }
            Err(errno) => {
                let errno = raw(errno);
                Some(format!("{} was {was} and cannot be restored: {errno}", self.shown()))
            }
        }
    }

    /// Removes processors from the list that are not effective or have been away: otherwise they would come back some day,
    /// and no party would be asked. Processors that partitions below have taken are theirs, and stay. Returns whether the
    /// list changed.
    fn forget(
        &self,
        look: &mut Look,
        left: &BTreeSet<HardwareId>,
        repaired: &mut Vec<String>,
    ) -> bool {
        let Ok(below) = self.kernel.below() else { return false };
        let below = |id| below.iter().any(|holder| holder.cpus.contains(id));
        let kept = |id| look.effective.contains(id) && !left.contains(&id);
        let to = only(&look.cpus, |id| kept(id) || below(id));
        if to == look.cpus || !to.ids().iter().any(|id| kept(*id)) {
            return false;
        }
        let written = self.kernel.write_cpus(&to).and_then(|()| Look::at(&*self.kernel));
        match written {
            Ok(now) => {
                *look = now;
                true
            }
            Err(errno) => {
                let errno = raw(errno);
                repaired.push(format!("{} cannot be narrowed to {to}: {errno}", self.shown()));
                false
            }
        }
    }

    fn written_by_others(&self, look: &Look, ours: &CpuList) -> String {
        let (shown, now) = (self.shown(), &look.cpus);
        let show = |list: &CpuList| if list.is_empty() { "empty".into() } else { list.to_string() };
        format!("another process wrote to {shown}: it was {}, and is {}", show(ours), show(now))
    }
}

fn failed(errno: Errno) -> PlatformError {
    PlatformError::from(raw(errno))
}

/// The threads of a cgroup, as a source of threads.
pub(super) struct ThreadsOf<'a>(pub(super) &'a dyn Kernel);

impl Population for ThreadsOf<'_> {
    fn sweep(&mut self, visit: &mut dyn FnMut(Pid) -> Result<(), Errno>) -> Result<Swept, Errno> {
        let mut swept = Swept::default();
        for thread in self.0.threads()? {
            match visit(thread) {
                Err(Errno::SRCH) => swept.missed = true,
                visited => visited?,
            }
        }
        Ok(swept)
    }
}
