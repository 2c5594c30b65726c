//! [`Timed`]: a pass that measures each call, and reports each to the observers and to a rehearsal.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use hotadd_core::{Notice, PartyId, State, Together, Veto};

use crate::event::{Event, EventKind};
use crate::member::{Member, PartyInfo};
use crate::runner::{Runner, crash, veto_kind};

/// The record of a rehearsal: the party, its answer, and how long the answer took.
pub(crate) type Asked = Vec<(PartyInfo, Result<(), Veto>, Duration)>;

/// How a timed pass calls its parties.
pub(super) struct Timed<'a, 'r> {
    pub(super) runner: &'a mut Runner<'r>,
    pub(super) asked: Option<&'a mut Asked>,
    /// Parties that were begun and have not answered yet. It outlives the pass, which a panic ends.
    pub(super) begun: &'a mut Vec<Begun>,
}

/// A party that was begun.
pub(super) struct Begun {
    id: PartyId,
    at: Instant,
    /// The answer if the party crashed when it was begun. It is given when the party's turn comes (L3).
    crash: Option<Veto>,
}

impl Together<Member> for Timed<'_, '_> {
    fn begin(&mut self, member: &mut Member, notice: &Notice) {
        if self.calling(member, notice) {
            let at = Instant::now();
            // The cursor is not at this party yet, so the pass's `catch_unwind` would blame another party for the crash.
            let done = catch_unwind(AssertUnwindSafe(|| {
                let _call = self.runner.inner.telling.calls(member.shared.id);
                if !member.shared.departed() {
                    member.driver.begin(notice);
                }
            }));
            let crash = done.err().map(crash);
            self.begun.push(Begun { id: member.shared.id, at, crash });
        }
    }

    /// Not reported to the observers until the party's turn comes: after a refusal, the party does not see the notice.
    fn begin_ahead(&mut self, member: &mut Member, notice: &Notice) -> bool {
        // The cursor is at this party, so the pass's `catch_unwind` blames no other party for a crash here.
        let _call = self.runner.inner.telling.calls(member.shared.id);
        let begins = !member.shared.departed() && member.driver.begins_ahead();
        if begins {
            member.driver.begin(notice);
        }
        begins
    }

    fn call(&mut self, member: &mut Member, notice: &Notice) -> Result<(), Veto> {
        let at = self.begun.iter().position(|begun| begun.id == member.shared.id);
        let begun = at.map(|at| self.begun.swap_remove(at));
        if begun.is_none() && !self.calling(member, notice) {
            return Ok(());
        }
        let (began, crash) = begun.map_or_else(|| (Instant::now(), None), |b| (b.at, b.crash));
        let (answer, took) = match crash {
            Some(veto) => (Err(veto), began.elapsed()),
            None => {
                let call = self.runner.inner.telling.calls(member.shared.id);
                if member.shared.departed() {
                    return Ok(());
                }
                let answer = member.driver.notify(notice);
                drop(call);
                (answer, member.driver.answered_in().unwrap_or_else(|| began.elapsed()))
            }
        };
        self.answered(member, notice, &answer, took);
        if let (Some(asked), true) = (self.asked.as_deref_mut(), notice.state().may_veto()) {
            asked.push((member.shared.info(), answer.clone(), took));
        }
        answer
    }
}

impl Timed<'_, '_> {
    /// Reports that a party is about to be called. Returns false if an observer then deregistered it.
    fn calling(&mut self, member: &Member, notice: &Notice) -> bool {
        let event = self.event(EventKind::Calling, member, notice);
        self.runner.emit(&event);
        // D1 holds towards observers too.
        !member.shared.departed()
    }

    /// Reports a party's answer, and its consequences for the party.
    fn answered(
        &mut self,
        member: &Member,
        notice: &Notice,
        answer: &Result<(), Veto>,
        took: Duration,
    ) {
        let state = notice.state();
        let mut event = self.event(told_kind(state), member, notice);
        event.took = Some(took);
        if let (Err(veto), true) = (answer, state.may_veto()) {
            event.kind = veto_kind(state);
            event.status = Some(veto.status());
            event.reason = Some(veto.reason().to_owned());
        }
        self.runner.emit(&event);
        match answer {
            Err(veto) if veto.is_crash() => {
                self.runner.crashed(&member.shared, veto, Some(notice.processor()));
            }
            Err(veto) if !state.may_veto() => {
                let reason =
                    format!("it answered {state} with an error, which has no effect: {veto}");
                self.runner.breach("A6", Some(notice.processor()), event.party, reason);
            }
            _ => {}
        }
    }

    fn event(&self, kind: EventKind, member: &Member, notice: &Notice) -> Event {
        let mut event = self.runner.event(kind);
        event.state = Some(notice.state());
        event.party = Some(member.shared.info());
        event.concerns(notice.processor());
        event.status = Some(notice.status());
        event.errno = notice.errno();
        event.epoch = notice.epoch();
        event.surprise = notice.is_surprise();
        event
    }
}

const fn told_kind(state: State) -> EventKind {
    match state {
        State::AddStart => EventKind::AddStart,
        State::AddComplete => EventKind::AddComplete,
        State::AddFailure => EventKind::AddFailure,
        State::RemoveStart => EventKind::RemoveStart,
        State::RemoveComplete => EventKind::RemoveComplete,
        State::RemoveFailure => EventKind::RemoveFailure,
    }
}
