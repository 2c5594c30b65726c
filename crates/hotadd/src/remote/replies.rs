//! The partition's replies to this side's own calls: requests, and drivers that register and deregister.

use std::sync::Arc;
use std::sync::mpsc;
use std::time::Instant;

use hotadd_core::{ActiveSet, Epoch};
use hotadd_wire::{self as wire, Kind, Message, Request};

use crate::backend::BoxedDriver;
use crate::error::{Action, Error};
use crate::remote::agent_loop::AgentLoop;
use crate::remote::command::{RegistrationResult, To, drop_contained};
use crate::remote::connection::Lost;
use crate::remote::read::{self, About};
use crate::remote::session::{Due, Pending, Session};

impl AgentLoop {
    /// Sends Register for a driver.
    pub(super) fn register(
        &mut self,
        session: &mut Session,
        number: u32,
        to: Option<mpsc::Sender<RegistrationResult>>,
    ) -> Result<(), Lost> {
        let Some(member) = self.drivers.get(number) else { return Ok(()) };
        member.registering = true;
        let without_replay = if member.agent.registering() { 0 } else { wire::LATER_ONLY };
        let flags = member.flags | without_replay;
        match member.request(flags).and_then(|request| request.call().map_err(read::protocol)) {
            Ok(call) => session.call(&call, Pending::Register(number, to)),
            Err(error) => {
                let driver = self.give_up(number);
                match to {
                    Some(to) => drop(to.send(Err((error, driver)))),
                    None => drop_contained(driver),
                }
                Ok(())
            }
        }
    }

    /// Registers the next driver that was registered over an earlier connection. They are registered one by one, to keep their
    /// order.
    pub(super) fn register_again(&mut self, session: &mut Session) -> Result<(), Lost> {
        while let Some(number) = session.again.pop_front() {
            let due = |m: &&mut _| is_to_register(m);
            if self.drivers.get(number).filter(due).is_some() {
                return self.register(session, number, None);
            }
        }
        Ok(())
    }

    /// Tells the partition that a driver left. The driver's entry stays until the partition knows.
    pub(super) fn send_off(
        &mut self,
        session: &mut Session,
        number: u32,
        to: Option<To<Option<BoxedDriver>>>,
    ) -> Result<(), Lost> {
        let Some(member) = self.drivers.get(number) else { return Ok(()) };
        if member.leaving || member.registering {
            // Register is in progress. Its reply continues from here.
            return Ok(());
        }
        let Some(party) = member.party else {
            drop_contained(self.drivers.remove(number).and_then(|member| member.driver));
            return Ok(());
        };
        member.leaving = true;
        let call = Request::Deregister(party).call().map_err(|_| Lost)?;
        session.call(&call, Pending::Deregister(number, to))
    }

    /// Handles a reply.
    pub(super) fn reply(&mut self, session: &mut Session, message: &Message) -> Result<(), Lost> {
        let serial = message.reply_to();
        let Some(pending) = serial.and_then(|serial| session.answered(serial)) else {
            return Ok(());
        };
        let agreed = message.kind() == Kind::Reply;
        match pending {
            Pending::Call(to) => {
                let epoch = if agreed { read::epoch(message) } else { Epoch(0) };
                let message = message.clone();
                let release = move || drop(to.send(Ok(message)));
                self.due(session, epoch, Due::Release(Box::new(release)))
            }
            Pending::Register(number, to) => {
                let again = to.is_none();
                self.registered(session, number, to, message)?;
                if again { self.register_again(session) } else { Ok(()) }
            }
            Pending::Deregister(number, to) => {
                let Some(member) = self.drivers.remove(number) else { return Ok(()) };
                member.registered.depart();
                match to {
                    Some(to) if agreed => drop(to.send(Ok(member.driver))),
                    to => {
                        drop_contained(member.driver);
                        // The partition has deregistered the driver before (L3).
                        to.map(|to| to.send(Err(Error::NotRegistered(member.registered.info()))));
                    }
                }
                Ok(())
            }
            Pending::Refresh(count) => {
                if let Ok(set) = read::set(message) {
                    self.renew(set);
                }
                self.refreshed(session, count)
            }
        }
    }

    /// Handles the reply to Register.
    fn registered(
        &mut self,
        session: &mut Session,
        number: u32,
        to: Option<mpsc::Sender<RegistrationResult>>,
        message: &Message,
    ) -> Result<(), Lost> {
        let Some(member) = self.drivers.get(number) else { return Ok(()) };
        member.registering = false;
        let set = self.common.published.load();
        let party = Some(member.info());
        let about = About { what: "registering", action: Action::Add, party, set: &set };
        match read::reply::<(u64, u64)>(message, &about) {
            Ok((party, epoch)) => {
                member.set_party(Some(party));
                let owed = member.agent.registered(Epoch(epoch));
                self.drivers.tell_owed(number, &owed);
                self.complete(session, number, to, Epoch(epoch))
            }
            Err(error) => {
                match to {
                    Some(to) => drop(to.send(Err((error, self.give_up(number))))),
                    None => self.refused(session, number),
                }
                Ok(())
            }
        }
    }

    /// Completes a registration: the driver has received all its notices.
    fn complete(
        &mut self,
        session: &mut Session,
        number: u32,
        to: Option<mpsc::Sender<RegistrationResult>>,
        epoch: Epoch,
    ) -> Result<(), Lost> {
        let Some(member) = self.drivers.get(number) else { return Ok(()) };
        if !member.is_present() {
            // The driver crashed, or was deregistered while it was being registered again.
            member.registered.depart();
            let (driver, error) = (member.driver.take(), Error::Crashed(member.info()));
            match to {
                Some(to) => drop(to.send(Err((error, driver)))),
                None => drop_contained(driver),
            }
            return self.send_off(session, number, None);
        }
        let Some(to) = to else { return Ok(()) };
        let registered = Arc::clone(&member.registered);
        let release = move || drop(to.send(Ok((registered, epoch))));
        self.due(session, epoch, Due::Release(Box::new(release)))
    }

    /// A driver that was registered before is refused now. Registration is retried after a while: as long as the driver
    /// exists it must be asked.
    pub(super) fn refused(&mut self, session: &mut Session, number: u32) {
        let Some(member) = self.drivers.get(number) else { return };
        member.agent.lost();
        member.set_party(None);
        if !member.is_present() {
            drop_contained(self.drivers.remove(number).and_then(|member| member.driver));
            return;
        }
        session.refused.push(number);
        if session.retry.is_none() {
            session.retry = Some(Instant::now() + session.patience.next());
        }
    }

    /// Schedules an action for when the replica has this epoch. Events keep their order.
    pub(super) fn due(
        &mut self,
        session: &mut Session,
        epoch: Epoch,
        due: Due,
    ) -> Result<(), Lost> {
        let waits = matches!(due, Due::Event(_)) && !session.due.is_empty();
        if !waits && epoch <= self.common.published.summary().0 {
            self.settle(due);
            return Ok(());
        }
        session.due.push_back((epoch, due));
        if session.refreshing { Ok(()) } else { refresh(session) }
    }

    /// The set for `count` waiting entries has arrived.
    fn refreshed(&mut self, session: &mut Session, count: usize) -> Result<(), Lost> {
        session.refreshing = false;
        let current = self.common.published.summary().0;
        // The first `count` entries are settled in any case: this does not wait for a partition that never reaches
        // their epoch.
        let mut left = count;
        while let Some((epoch, _)) = session.due.front() {
            if left == 0 && *epoch > current {
                return refresh(session);
            }
            left = left.saturating_sub(1);
            if let Some((_, due)) = session.due.pop_front() {
                self.settle(due);
            }
        }
        Ok(())
    }

    pub(super) fn settle(&mut self, due: Due) {
        match due {
            Due::Event(event) => self.observers.tell(&event),
            Due::Release(release) => release(),
        }
    }

    /// Publishes a set that has arrived. A set that is older than the replica is ignored.
    pub(super) fn renew(&self, set: ActiveSet) {
        if set.epoch() >= self.common.published.summary().0 {
            self.common.published.publish(set);
        }
    }

    /// Removes the processors that are being added from the replica.
    pub(super) fn withdraw(&self) {
        let set = self.common.published.load();
        if set.proposed().is_empty() {
            return;
        }
        let known = set.known().map(|(processor, standing)| (processor.id, standing));
        if let Ok(set) = ActiveSet::assemble(set.epoch(), set.maximum(), known, []) {
            self.common.published.publish(set);
        }
    }
}

fn is_to_register(member: &crate::remote::drivers::Member) -> bool {
    member.is_present() && member.party.is_none() && !member.registering
}

/// Requests the set for all entries that wait for it.
fn refresh(session: &mut Session) -> Result<(), Lost> {
    session.refreshing = true;
    let call = Request::GetSet.call().map_err(|_| Lost)?;
    let count = session.due.len();
    session.call(&call, Pending::Refresh(count))
}
