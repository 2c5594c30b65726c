//! [`Runner`]: carries out the steps of a transaction on the calling thread.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use hotadd_core::{ActiveSet, PlatformError, Processor, State, Status, Step, Transaction, Veto};

use crate::error::{Action, Error};
use crate::event::{EventKind, Occasion};
use crate::hardware::Hardware;
use crate::member::{Member, Shared};
use crate::observers::Observers;
use crate::published::Published;
use crate::sync::{AtomicBool, Ordering};

mod telling;
mod timed;

pub(crate) use timed::Asked;
use timed::Timed;

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
                    let mut timed = Timed { runner: self, asked, begun: &mut begun };
                    transaction.call_together(parties, departures, &mut timed);
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
            Err(PlatformError { status: Status::DRIVER_INTERNAL_ERROR, errno: None, reason: None })
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
