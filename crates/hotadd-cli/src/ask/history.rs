//! `hotadd history`: the past events of a partition, and with --follow those that come.

use std::time::Duration;

use serde_json::Value;

use super::error::AskError;
use super::events::{MOST_PAST, Position};
use super::failure::Failure;
use super::lines::event_line;
use super::talk::Talk;
use crate::args::History;
use crate::say;

/// How often a partition is asked for new events.
const EVERY: Duration = Duration::from_millis(200);

/// Shows the events.
pub(crate) fn history(history: &History) -> Result<bool, AskError> {
    let talk = Talk::with(&history.ask)?;
    if !history.follow && history.since.is_none() {
        let events: Vec<String> = talk.call("GetHistory", &(history.most,))?;
        let events = events.iter().map(|event| serde_json::from_str(event).unwrap_or_default());
        events.for_each(|event| show(history, &event));
        return Ok(true);
    }
    let (mut position, mut read) = (Position::default(), 0);
    let mut past = Vec::new();
    loop {
        let mut part = position.read(talk.call_anew("GetEvents", &(position.next(),)))?;
        if part.events.is_empty() {
            break;
        }
        read += part.events.len();
        past.append(&mut part.events);
        // More than a partition keeps: events come while they are read.
        let most = usize::try_from(history.most).unwrap_or(usize::MAX);
        past.retain(|event| is_wanted(history, event));
        past.drain(..past.len().saturating_sub(most));
        if read > MOST_PAST {
            break;
        }
    }
    past.iter().for_each(|event| show(history, event));
    if history.follow { follow(&talk, history, position) } else { Ok(true) }
}

/// Shows events as they come, until the partition ends or the reader of the output goes away.
fn follow(talk: &Talk, history: &History, mut position: Position) -> Result<bool, AskError> {
    loop {
        if say::is_unheard() {
            return Ok(true);
        }
        let part = match position.read(talk.call_anew("GetEvents", &(position.next(),))) {
            Ok(part) => part,
            // Without a partition its bus name has no owner.
            Err(Failure::Closed(_) | Failure::NoPartition(_)) => {
                say::wrong("the partition has ended");
                return Ok(true);
            }
            Err(other) => return Err(other.into()),
        };
        if part.missed > 0 {
            say::wrong(format!("{} events came too fast and were missed", part.missed));
        }
        part.events.iter().for_each(|event| show(history, event));
        if part.events.is_empty() {
            talk.pause(EVERY)?;
        }
    }
}

fn is_wanted(history: &History, event: &Value) -> bool {
    let time = event["time"].as_u64().unwrap_or(0);
    history.since.is_none_or(|since| time >= since.0)
}

fn show(history: &History, event: &Value) {
    // An event that was not valid JSON is skipped.
    if event.is_null() {
        return;
    }
    if history.ask.json { say::json(event) } else { say::line(event_line(event)) }
}
