//! [`Runner`]: carries out the steps of a transaction on the calling thread, and tells observers what happens.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use hotadd_core::{
    ActiveSet, Notice, PartyId, PlatformError, Processor, State, Status, Step, Together,
    Transaction, Veto,
};

use crate::error::{Action, Error};
use crate::event::{Event, EventKind, Occasion};
use crate::hardware::Hardware;
use crate::member::{Member, PartyInfo, Shared};
use crate::observers::Observers;
use crate::published::Published;
use crate::sync::{AtomicBool, Ordering};

/// What a rehearsal writes down: who was asked, the answer, how long it took.
pub(crate) type Asked = Vec<(PartyInfo, Result<(), Veto>, Duration)>;

pub(crate) struct Runner<'a> {
    pub(crate) published: &'a Published,
    pub(crate) hardware: &'a dyn Hardware,
    pub(crate) set: &'a mut ActiveSet,
    pub(crate) observers: &'a mut Observers,
    /// Whether some parties are asked at once.
    pub(crate) together: bool,
    /// Set when a party has departed and is to be swept out.
    pub(crate) departures: &'a AtomicBool,
    pub(crate) occasion: Occasion,
}

/// How a pass with the clock running calls its parties.
struct Caller<'a, 'r> {
    runner: &'a mut Runner<'r>,
    asked: Option<&'a mut Asked>,
    /// Those who were set to work and are not heard yet.
    begun: &'a mut Vec<Begun>,
}

struct Begun {
    id: PartyId,
    at: Instant,
    /// The answer if it crashed at that: it is given when its turn comes (L3).
    crash: Option<Veto>,
}

impl Together<Member> for Caller<'_, '_> {
    fn begin(&mut self, member: &mut Member, notice: &Notice) {
        if self.runner.calling(member, notice) {
            let at = Instant::now();
            // The cursor is not at this party yet, so that the net under the pass would take another for the culprit.
            let done = catch_unwind(AssertUnwindSafe(|| member.driver.begin(notice)));
            let crash = done.err().map(crash);
            self.begun.push(Begun { id: member.shared.id, at, crash });
        }
    }

    fn call(&mut self, member: &mut Member, notice: &Notice) -> Result<(), Veto> {
        let id = member.shared.id;
        let at = self.begun.iter().position(|begun| begun.id == id);
        let begun = at.map(|at| self.begun.swap_remove(at));
        self.runner.call_traced(member, notice, self.asked.as_deref_mut(), begun)
    }
}

impl Runner<'_> {
    /// Runs a transaction to its end. `parties` are the registry's or, for a replay, the new one.
    pub(crate) fn run(
        &mut self,
        transaction: &mut Transaction,
        parties: &mut [Member],
        mut asked: Option<&mut Asked>,
    ) {
        loop {
            match transaction.step() {
                Step::Publish(set) => {
                    *self.set = set.clone();
                    self.published.publish(set.clone());
                    transaction.published();
                }
                Step::Call(state) => {
                    self.call(transaction, parties, state, asked.as_deref_mut());
                }
                Step::Start(processor) => {
                    let result = self.act(Action::Add, processor);
                    transaction.acted(result);
                }
                Step::Stop(processor) => {
                    let result = self.act(Action::Remove, processor);
                    transaction.acted(result);
                }
                Step::Done => return,
            }
        }
    }

    /// One pass over the parties. A party that panics is deregistered, and the pass goes on behind it (L3).
    fn call(
        &mut self,
        transaction: &mut Transaction,
        parties: &mut [Member],
        state: State,
        mut asked: Option<&mut Asked>,
    ) {
        let traced = !self.observers.is_empty() || asked.is_some();
        let mut begun = Vec::new();
        loop {
            // One net under the whole pass and not one under each call: a net costs more than a call.
            let pass = catch_unwind(AssertUnwindSafe(|| {
                let flag = self.departures;
                // Relaxed: set by a callback, on this thread.
                let departures = || flag.load(Ordering::Relaxed);
                if traced || self.together {
                    let asked = asked.as_deref_mut();
                    let mut caller = Caller { runner: self, asked, begun: &mut begun };
                    transaction.call_together(parties, departures, &mut caller);
                } else {
                    transaction.call(parties, departures, |member, notice| {
                        let answer = member.driver.notify(notice);
                        if let Err(veto) = &answer
                            && veto.is_crash()
                        {
                            member.shared.depart();
                            flag.store(true, Ordering::Relaxed);
                        }
                        answer
                    });
                }
            }));
            let Err(panic) = pass else { return };
            let veto = crash(panic);
            let Some(position) = transaction.crashed(parties.len(), veto.clone()) else { return };
            let shared = &parties[position].shared;
            if let Some(asked) = asked.as_deref_mut().filter(|_| state.may_veto()) {
                asked.push((shared.info(), Err(veto.clone()), Duration::ZERO));
            }
            // A crash while asking is the latest refusal; the other passes keep the processor to themselves.
            let refusal = transaction.refusals().last().filter(|_| state.may_veto());
            let processor = refusal.map(|r| r.processor);
            if let Some(processor) = processor {
                let mut event = self.event(veto_kind(state));
                event.concerns(processor);
                event.party = Some(shared.info());
                event.status = Some(veto.status());
                event.reason = Some(veto.reason().to_owned());
                self.emit(&event);
            }
            self.crashed(shared, &veto, processor);
        }
    }

    /// Deregisters a party that has crashed, and says so (L3).
    fn crashed(&mut self, shared: &Shared, veto: &Veto, processor: Option<Processor>) {
        shared.depart();
        // Relaxed: read by the same thread when it leaves the gate.
        self.departures.store(true, Ordering::Relaxed);
        let reason = format!("{}; it is deregistered", veto.reason());
        self.breach("L3", processor, Some(shared.info()), reason);
    }

    /// Says that a party is about to be called. False if that led somebody to deregister it.
    fn calling(&mut self, member: &Member, notice: &Notice) -> bool {
        let mut event = self.called(EventKind::Calling, member, notice);
        event.state = Some(notice.state());
        self.emit(&event);
        // D1 is kept to the letter, also towards observers.
        !member.shared.departed()
    }

    /// Calls one party with the clock running. `begun` if it was set to work before.
    fn call_traced(
        &mut self,
        member: &mut Member,
        notice: &Notice,
        asked: Option<&mut Asked>,
        begun: Option<Begun>,
    ) -> Result<(), Veto> {
        if begun.is_none() && !self.calling(member, notice) {
            return Ok(());
        }
        let (began, crash) = begun.map_or_else(|| (Instant::now(), None), |b| (b.at, b.crash));
        let (answer, took) = match crash {
            Some(veto) => (Err(veto), began.elapsed()),
            None => {
                let answer = member.driver.notify(notice);
                (answer, member.driver.answered_in().unwrap_or_else(|| began.elapsed()))
            }
        };

        let state = notice.state();
        let mut event = self.called(told_kind(state), member, notice);
        event.state = Some(state);
        event.took = Some(took);
        if let (Err(veto), true) = (&answer, state.may_veto()) {
            event.kind = veto_kind(state);
            event.status = Some(veto.status());
            event.reason = Some(veto.reason().to_owned());
        }
        self.emit(&event);
        match &answer {
            Err(veto) if veto.is_crash() => {
                self.crashed(&member.shared, veto, Some(notice.processor()));
            }
            Err(veto) if !state.may_veto() => {
                let reason =
                    format!("it answered {state} with an error, which changes nothing: {veto}");
                self.breach("A6", Some(notice.processor()), event.party.clone(), reason);
            }
            _ => {}
        }
        if let (Some(asked), true) = (asked, state.may_veto()) {
            asked.push((member.shared.info(), answer.clone(), took));
        }
        answer
    }

    fn called(&self, kind: EventKind, member: &Member, notice: &Notice) -> Event {
        let mut event = self.event(kind);
        event.party = Some(member.shared.info());
        event.concerns(notice.processor());
        event.status = Some(notice.status());
        event.errno = notice.errno();
        event.epoch = notice.epoch();
        event.surprise = notice.is_surprise();
        event
    }

    /// Has the platform start or stop a processor.
    fn act(&mut self, action: Action, processor: Processor) -> Result<(), PlatformError> {
        let began = Instant::now();
        let hardware = self.hardware;
        let acted = catch_unwind(AssertUnwindSafe(|| match action {
            Action::Add => hardware.start(processor.id),
            Action::Remove => hardware.stop(processor.id),
        }));
        let result = acted.unwrap_or_else(|panic| {
            std::mem::forget(panic);
            Err(PlatformError { status: Status::DRIVER_INTERNAL_ERROR, errno: None })
        });
        let mut event = self.event(match (action, &result) {
            (Action::Add, Ok(())) => EventKind::Started,
            (Action::Add, Err(_)) => EventKind::StartFailed,
            (Action::Remove, Ok(())) => EventKind::Stopped,
            (Action::Remove, Err(_)) => EventKind::StopFailed,
        });
        event.concerns(processor);
        event.took = Some(began.elapsed());
        if let Err(error) = &result {
            event.status = Some(error.status);
            event.errno = error.errno;
        }
        self.emit(&event);
        result
    }

    /// Why a finished transaction came to nothing, if it did.
    pub(crate) fn refusal(
        transaction: &Transaction,
        parties: &[Member],
        action: Action,
    ) -> Option<Error> {
        if let Some(refusal) = transaction.refusals().first() {
            return Some(Error::Vetoed {
                action,
                processor: refusal.processor,
                party: parties[refusal.position].shared.info(),
                veto: refusal.veto.clone(),
            });
        }
        let (processor, error) = transaction.platform_error()?;
        Some(Error::Platform { action, processor, error })
    }

    /// Something was refused before anybody was asked, or no particular processor can be told.
    pub(crate) fn refused(&mut self, kind: EventKind, error: &Error, began: Instant) {
        let mut event = self.refusal_event(kind, error, began);
        event.id = error.id();
        self.emit(&event);
    }

    /// A processor was not added or not removed.
    pub(crate) fn refused_processor(
        &mut self,
        kind: EventKind,
        processor: Processor,
        error: &Error,
        began: Instant,
    ) {
        let mut event = self.refusal_event(kind, error, began);
        event.concerns(processor);
        self.emit(&event);
    }

    fn refusal_event(&self, kind: EventKind, error: &Error, began: Instant) -> Event {
        let mut event = self.event(kind);
        event.party = error.party().cloned();
        event.status = Some(error.status());
        event.errno = error.errno();
        event.reason = Some(error.reason());
        event.clause = Some(error.clause());
        event.took = Some(began.elapsed());
        event
    }

    /// A processor joined or left, as agreed.
    pub(crate) fn changed(&mut self, kind: EventKind, processor: Processor, began: Instant) {
        let mut event = self.event(kind);
        event.concerns(processor);
        event.took = Some(began.elapsed());
        self.emit(&event);
    }

    /// A processor was gone before anybody was told (X2).
    pub(crate) fn vanished(&mut self, processor: Processor) {
        let mut event = self.event(EventKind::Left);
        event.concerns(processor);
        event.surprise = true;
        event.clause = Some("X2");
        self.emit(&event);
    }

    /// A processor runs that nobody agreed to (Q3).
    pub(crate) fn intruded(&mut self, processor: Processor) {
        let reason = format!("{processor} was brought in by somebody else; no driver was asked");
        self.breach("Q3", Some(processor), None, reason);
        let mut event = self.event(EventKind::Joined);
        event.concerns(processor);
        event.agreed = false;
        event.clause = Some("Q3");
        self.emit(&event);
    }

    pub(crate) fn breach(
        &mut self,
        clause: &'static str,
        processor: Option<Processor>,
        party: Option<PartyInfo>,
        reason: String,
    ) {
        let mut event = self.event(EventKind::Breach);
        if let Some(processor) = processor {
            event.concerns(processor);
        }
        event.party = party;
        event.clause = Some(clause);
        event.reason = Some(reason);
        self.emit(&event);
    }

    /// A party came or went.
    pub(crate) fn party(&mut self, kind: EventKind, party: PartyInfo) {
        let mut event = self.event(kind);
        event.party = Some(party);
        self.emit(&event);
    }

    fn event(&self, kind: EventKind) -> Event {
        Event { occasion: self.occasion, ..Event::new(kind, self.set.epoch()) }
    }

    fn emit(&mut self, event: &Event) {
        self.observers.tell(event);
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

const fn veto_kind(state: State) -> EventKind {
    if state.is_removal() { EventKind::RemoveVeto } else { EventKind::Veto }
}

/// The answer of a party that panicked (L3).
fn crash(panic: Box<dyn Any + Send>) -> Veto {
    let reason = format!("it panicked: {}", panic_message(&*panic));
    // A panic's payload may be anything, also something that panics when it is dropped.
    std::mem::forget(panic);
    Veto::crash(Status::DRIVER_INTERNAL_ERROR, reason)
}

pub(crate) fn panic_message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message")
}
