//! What the partition tells everybody: processors that join and leave, refusals, breaches.

use hotadd_core::{Epoch, HardwareId, Status};
use zbus::Message;

use crate::error::Error;
use crate::event::{Event, EventKind};
use crate::remote::desk::Desk;
use crate::remote::line::{Due, Line};
use crate::remote::link::Lost;
use crate::remote::{names, read};
use crate::wire::{self, WireProcessor};

impl Desk {
    pub(super) fn signal(&mut self, line: &mut Line, message: &Message) -> Result<(), Lost> {
        let epoch = self.common.published.summary().0;
        // One that this version does not know, or that is not what it should be, changes nothing.
        let Ok(Some(event)) = event(message, epoch) else { return Ok(()) };
        if event.kind == EventKind::Refused {
            self.withdraw();
        }
        self.due(line, event.epoch, Due::Event(event))
    }
}

/// A signal as the event that it tells of.
pub(super) fn event(message: &Message, epoch: Epoch) -> Result<Option<Event>, Error> {
    let header = message.header();
    let interface = header.interface().map_or("", |interface| interface.as_str());
    let path = header.path().map_or("", |path| path.as_str());
    if (interface, path) != (wire::PARTITION, wire::PARTITION_PATH) {
        return Ok(None);
    }
    let party = |name: String| (!name.is_empty()).then(|| read::known_by_name(&name));
    let event = match header.member().map_or("", |member| member.as_str()) {
        "Joined" => {
            let (processor, epoch, agreed): (WireProcessor, u64, bool) = read::body(message)?;
            let mut event = Event::new(EventKind::Joined, Epoch(epoch));
            event.concerns(wire::read_processor(processor).map_err(read::malformed)?);
            event.agreed = agreed;
            event.clause = (!agreed).then_some("Q3");
            event
        }
        "Left" => {
            let (processor, epoch, surprise): (WireProcessor, u64, bool) = read::body(message)?;
            let mut event = Event::new(EventKind::Left, Epoch(epoch));
            event.concerns(wire::read_processor(processor).map_err(read::malformed)?);
            event.surprise = surprise;
            event.clause = surprise.then_some("X2");
            event
        }
        "Refused" => {
            let (id, name, status, reason): (u32, String, u32, String) = read::body(message)?;
            let mut event = Event::new(EventKind::Refused, epoch);
            event.id = Some(HardwareId(id));
            event.party = party(name);
            event.status = Some(Status::from_raw(status));
            event.reason = Some(read::said(&reason));
            event
        }
        "Breach" => {
            let (name, clause, reason): (String, String, String) = read::body(message)?;
            let mut event = Event::new(EventKind::Breach, epoch);
            event.party = party(name);
            event.clause = names::clause(&clause);
            event.reason = Some(read::said(&reason));
            event
        }
        _ => return Ok(None),
    };
    Ok(Some(event))
}
