//! [`Runner`]: carries out the steps of a transaction on the calling thread.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use hotadd_core::{PlatformError, Processor, State, Status, Step, Transaction, Veto};

use crate::error::{Action, Error};
use crate::event::{EventKind, Occasion};
use crate::hardware::Monitor;
use crate::inner::Inner;
use crate::member::{Member, Shared};
use crate::sync::Ordering;

mod telling;
mod timed;

pub(crate) use timed::Asked;
use timed::Timed;

pub(crate) struct Runner<'a> {
    inner: &'a Inner,
    /// Whether some parties are asked together.
    together: bool,
    occasion: Occasion,
    /// Detects whether another process switches the processors about which the parties are asked.
    pub(crate) monitor: Option<Box<dyn Monitor>>,
    /// Why a processor was not started although every party that was asked agreed.
    objection: Option<Error>,
}

impl<'a> Runner<'a> {
    pub(crate) const fn new(inner: &'a Inner, together: bool, occasion: Occasion) -> Self {
        Self { inner, together, occasion, monitor: None, objection: None }
    }

    /// Runs a transaction to its end. `parties` are those of the registry or, for a replay, the new party.
    pub(crate) fn run(
        &mut self,
        transaction: &mut Transaction,
        parties: &mut [Member],
        mut asked: Option<&mut Asked>,
    ) {
        loop {
            match transaction.step() {
                Step::Publish => self.inner.with_current(|current| {
                    let (set, look) = current.advance(transaction);
                    self.inner.published.publish(set.clone());
                    if look {
                        // Relaxed: read by this same thread when it releases the set.
                        self.inner.look.store(true, Ordering::Relaxed);
                    }
                }),
                Step::Call(state) => {
                    self.call(transaction, parties, state, asked.as_deref_mut());
                }
                Step::Start(processor) => {
                    let asked = transaction.changed().is_empty();
                    let result = match self.object(processor, asked) {
                        Some(objection) => Err(objection),
                        None => self.act(Action::Add, processor),
                    };
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

    /// One pass over the parties. A party that panics is deregistered, and the pass continues after it (L3).
    fn call(
        &mut self,
        transaction: &mut Transaction,
        parties: &mut [Member],
        state: State,
        mut asked: Option<&mut Asked>,
    ) {
        let traced = self.inner.telling.is_observed() || asked.is_some();
        let mut begun = Vec::new();
        loop {
            // One `catch_unwind` for the whole pass and not one for each call: it costs more than a call.
            let pass = catch_unwind(AssertUnwindSafe(|| {
                let flag = &self.inner.departures;
                // Relaxed: set by a callback on this thread.
                let departures = || flag.load(Ordering::Relaxed);
                if traced || self.together {
                    let asked = asked.as_deref_mut();
                    let mut timed = Timed { runner: self, asked, begun: &mut begun };
                    transaction.call_together(parties, departures, &mut timed);
                } else {
                    transaction.call(parties, departures, |member, notice| {
                        let answer = member.driver.notify(notice);
                        if let Err(veto) = &answer
                            && veto.is_crash()
                        {
                            member.shared.depart();
                            self.inner.required.crashed(member.shared.id, veto);
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
            // A crash while asking is the latest refusal, which names the processor. The other passes do not record the
            // processor.
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

    /// Deregisters a party that has crashed, and reports it (L3).
    fn crashed(&mut self, shared: &Shared, veto: &Veto, processor: Option<Processor>) {
        shared.depart();
        self.inner.required.crashed(shared.id, veto);
        // Relaxed: read by the same thread when it leaves the gate.
        self.inner.departures.store(true, Ordering::Relaxed);
        let reason = format!("{}; it is deregistered", veto.reason());
        self.breach("L3", processor, Some(shared.info()), reason);
    }

    /// Lets the platform start or stop a processor.
    fn act(&mut self, action: Action, processor: Processor) -> Result<(), PlatformError> {
        let began = Instant::now();
        let (hardware, id) = (&*self.inner.hardware, processor.id);
        let result = self.inner.with_current(|current| {
            let acted = catch_unwind(AssertUnwindSafe(|| match action {
                Action::Add => hardware.start(id),
                // It vanished while the parties were being asked.
                Action::Remove if current.is_gone(id) => Ok(()),
                Action::Remove => hardware.stop(id),
            }));
            let result = acted.unwrap_or_else(|panic| {
                std::mem::forget(panic);
                Err(PlatformError::new(Status::DRIVER_INTERNAL_ERROR))
            });
            match (action, &result) {
                (Action::Add, Ok(())) => current.started(id),
                (Action::Remove, Ok(())) => current.stopped(id),
                _ => {}
            }
            result
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
            event.reason.clone_from(&error.reason);
        }
        self.emit(&event);
        result
    }

    /// Returns why a processor must not be started although every party that was asked agreed: a required party has gone missing
    /// (L4), or, if `asked`, another process switched the processor during the asking (Q4).
    fn object(&mut self, processor: Processor, asked: bool) -> Option<PlatformError> {
        let id = processor.id;
        let objection = if let Some(missing) = self.inner.required.missing().into_iter().next() {
            Error::Missing { id, missing }
        } else {
            // In a batch it may be another processor than the one whose turn it is.
            if let Some(processor) = self.inner.with_current(|current| current.touched()) {
                let reason =
                    "another process brought it in while the parties were being asked about it";
                Error::Touched { processor, reason: reason.to_owned() }
            } else {
                let reason = self.monitor.as_mut().filter(|_| asked)?.switched()?;
                self.inner.with_current(|current| current.touch(id));
                self.breach("Q4", Some(processor), None, reason.clone());
                Error::Touched { processor, reason }
            }
        };
        let error = PlatformError::new(objection.status()).with_reason(objection.reason());
        self.objection = Some(objection);
        Some(error)
    }

    /// The reason why a finished transaction failed, if it failed.
    pub(crate) fn refusal(
        &mut self,
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
        Some(self.objection.take().unwrap_or(Error::Platform { action, processor, error }))
    }
}

const fn veto_kind(state: State) -> EventKind {
    if state.is_removal() { EventKind::RemoveVeto } else { EventKind::Veto }
}

/// The answer of a party that panicked (L3).
fn crash(panic: Box<dyn Any + Send>) -> Veto {
    let reason = format!("it panicked: {}", panic_message(&*panic));
    // A panic's payload may have any type, also one whose drop panics.
    std::mem::forget(panic);
    Veto::crash(Status::DRIVER_INTERNAL_ERROR, reason)
}

pub(crate) fn panic_message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message")
}
