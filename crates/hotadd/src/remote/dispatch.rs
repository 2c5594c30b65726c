//! Calls of a partition, by messages or on the board: finds the driver, calls it, and answers.

use std::num::NonZeroU32;

use hotadd_core::agent::Then;
use hotadd_core::{Notice, State, Status, Veto};
use hotadd_page::board::{Call, Entry};
use hotadd_wire::freedesktop::{INVALID_ARGS, UNKNOWN_METHOD, UNKNOWN_OBJECT};
use hotadd_wire::{self as wire, AGENT_PATH, MAX_REASON, Message, WireNotice};

use crate::remote::agent_loop::AgentLoop;
use crate::remote::connection::Lost;
use crate::remote::read;
use crate::remote::session::Session;

/// An error reply: its name and the reason.
struct Wrong(String, String);

impl Wrong {
    fn new(name: &str, reason: impl AsRef<str>) -> Self {
        Self(name.to_owned(), wire::text(reason.as_ref(), MAX_REASON))
    }
}

impl From<Veto> for Wrong {
    fn from(veto: Veto) -> Self {
        let name = if veto.is_crash() { wire::crash_error } else { wire::veto_error };
        Self::new(&name(veto.status()), veto.reason())
    }
}

impl AgentLoop {
    /// Handles a call.
    pub(super) fn dispatch(&mut self, session: &mut Session, call: &Message) -> Result<(), Lost> {
        let answer = self.answer(session, call);
        if !call.expects_reply() {
            return Ok(());
        }
        let Err(Wrong(name, reason)) = answer else {
            return session.connection.agree(call.serial());
        };
        session.send(&call.error(&name, &reason).map_err(|_| Lost)?)
    }

    fn answer(&mut self, session: &mut Session, call: &Message) -> Result<(), Wrong> {
        let head = call.head();
        let number =
            head.path().strip_prefix(AGENT_PATH).and_then(|number| number.parse::<u32>().ok());
        let number = number.filter(|number| self.drivers.get(*number).is_some());
        let number = number.ok_or_else(|| Wrong::new(UNKNOWN_OBJECT, "there is no such agent"))?;
        let member = head.member();
        if head.interface().is_some_and(|interface| interface != wire::AGENT) {
            return Err(Wrong::new(UNKNOWN_METHOD, "an agent has no such interface"));
        }
        if member == wire::DEREGISTERED {
            return self.deregistered(session, number, call);
        }
        let state = State::ALL.into_iter().find(|state| state.name() == member);
        let state =
            state.ok_or_else(|| Wrong::new(UNKNOWN_METHOD, "an agent has no such method"))?;
        let arguments: WireNotice =
            read::body(call).map_err(|error| Wrong::new(INVALID_ARGS, error.to_string()))?;
        let (party, notice) = wire::read_notice(state, arguments)
            .map_err(|error| Wrong::new(INVALID_ARGS, error.to_string()))?;
        self.is_of(number, party)?;
        Ok(self.notify(number, &notice)?)
    }

    /// Handles a call on the board. An agreement goes back over the board, everything else over the connection.
    pub(super) fn asked(
        &mut self,
        session: &mut Session,
        entry: Entry,
        call: &Call,
    ) -> Result<(), Lost> {
        self.common.published.renew_followers();
        if call.chained && session.unchained == Some(call.agent) {
            session.connection.free_on_board(entry);
            return Ok(());
        }
        let answer = self.answer_asked(call);
        let refuses = answer.is_err() && call.notice.state().may_veto();
        session.unchained = refuses.then_some(call.agent);
        let connection = &mut session.connection;
        let Err(Wrong(name, reason)) = answer else {
            connection.agree_on_board(entry, call.alone);
            return Ok(());
        };
        let serial = NonZeroU32::new(call.serial).ok_or(Lost)?;
        let refusal = wire::refusal(serial, &name, &reason).map_err(|_| Lost)?;
        connection.send(&refusal)?;
        connection.free_on_board(entry);
        Ok(())
    }

    fn answer_asked(&mut self, call: &Call) -> Result<(), Wrong> {
        if self.drivers.get(call.agent).is_none() {
            return Err(Wrong::new(UNKNOWN_OBJECT, "there is no such agent"));
        }
        self.is_of(call.agent, call.party.0)?;
        Ok(self.notify(call.agent, &call.notice)?)
    }

    /// Checks that a party is the one of this object path. Before the reply to Register its id is not known, and any
    /// id is accepted.
    fn is_of(&mut self, number: u32, party: u64) -> Result<(), Wrong> {
        let known = self.drivers.get(number).and_then(|member| member.party);
        match known {
            Some(known) if known != party => {
                Err(Wrong::new(INVALID_ARGS, "this agent belongs to another party"))
            }
            _ => Ok(()),
        }
    }

    /// Applies the rules for a notice to a driver, calls the driver if they require it, and returns its answer.
    fn notify(&mut self, number: u32, notice: &Notice) -> Result<(), Veto> {
        let Some(member) = self.drivers.get(number).filter(|member| member.is_present()) else {
            // The driver departed, and the partition does not know yet (D3).
            return Ok(());
        };
        let reaction = member.agent.notice(notice);
        if let Some(crash) = self.drivers.tell_owed(number, &reaction.owed) {
            return Err(crash);
        }
        match reaction.then {
            Then::Agree => Ok(()),
            Then::Breach(why) => Err(Veto::new(Status::INVALID_DEVICE_STATE, why)),
            Then::Call => {
                let answer = self.drivers.tell(number, notice);
                if let Some(member) = self.drivers.get(number) {
                    member.agent.answered(notice, answer.is_ok());
                }
                answer
            }
        }
    }

    /// The partition has deregistered an agent on its own initiative (L3).
    fn deregistered(
        &mut self,
        session: &mut Session,
        number: u32,
        call: &Message,
    ) -> Result<(), Wrong> {
        let (party, _, _): (u64, u32, String) =
            read::body(call).map_err(|error| Wrong::new(INVALID_ARGS, error.to_string()))?;
        self.is_of(number, party)?;
        let member = self.drivers.get(number).filter(|member| !member.leaving);
        if member.is_some_and(|member| !member.registering) {
            self.refused(session, number);
        }
        Ok(())
    }
}
