//! [`Drivers`]: the drivers of one connected partition, on the agent thread.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use hotadd_core::{Agent, Notice, Status, Veto};
use hotadd_wire::{self as wire, AGENT_PATH, AgentPath, Register, Request};

use crate::backend::BoxedDriver;
use crate::error::Error;
use crate::member::PartyInfo;
use crate::remote::client::Common;
use crate::remote::command::{NewDriver, RegisteredDriver, drop_contained};
use crate::runner::panic_message;

/// A driver, and the state of its registration.
pub(super) struct Member {
    /// `None` after it departed. Then the entry exists only because the partition does not know yet.
    pub(super) driver: Option<BoxedDriver>,
    pub(super) agent: Agent,
    pub(super) registered: Arc<RegisteredDriver>,
    /// The flags of Register, without LATER_ONLY: the agent determines that for each registration.
    pub(super) flags: u32,
    pub(super) time_limit_ms: u32,
    /// Register is in progress.
    pub(super) registering: bool,
    /// The partition's id of the party, if it is registered.
    pub(super) party: Option<u64>,
    /// Deregister is in progress.
    pub(super) leaving: bool,
}

pub(super) struct Drivers {
    /// The drivers by the number in their object path, which is the order of registration.
    members: BTreeMap<u32, Member>,
    next: u32,
    common: Arc<Common>,
}

impl Drivers {
    pub(super) const fn new(common: Arc<Common>) -> Self {
        Self { members: BTreeMap::new(), next: 1, common }
    }

    /// Adds a driver that is not registered yet. If it panics when it is asked for its removal support, it has crashed.
    pub(super) fn take_in(&mut self, new: NewDriver) -> Result<u32, (Error, Option<BoxedDriver>)> {
        let NewDriver { name, level, replay, time_limit, mut driver } = new;
        let number = self.next;
        let registered = RegisteredDriver::new(number, level, name);
        let removal = catch_unwind(AssertUnwindSafe(|| driver.removal().is_some()));
        let Ok(removal) = removal.map_err(std::mem::forget) else {
            return Err((Error::Crashed(registered.info()), Some(driver)));
        };
        let Some(next) = number.checked_add(1) else {
            return Err((Error::Limit("all object paths are used".to_owned()), Some(driver)));
        };
        self.next = next;
        // A request from inside a callback is refused on this side, by its thread.
        let (mut flags, mut agent) = (wire::CONCURRENT, Agent::new());
        if removal {
            flags |= wire::REMOVAL;
            agent = agent.hearing_removals();
        }
        if !replay {
            agent = agent.without_replay();
        }
        let member = Member {
            driver: Some(driver),
            agent,
            registered: Arc::new(registered),
            flags,
            time_limit_ms: time_limit.map_or(0, milliseconds),
            registering: false,
            party: None,
            leaving: false,
        };
        self.members.insert(number, member);
        Ok(number)
    }

    pub(super) fn get(&mut self, number: u32) -> Option<&mut Member> {
        self.members.get_mut(&number)
    }

    /// The numbers of all drivers, in order of registration.
    pub(super) fn numbers(&self) -> Vec<u32> {
        self.members.keys().copied().collect()
    }

    pub(super) fn remove(&mut self, number: u32) -> Option<Member> {
        self.members.remove(&number)
    }

    /// Sends a notice to a driver, unless it departed.
    pub(super) fn tell(&mut self, number: u32, notice: &Notice) -> Result<(), Veto> {
        let Some(member) = self.members.get_mut(&number) else { return Ok(()) };
        member.tell(notice, &self.common)
    }

    /// Sends a driver the notices that it is owed. Only a crash matters; other answers are ignored (L3).
    pub(super) fn tell_owed(&mut self, number: u32, owed: &[Notice]) -> Option<Veto> {
        let crash = |notice| self.tell(number, notice).err().filter(Veto::is_crash);
        owed.iter().find_map(crash)
    }

    /// Drops the drivers that departed inside a callback, and returns their numbers. Their entries stay, because
    /// the partition may still call them until it knows.
    pub(super) fn sweep(&mut self) -> Vec<u32> {
        let mut swept = Vec::new();
        // Relaxed: only this thread sets it. The loop is needed because a driver's drop may deregister others.
        while self.common.departures.swap(false, Ordering::Relaxed) {
            let departed = self.members.iter_mut().filter(|(_, m)| m.registered.departed());
            let drivers: Vec<_> =
                departed.filter_map(|(n, m)| m.driver.take().map(|d| (*n, d))).collect();
            for (number, driver) in drivers {
                drop_contained(Some(driver));
                swept.push(number);
            }
        }
        swept
    }
}

impl Member {
    pub(super) fn info(&self) -> PartyInfo {
        self.registered.info()
    }

    /// The request that registers the driver, with these flags.
    pub(super) fn request(&self, flags: u32) -> Result<Request, Error> {
        let path = format!("{AGENT_PATH}{}", self.registered.number);
        let invalid = || Error::Protocol(format!("{path} is not a valid object path"));
        Ok(Request::Register(Register {
            agent: AgentPath::parse(&path).ok_or_else(invalid)?,
            name: self.registered.name.to_string(),
            flags,
            level: self.registered.level.0,
            time_limit_ms: self.time_limit_ms,
        }))
    }

    /// Whether the driver may still be called.
    pub(super) fn is_present(&self) -> bool {
        self.driver.is_some() && !self.registered.departed()
    }

    pub(super) fn set_party(&mut self, party: Option<u64>) {
        self.party = party;
        self.registered.party.store(party.unwrap_or(0), Ordering::Relaxed);
    }

    fn tell(&mut self, notice: &Notice, common: &Common) -> Result<(), Veto> {
        let Some(driver) = self.driver.as_mut().filter(|_| !self.registered.departed()) else {
            return Ok(());
        };
        let told = catch_unwind(AssertUnwindSafe(|| driver.notify(notice)));
        let answer = told.unwrap_or_else(|panic| {
            let reason = format!("it panicked: {}", panic_message(&*panic));
            // A panic's payload may be anything, even a value that panics when it is dropped.
            std::mem::forget(panic);
            Err(Veto::crash(Status::DRIVER_INTERNAL_ERROR, reason))
        });
        if answer.as_ref().is_err_and(Veto::is_crash) {
            self.registered.depart();
            common.departures.store(true, Ordering::Relaxed);
        }
        answer
    }
}

/// Converts a time limit for the wire: at least 1, as 0 means the partition's own.
fn milliseconds(limit: Duration) -> u32 {
    let up = limit.as_nanos().div_ceil(1_000_000).clamp(1, wire::MAX_TIME_LIMIT_MS.into());
    u32::try_from(up).unwrap_or(wire::MAX_TIME_LIMIT_MS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_limit_is_rounded_up_and_never_becomes_the_partitions_default() {
        assert_eq!(milliseconds(Duration::ZERO), 1, "0 would ask for the default of five seconds");
        assert_eq!(milliseconds(Duration::from_nanos(1)), 1);
        assert_eq!(milliseconds(Duration::from_micros(1001)), 2);
        assert_eq!(milliseconds(Duration::from_secs(600)), 600_000);
        assert_eq!(milliseconds(Duration::MAX), 600_000, "the longest limit that there is");
    }
}
