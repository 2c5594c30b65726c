//! The signals of `org.hotadd.Partition1`.

use hotadd::{Event, EventKind, Occasion, Status, wire};
use zbus::Message;

/// The signal that tells of this event, if one does.
pub(crate) fn of(event: &Event) -> Option<Message> {
    let reason = event.reason.as_deref().unwrap_or_default();
    let party = event.party.as_ref().map_or("", |party| party.name.as_str());
    let message = match event.kind {
        EventKind::Joined => {
            let processor = wire::processor(event.processor?);
            signal("Joined", &(processor, event.epoch.0, event.agreed))
        }
        // A driver that may not register says nothing of a processor that was to be added.
        EventKind::Refused if event.occasion == Occasion::Change => {
            let status = event.status.unwrap_or(Status::UNSUCCESSFUL).to_raw();
            signal("Refused", &(event.id?.0, party, status, reason))
        }
        EventKind::Left => {
            let processor = wire::processor(event.processor?);
            signal("Left", &(processor, event.epoch.0, event.surprise))
        }
        EventKind::Breach => signal("Breach", &(party, event.clause.unwrap_or_default(), reason)),
        _ => return None,
    };
    // The names are fixed and the bodies small: it cannot fail.
    message.ok()
}

fn signal<B>(name: &'static str, body: &B) -> zbus::Result<Message>
where
    B: serde::Serialize + zbus::zvariant::DynamicType,
{
    Message::signal(wire::PARTITION_PATH, wire::PARTITION, name)?.build(body)
}
