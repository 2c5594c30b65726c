//! The partition's signals: processors that join and leave, refusals, breaches.

use hotadd_core::Epoch;
use hotadd_wire::{Malformed, Message, Signal};

use crate::event::{Event, EventKind};
use crate::remote::agent_loop::AgentLoop;
use crate::remote::{names, read};

impl AgentLoop {
    pub(super) fn signal(&mut self, message: &Message) {
        let epoch = self.common.published.summary().0;
        // A signal that is unknown or malformed is ignored.
        let Ok(Some(event)) = event(message, epoch) else { return };
        self.observers.tell(&event);
    }
}

/// Converts a signal to an event.
pub(super) fn event(message: &Message, epoch: Epoch) -> Result<Option<Event>, Malformed> {
    let Some(signal) = Signal::read(message)? else { return Ok(None) };
    let party = |name: String| (!name.is_empty()).then(|| read::known_by_name(&name));
    Ok(Some(match signal {
        Signal::Joined(processor, epoch, agreed) => {
            let mut event = Event::new(EventKind::Joined, epoch);
            event.concerns(processor);
            event.agreed = agreed;
            event.clause = (!agreed).then_some("Q3");
            event
        }
        Signal::Left(processor, epoch, surprise) => {
            let mut event = Event::new(EventKind::Left, epoch);
            event.concerns(processor);
            event.surprise = surprise;
            event.clause = surprise.then_some("X2");
            event
        }
        Signal::Refused { id, party: name, status, reason } => {
            let mut event = Event::new(EventKind::Refused, epoch);
            event.id = Some(id);
            event.party = party(name);
            event.status = Some(status);
            event.reason = Some(read::said(&reason));
            event
        }
        Signal::Breach { party: name, clause, reason } => {
            let mut event = Event::new(EventKind::Breach, epoch);
            event.party = party(name);
            event.clause = names::clause(&clause);
            event.reason = Some(read::said(&reason));
            event
        }
    }))
}
