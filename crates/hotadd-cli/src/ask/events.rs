//! The events of a running partition, from a number on, as they come.

use serde_json::Value;

use super::failure::Failure;

/// The error of a partition that does not know GetEvents.
const UNKNOWN: &str = "org.freedesktop.DBus.Error.UnknownMethod";

/// An answer of GetEvents: the number of its first event, and the events as JSON.
pub(crate) type Answer = (u64, Vec<String>);

/// Reads an answer of GetEvents. Returns the number of its first event, and the events.
pub(crate) fn read(answer: Result<Answer, Failure>) -> Result<(u64, Vec<Value>), Failure> {
    match answer {
        // An event that is not valid JSON keeps its number, and is shown as nothing.
        Ok((first, events)) => Ok((
            first,
            events.iter().map(|event| serde_json::from_str(event).unwrap_or_default()).collect(),
        )),
        Err(Failure::Refused(refusal)) if refusal.name == UNKNOWN => Err(Failure::Broken(
            "the partition runs an earlier version of hotadd, whose events cannot be followed"
                .to_owned(),
        )),
        Err(other) => Err(other),
    }
}
