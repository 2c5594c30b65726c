//! What a runner tells observers of transactions as a whole: who refused, what joined and left, who broke the contract.

use std::time::Instant;

use hotadd_core::{HardwareId, Processor};

use crate::error::Error;
use crate::event::{Event, EventKind};
use crate::member::PartyInfo;
use crate::runner::Runner;

impl Runner<'_> {
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

    /// A processor could be added that was not there before.
    pub(crate) fn appeared(&mut self, id: HardwareId) {
        let mut event = self.event(EventKind::Appeared);
        event.id = Some(id);
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

    /// An event of this occasion.
    pub(super) fn event(&self, kind: EventKind) -> Event {
        Event { occasion: self.occasion, ..Event::new(kind, self.set.epoch()) }
    }

    pub(super) fn emit(&mut self, event: &Event) {
        self.observers.tell(event);
    }
}
