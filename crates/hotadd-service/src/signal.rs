//! The signals of `org.hotadd.Partition1`.

use hotadd::{Event, EventKind, Occasion, Status, wire};
use zbus::Message;
use zbus::names::UniqueName;

/// The signal that tells of this event, if one does: for one peer of a bus, or for whoever it is sent to.
pub(crate) fn of(event: &Event, to: Option<&UniqueName<'static>>) -> Option<Message> {
    // Of any length, with anything in it: what a driver of this process gives as its reason.
    let reason = wire::text(event.reason.as_deref().unwrap_or_default(), wire::MAX_REASON);
    let party = event.party.as_ref().map_or("", |party| party.name.as_str());
    let message = match event.kind {
        EventKind::Joined => {
            let processor = wire::processor(event.processor?);
            signal(to, "Joined", &(processor, event.epoch.0, event.agreed))
        }
        // A driver that may not register says nothing of a processor that was to be added.
        EventKind::Refused if event.occasion == Occasion::Change => {
            let status = event.status.unwrap_or(Status::UNSUCCESSFUL).to_raw();
            signal(to, "Refused", &(event.id?.0, party, status, &*reason))
        }
        EventKind::Left => {
            let processor = wire::processor(event.processor?);
            signal(to, "Left", &(processor, event.epoch.0, event.surprise))
        }
        EventKind::Breach => {
            signal(to, "Breach", &(party, event.clause.unwrap_or_default(), &*reason))
        }
        _ => return None,
    };
    // The names are fixed and the bodies small: it cannot fail.
    message.ok()
}

fn signal<B>(
    to: Option<&UniqueName<'static>>,
    name: &'static str,
    body: &B,
) -> zbus::Result<Message>
where
    B: serde::Serialize + zbus::zvariant::DynamicType,
{
    let mut signal = Message::signal(wire::PARTITION_PATH, wire::PARTITION, name)?;
    if let Some(to) = to {
        signal = signal.destination(to.clone())?;
    }
    signal.build(body)
}
