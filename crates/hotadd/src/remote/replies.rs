//! The partition's replies to this side's own calls: requests, and drivers that register and deregister.

use std::sync::Arc;
use std::sync::mpsc;
use std::time::Instant;

use hotadd_core::Epoch;
use hotadd_wire::{self as wire, Kind, Message, Request};

use crate::backend::BoxedDriver;
use crate::error::{Action, Error};
use crate::remote::agent_loop::AgentLoop;
use crate::remote::command::{RegistrationResult, To, drop_contained};
use crate::remote::connection::Lost;
use crate::remote::read::{self, About};
use crate::remote::session::{Pending, Session};

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
        let over_board = if session.connection.has_board() { wire::BOARD } else { 0 };
        let without_replay = if member.agent.registering() { 0 } else { wire::LATER_ONLY };
        let flags = member.flags | without_replay | over_board;
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
                drop(to.send(Ok(message.clone())));
                Ok(())
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
        drop(to.send(Ok((Arc::clone(&member.registered), epoch))));
        Ok(())
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
}

fn is_to_register(member: &crate::remote::drivers::Member) -> bool {
    member.is_present() && member.party.is_none() && !member.registering
}
