//! [`Ledger`]: the recent events, why processors are not active, the registered parties and those being waited for, as derived
//! from the partition's events.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use hotadd::{Event, EventKind, HardwareId, Level, PartyInfo};
use hotadd_wire::{MAX_REASON, PartyRow, Room, WaitingRow};

use crate::object::record::Record;
use crate::parties::connection::Connection;
use crate::parties::removed::{Absence, Removed};

/// The maximum number of events that are kept.
const KEPT: usize = 1000;

/// An event, and when it happened in milliseconds since 1970.
type Entry = Arc<(u64, Event)>;

/// A party in another process: the connection over which it is called, and its time limit.
type Remote = (Weak<Connection>, Duration);

/// The partition's recent events and its parties.
#[derive(Default)]
pub(crate) struct Ledger {
    history: VecDeque<Entry>,
    /// The number of the first event in `history`: how many are no longer kept.
    dropped: u64,
    removed: Removed,
    waiting: BTreeMap<u64, (Event, Instant)>,
    roster: HashMap<u64, PartyInfo>,
    remote: HashMap<u64, Remote>,
}

impl Ledger {
    /// Records the parties that are registered when the service begins.
    pub(crate) fn present(&mut self, parties: &[PartyInfo]) {
        self.roster.extend(parties.iter().map(|party| (party.id.0, party.clone())));
    }

    /// Records an event. Returns the connection over which its party was called, if the party is no longer registered.
    pub(crate) fn write(
        &mut self,
        event: &Event,
        is_active: impl FnOnce(HardwareId) -> bool,
    ) -> Option<Weak<Connection>> {
        let party = event.party.as_ref();
        if let Some(party) = party {
            if event.kind == EventKind::Calling {
                self.waiting.insert(party.id.0, (event.clone(), Instant::now()));
                return None;
            }
            // Any other event about a party that is being waited for says how the waiting ended.
            self.waiting.remove(&party.id.0);
        }
        if self.history.len() == KEPT {
            self.history.pop_front();
            self.dropped += 1;
        }
        let time = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let time = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        self.history.push_back(Arc::new((time, event.clone())));
        self.removed.observe(event, time, is_active);
        match (event.kind, party) {
            (EventKind::Registered, Some(party)) => {
                self.roster.insert(party.id.0, party.clone());
                None
            }
            (EventKind::Deregistered, Some(party)) => self.strike(party.id.0),
            _ => None,
        }
    }

    /// Records a party in another process that is about to register.
    pub(crate) fn announce(&mut self, party: u64, connection: Weak<Connection>, limit: Duration) {
        self.remote.insert(party, (connection, limit));
    }

    /// The time limit of a party in another process.
    pub(crate) fn time_limit(&self, party: u64) -> Option<Duration> {
        self.remote.get(&party).map(|(_, limit)| *limit)
    }

    /// Removes a party that is no longer registered, or did not register.
    pub(crate) fn strike(&mut self, party: u64) -> Option<Weak<Connection>> {
        self.roster.remove(&party);
        self.remote.remove(&party).map(|(connection, _)| connection)
    }

    /// The latest events, oldest first: at most `most`.
    pub(crate) fn latest(&self, most: usize) -> Vec<Entry> {
        let skipped = self.history.len().saturating_sub(most);
        self.history.iter().skip(skipped).cloned().collect()
    }

    /// The kept events from this number on, oldest first, and the number of the first of them. Without such an event, that is the
    /// number of the next one.
    pub(crate) fn since(&self, from: u64) -> (u64, Vec<Entry>) {
        let kept = u64::try_from(self.history.len()).unwrap_or(u64::MAX);
        let first = from.clamp(self.dropped, self.dropped.saturating_add(kept));
        let skipped = usize::try_from(first - self.dropped).unwrap_or(usize::MAX);
        (first, self.history.iter().skip(skipped).cloned().collect())
    }

    /// Why this processor and those with greater ids are not active, as many as fit into one message.
    pub(crate) fn absent(&self, first: u32) -> Vec<(u32, Arc<Absence>)> {
        self.removed.from(first)
    }

    /// The parties in calling order: id, name, level, whether it is in another process.
    pub(crate) fn parties(&self) -> Vec<PartyRow> {
        let mut parties: Vec<_> = self.roster.values().collect();
        let key =
            |party: &PartyInfo| (party.level, self.remote.contains_key(&party.id.0), party.id);
        parties.sort_unstable_by_key(|party| key(party));
        let row = |party: &PartyInfo| {
            let (Level(level), remote, id) = key(party);
            (id.0, party.name.clone(), level, remote)
        };
        parties.into_iter().map(row).collect()
    }

    /// The parties being waited for, the longest wait first.
    pub(crate) fn waiting(&self) -> Vec<WaitingRow> {
        let mut waiting: Vec<_> = self.waiting.values().collect();
        waiting.sort_unstable_by_key(|(_, since)| *since);
        let row = |(event, since): &(Event, Instant)| {
            let name = event.party.as_ref().map(|party| party.name.clone());
            let state = event.state.map_or("", hotadd::State::name).to_owned();
            let id = event.id.map_or(0, |id| id.0);
            let micros = u64::try_from(since.elapsed().as_micros()).unwrap_or(u64::MAX);
            (name.unwrap_or_default(), state, id, micros)
        };
        waiting.into_iter().map(row).collect()
    }
}

/// Events as lines of JSON, oldest first: the latest events that fit into one message.
pub(crate) fn lines(entries: &[Entry]) -> Vec<String> {
    let mut lines = fitting(entries.iter().rev());
    lines.reverse();
    lines
}

/// The same with the earliest events that fit.
pub(crate) fn earliest(entries: &[Entry]) -> Vec<String> {
    fitting(entries.iter())
}

/// Events as lines of JSON in this order, up to the first that does not fit into the message.
fn fitting<'a>(entries: impl Iterator<Item = &'a Entry>) -> Vec<String> {
    let mut room = Room::default();
    // The history has no event that has no record, so that no number is skipped.
    let line = |entry: &Entry| {
        let (time, event) = &**entry;
        let mut record = Record::of(event)?;
        record.time = Some(*time);
        record.shorten(MAX_REASON);
        serde_json::to_string(&record).ok()
    };
    // The length before the string, the zero after it, and alignment of the next.
    entries.filter_map(line).take_while(|line| room.takes(line.len() + 8)).collect()
}
