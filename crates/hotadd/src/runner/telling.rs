//! The events that a runner reports about whole transactions: refusals, joins, leaves and breaches.

use std::time::Instant;

use hotadd_core::Processor;

use crate::error::Error;
use crate::event::{Event, EventKind};
use crate::member::{PartyInfo, Shared};
use crate::runner::Runner;

impl Runner<'_> {
    /// A request was refused before any party was asked, or the refusal has no particular processor.
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

    /// A processor joined or left by agreement.
    pub(crate) fn changed(&mut self, kind: EventKind, processor: Processor, began: Instant) {
        let mut event = self.event(kind);
        event.concerns(processor);
        event.took = Some(began.elapsed());
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

    /// A party registered or deregistered. Its name is copied only if somebody is told.
    pub(crate) fn party(&mut self, kind: EventKind, party: &Shared) {
        let mut event = self.event(kind);
        event.party = self.inner.telling.is_observed().then(|| party.info());
        self.emit(&event);
    }

    /// An event of this occasion.
    pub(super) fn event(&self, kind: EventKind) -> Event {
        Event { occasion: self.occasion, ..Event::new(kind, self.inner.published.summary().0) }
    }

    pub(super) fn emit(&self, event: &Event) {
        // Nobody begins to observe meanwhile: a runner is inside the gate.
        if self.inner.telling.is_observed() {
            self.inner.telling.tell(event);
        } else {
            self.inner.telling.flush();
        }
    }
}
