//! The events of a running partition, from a number on, as they come.

use hotadd_wire::freedesktop::UNKNOWN_METHOD;
use serde_json::Value;

use super::failure::Failure;

/// After so many past events, those that come meanwhile are no longer waited for. A partition keeps 1,000.
pub(crate) const MOST_PAST: usize = 10_000;

/// An answer of GetEvents: the number of its first event, and the events as JSON.
pub(crate) type Answer = (u64, Vec<String>);

/// How far the events of a partition have been read.
#[derive(Default)]
pub(crate) struct Position {
    next: u64,
}

/// Events that follow one another.
pub(crate) struct Part {
    /// The number of the first one.
    pub(crate) first: u64,
    /// How many before it came too fast, and were missed.
    pub(crate) missed: u64,
    /// The events. One that was not valid JSON is null.
    pub(crate) events: Vec<Value>,
}

impl Position {
    /// The number from which to ask on.
    pub(crate) const fn next(&self) -> u64 {
        self.next
    }

    /// Reads the answer of GetEvents to that number. The next number is that of the event after it.
    pub(crate) fn read(&mut self, answer: Result<Answer, Failure>) -> Result<Part, Failure> {
        let (first, events) = match answer {
            Err(Failure::Refused(refusal)) if refusal.name == UNKNOWN_METHOD => {
                return Err(Failure::Broken(
                    "the partition runs an earlier version of hotadd, whose events cannot be followed"
                        .to_owned(),
                ));
            }
            answer => answer?,
        };
        // The first events that a partition still has are not missed by a reader that begins.
        let missed = if self.next == 0 { 0 } else { first.saturating_sub(self.next) };
        self.next = first.saturating_add(u64::try_from(events.len()).unwrap_or(u64::MAX));
        let events = events.iter().map(|event| serde_json::from_str(event).unwrap_or_default());
        Ok(Part { first, missed, events: events.collect() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(first: u64, events: &[&str]) -> Result<Answer, Failure> {
        Ok((first, events.iter().map(|event| (*event).to_owned()).collect()))
    }

    #[test]
    fn each_part_continues_the_one_before_and_a_gap_is_counted() {
        let mut position = Position::default();
        let part = position.read(answer(5, &["1", "not JSON"])).ok().unwrap();
        assert_eq!((part.first, part.missed), (5, 0), "the history may begin anywhere");
        assert_eq!(part.events, [Value::from(1), Value::Null]);
        assert_eq!(position.next(), 7);
        let part = position.read(answer(7, &[])).ok().unwrap();
        assert_eq!((part.missed, position.next()), (0, 7));
        let part = position.read(answer(10, &["1"])).ok().unwrap();
        assert_eq!((part.missed, position.next()), (3, 11), "three were missed");
        // Hostile numbers.
        let part = position.read(answer(2, &["1"])).ok().unwrap();
        assert_eq!((part.missed, position.next()), (0, 3));
        position.read(answer(u64::MAX, &["1"])).ok().unwrap();
        assert_eq!(position.next(), u64::MAX);
    }
}
