//! Feeds a partition's messages to every function that may decode them.

use hotadd_core::{ActiveSet, Epoch, HardwareId, Level, PartyId, State};
use hotadd_wire::{self as wire, Message, Stream, WireNotice};

use crate::error::Action;
use crate::member::PartyInfo;
use crate::remote::read::{self, About};
use crate::remote::{names, signals};

/// Reads the input of a connection. Returns the number of messages.
pub fn partition(bytes: &[u8]) -> usize {
    let mut stream = Stream::of_peer();
    stream.room().extend_from_slice(bytes);
    let mut count = 0;
    while let Ok(Some(message)) = stream.message() {
        let _ = format!("{message:?}");
        every_reader(&message);
        count += 1;
    }
    count
}

/// Calls every reader. Which reader decodes a reply depends on the call, which is not in the message.
fn every_reader(message: &Message) {
    let Ok(set) = ActiveSet::first(&[HardwareId(0)], 4) else { return };
    let us = PartyInfo { id: PartyId(1), name: "us".to_owned(), level: Level(0) };
    for (action, party) in [(Action::Add, None), (Action::Remove, Some(us))] {
        let about = About { what: "adding", action, party, set: &set };
        // The text of an error is displayed to users.
        let _ = read::change(message, &about).map_err(|error| error.to_string());
        let _ = read::rehearsal(message, &about).map_err(|error| error.to_string());
        let _ = read::batch(message, &[HardwareId(1)], &about);
        let _ = read::parties(message, &about);
    }
    let _ = read::candidates(message);
    let _ = read::missing(message);
    let _ = signals::event(message, Epoch(1));
    let _ = read::body::<String>(message).map(|name| names::hardware(&name).len());
    let _ = read::page(message).map_err(|error| error.to_string());
    for state in State::ALL {
        let Ok(arguments) = read::body::<WireNotice>(message) else { break };
        let _ = wire::read_notice(state, arguments);
    }
}
