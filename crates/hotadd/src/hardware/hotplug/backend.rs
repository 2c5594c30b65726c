//! [`Hotplug`] as a [`Hardware`]: a start or a stop writes to `online`, and the list of online processors is the result.

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use hotadd_core::{Errno as Number, HardwareId, MAX_PROCESSORS, PlatformError, Status};

use super::kernel::{Errno, List};
use super::monitor::Switches;
use super::options::Intruders;
use super::plugged::Plugged;
use super::state::State;
use super::{Hotplug, raw};
use crate::Topology;
use crate::hardware::uevents::Uevent;
use crate::hardware::watch::{self, Watched};
use crate::hardware::{Hardware, Monitor, NotAdmitted, Nudge, Survey};

impl Hardware for Hotplug {
    fn name(&self) -> &'static str {
        "hotplug"
    }

    fn active(&self) -> Result<Vec<HardwareId>, PlatformError> {
        let mut state = self.lock();
        let sequence = self.sequence();
        let online = self.kernel.list(List::Online).map_err(failed)?;
        let present = self.kernel.list(List::Present).map_err(failed)?;
        state.begin(&online, Plugged::begin(&present, self.sequence()), sequence);
        Ok(online.ids().to_vec())
    }

    fn maximum(&self) -> u32 {
        u32::try_from(self.possible.len()).unwrap_or(u32::MAX).min(MAX_PROCESSORS)
    }

    fn candidates(&self) -> Result<Vec<HardwareId>, PlatformError> {
        let present = self.kernel.list(List::Present).map_err(failed)?;
        let online = self.kernel.list(List::Online).map_err(failed)?;
        let off = present.ids().iter().copied().filter(|id| !online.contains(*id));
        Ok(off.filter(|id| self.kernel.may_switch(*id) != Err(Errno::NOENT)).collect())
    }

    fn admits(&self, id: HardwareId) -> Result<(), NotAdmitted> {
        let no = |status, reason| Err(NotAdmitted { status, reason });
        let unreadable = |list: List, errno| {
            let reason = format!("the list of {} processors cannot be read: {errno}", list.name());
            NotAdmitted { status: Status::from_errno(errno), reason }
        };
        let list = |list| self.kernel.list(list).map_err(|errno| unreadable(list, raw(errno)));
        if !self.possible.contains(id) {
            let all = &self.possible;
            let reason = format!("there is no such processor; this machine can have {all}");
            return no(Status::NO_SUCH_DEVICE, reason);
        }
        if list(List::Online)?.contains(id) {
            return if self.lock().is_member(id) {
                // The partition itself has the better error.
                Ok(())
            } else {
                let reason = "another process has brought it online".into();
                no(Status::DEVICE_ALREADY_ATTACHED, reason)
            };
        }
        // Opened and not only checked: the start then writes to it. If the processor is replaced meanwhile, the monitor notices.
        match self.kernel.open(id) {
            Ok(switch) => {
                self.opened.keep(id, switch);
                Ok(())
            }
            // Without a switch: which of the two reasons it has is read only now.
            Err(Errno::NOENT) => {
                let present = list(List::Present)?;
                if present.contains(id) {
                    let reason = "the kernel has no online file for it".into();
                    return no(Status::NOT_SUPPORTED, reason);
                }
                let reason = format!("it is not plugged in; the present processors are {present}");
                no(Status::DEVICE_DOES_NOT_EXIST, reason)
            }
            Err(errno) => {
                let errno = raw(errno);
                let reason =
                    format!("this process may not bring it online, which needs root: {errno}");
                no(Status::from_errno(errno), reason)
            }
        }
    }

    fn monitor(&self, ids: &[HardwareId]) -> Option<Box<dyn Monitor>> {
        Some(Box::new(Switches::new(&self.kernel, &self.opened, ids)))
    }

    fn topology(&self, id: HardwareId) -> Topology {
        Topology::of_machine(id)
    }

    fn start(&self, id: HardwareId) -> Result<(), PlatformError> {
        let mut state = self.leave_alone(self.lock(), id);
        // The number is read before the write. If the processor goes offline at this moment, one report too many is
        // better than one too few.
        let sequence = self.sequence();
        if self.is_online(id).map_err(failed)? {
            // Another process has brought it online. It must not count as this partition's start (Q3).
            let error =
                PlatformError::new(Status::DEVICE_ALREADY_ATTACHED).with_errno(Number::EEXIST);
            return Err(error.with_reason("another process has brought it online"));
        }
        // In a batch it is the last one that is open.
        let switched = match self.opened.take(id) {
            Some(switch) => self.kernel.switch_opened(id, &switch, true),
            None => self.kernel.switch(id, true),
        };
        switched.map_err(failed)?;
        if !self.is_online(id).map_err(failed)? {
            return Err(Number::EIO.into());
        }
        state.started(id, sequence);
        Ok(())
    }

    fn stop(&self, id: HardwareId) -> Result<(), PlatformError> {
        let mut state = self.lock();
        if self.is_online(id).map_err(failed)? {
            self.kernel.switch(id, false).map_err(failed)?;
            if self.is_online(id).map_err(failed)? {
                return Err(Number::EIO.into());
            }
        }
        state.stopped(id);
        Ok(())
    }

    fn survey(&self, expected: &[HardwareId]) -> Survey {
        let mut state = self.lock();
        // The number is needed, and then must be read before the list, only if a processor has become a member without a start
        // of this partition. This is rare, so the list is read alone first.
        let list = || self.kernel.list(List::Online);
        let looked = list().and_then(|online| match state.has_started_all(expected, &online) {
            true => Ok((online, u64::MAX)),
            false => {
                let sequence = self.sequence();
                list().map(|online| (online, sequence))
            }
        });
        let (online, sequence) = match looked {
            Ok(looked) => looked,
            Err(errno) => {
                let repaired = state.blinded(errno).into_iter().collect();
                return Survey { repaired, ..Survey::default() };
            }
        };
        let found = state.look(expected, &online, sequence);
        let mut survey = Survey { vanished: found.vanished, ..Survey::default() };
        let mut off_again = Vec::new();
        for id in found.intruded {
            if state.intruders == Intruders::Revoke && found.remain && !state.stays(id) {
                match self.revoke(&mut state, id) {
                    Ok(()) => {
                        let says = "by another process; it was taken offline again";
                        survey.repaired.push(format!("processor {id} was brought online {says}"));
                        off_again.push(id);
                        continue;
                    }
                    Err(why) => survey
                        .repaired
                        .push(format!("processor {id} cannot be taken offline again: {why}")),
                }
            }
            state.joined(id, sequence);
            survey.intruded.push(id);
        }
        // If the list cannot be read, the next check reads it.
        if let Ok(present) = self.kernel.list(List::Present) {
            let switch = |id| self.kernel.may_switch(id) != Err(Errno::NOENT);
            survey.appeared = state.appeared(&present, || self.sequence(), switch);
            survey.appeared.retain(|id| !online.contains(*id) || off_again.contains(id));
        }
        survey
    }

    fn watch(self: Arc<Self>, nudge: Nudge) {
        watch::start(&self, &self.watched, nudge);
    }
}

impl Watched for Hotplug {
    fn every(&self) -> Duration {
        self.options.poll
    }

    fn listen(&self) -> Result<OwnedFd, Errno> {
        self.kernel.listen()
    }

    fn receive(&self, socket: &OwnedFd, buffer: &mut [u8]) -> Result<Option<usize>, Errno> {
        self.kernel.receive(socket, buffer)
    }

    fn notices(&self) -> Result<OwnedFd, Errno> {
        // Nothing reports writes to these files.
        Err(Errno::OPNOTSUPP)
    }

    // Lost events need no handling: the list is read in any case.
    fn look(&self, heard: &[Uevent], _lost: bool) -> bool {
        heard.iter().for_each(|event| self.heard(*event));
        self.is_due()
    }
}

impl Hotplug {
    /// Takes an intruder offline, by one write.
    fn revoke(&self, state: &mut State, id: HardwareId) -> Result<(), String> {
        state.revoke(id)?;
        let said = |errno| raw(errno).to_string();
        self.kernel.switch(id, false).map_err(said)?;
        if self.is_online(id).map_err(said)? {
            return Err("the kernel accepted the write, but it is still online".into());
        }
        state.revoked(id);
        Ok(())
    }

    fn is_online(&self, id: HardwareId) -> Result<bool, Errno> {
        Ok(self.kernel.list(List::Online)?.contains(id))
    }
}

fn failed(errno: Errno) -> PlatformError {
    PlatformError::from(raw(errno))
}
