//! The signals of `org.hotadd.Partition1` that report events.

use hotadd::{Event, EventKind, Occasion, Status};
use hotadd_wire::Signal;

/// The signal that reports this event, if there is one.
pub(crate) fn of(event: &Event) -> Option<Signal> {
    let party = || event.party.as_ref().map(|party| party.name.clone()).unwrap_or_default();
    let reason = || event.reason.clone().unwrap_or_default();
    Some(match event.kind {
        EventKind::Joined => Signal::Joined(event.processor?, event.epoch, event.agreed),
        EventKind::Left => Signal::Left(event.processor?, event.epoch, event.surprise),
        // A refused registration is not a refusal of a processor to be added.
        EventKind::Refused if event.occasion == Occasion::Change => Signal::Refused {
            id: event.id?,
            party: party(),
            status: event.status.unwrap_or(Status::UNSUCCESSFUL),
            reason: reason(),
        },
        EventKind::Breach => {
            let clause = event.clause.unwrap_or_default().to_owned();
            Signal::Breach { party: party(), clause, reason: reason() }
        }
        _ => return None,
    })
}
