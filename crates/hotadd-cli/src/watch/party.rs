//! [`Party`]: a party as it is shown: registered or missing, with its last answer.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use hotadd::Status;
use hotadd_wire::{MissingRow, PartyRow, WaitingRow};
use serde_json::Value;

/// A registered party, or one that the operator named and that is missing.
#[derive(Clone, Debug)]
pub(super) struct Party {
    pub(super) name: String,
    /// `None` if it is missing.
    pub(super) registered: Option<Registered>,
    pub(super) missing: Option<Gone>,
    /// The last answer that the history has.
    pub(super) last: Option<Answer>,
    /// Whether it is waited for.
    pub(super) waited_for: bool,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Registered {
    pub(super) number: u64,
    pub(super) level: i32,
    pub(super) remote: bool,
}

#[derive(Clone, Debug)]
pub(super) struct Gone {
    /// In milliseconds since 1970.
    pub(super) since: u64,
    pub(super) status: Status,
    pub(super) reason: String,
}

#[derive(Clone, Debug)]
pub(super) struct Answer {
    pub(super) agreed: bool,
    pub(super) removal: bool,
    pub(super) id: u64,
    pub(super) took: Option<Duration>,
    /// In milliseconds since 1970.
    pub(super) time: u64,
    pub(super) event: Value,
}

impl Party {
    /// The missing parties, which are why nothing is added, and then the registered ones in calling order.
    ///
    /// Events have no number of a party. So parties with the same name and level share their last answer.
    pub(super) fn all(
        rows: &[PartyRow],
        missing: &[MissingRow],
        waiting: &[WaitingRow],
        history: &VecDeque<Value>,
    ) -> Vec<Self> {
        let last = last_answers(history);
        let last = |name: &str, level| last.get(&(name, level)).cloned();
        let gone = missing.iter().map(|(name, micros, status, reason)| {
            let status = Status::from_raw(*status);
            let gone = Gone { since: micros / 1000, status, reason: reason.clone() };
            let (name, last) = (name.clone(), last(name, None));
            Self { name, registered: None, missing: Some(gone), last, waited_for: false }
        });
        let waited_for: BTreeSet<&str> = waiting.iter().map(|row| row.0.as_str()).collect();
        let registered = rows.iter().map(|(number, name, level, remote)| Self {
            name: name.clone(),
            registered: Some(Registered { number: *number, level: *level, remote: *remote }),
            missing: None,
            last: last(name, Some((*level).into())),
            waited_for: waited_for.contains(name.as_str()),
        });
        gone.chain(registered).collect()
    }

    /// Whether an event is about this party.
    pub(super) fn is_of(&self, event: &Value) -> bool {
        is_of(event, &self.name, self.registered.map(|registered| registered.level))
    }
}

impl Answer {
    /// The answer that an event is.
    pub(super) fn of(event: &Value) -> Option<Self> {
        let (agreed, removal) = match event["event"].as_str()? {
            "add-start" => (true, false),
            "veto" => (false, false),
            "remove-start" => (true, true),
            "remove-veto" => (false, true),
            _ => return None,
        };
        Some(Self {
            agreed,
            removal,
            id: event["id"].as_u64()?,
            took: event["us"].as_u64().map(Duration::from_micros),
            time: event["time"].as_u64().unwrap_or_default(),
            event: event.clone(),
        })
    }
}

/// The last answer of each party that the history has, by name and level, and by name alone.
fn last_answers(history: &VecDeque<Value>) -> BTreeMap<(&str, Option<i64>), Answer> {
    let mut last = BTreeMap::new();
    for event in history {
        if let (Some(name), Some(answer)) = (event["driver"].as_str(), Answer::of(event)) {
            last.insert((name, event["level"].as_i64()), answer.clone());
            last.insert((name, None), answer);
        }
    }
    last
}

fn is_of(event: &Value, name: &str, level: Option<i32>) -> bool {
    let same = level.is_none_or(|level| event["level"].as_i64() == Some(level.into()));
    event["driver"] == name && same
}
