//! [`Model`]: everything that the view shows, and how updates from partitions change it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::{Duration, Instant};

use hotadd::{ActiveSet, HardwareId, MAX_PROCESSORS, Processor};
use hotadd_wire::{AnswerRow, MissingRow, PartyRow, WaitingRow};
use jiff::tz::TimeZone;
use ratatui::layout::Size;
use serde_json::Value;

use super::cursor::Cursor;
use super::party::Party;
use super::state::CpuState;
use crate::ask::out::Out;
use crate::ask::rehearse::verdict;

/// The most events that are kept: as many as a partition keeps.
pub(super) const KEPT: usize = 1000;

/// The most processors of one list that are shown, whatever a partition says.
const MOST: usize = 2 * MAX_PROCESSORS as usize;

/// The partitions that are shown, and what the user has selected.
pub(super) struct Model {
    pub(super) watched: Vec<Watched>,
    /// Which of them is shown.
    pub(super) shown: usize,
    pub(super) size: Size,
    pub(super) popup: Option<Popup>,
    /// The first row of the popup that is shown.
    pub(super) scroll: usize,
    pub(super) zone: TimeZone,
}

/// A window over the view.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Popup {
    Help,
    Processor(u32),
    Party(usize),
    Event(u64),
    /// The answers of the last rehearsal.
    Rehearsal,
    /// Asks whether to remove this processor.
    Removing(u32),
}

/// One partition.
pub(super) struct Watched {
    pub(super) name: String,
    pub(super) connection: Connection,
    pub(super) hardware: String,
    pub(super) set: Option<ActiveSet>,
    candidates: BTreeSet<u32>,
    out: Out,
    places: BTreeMap<u32, Place>,
    pub(super) parties: Vec<Party>,
    rows: Vec<PartyRow>,
    missing: Vec<MissingRow>,
    pub(super) waiting: Vec<WaitingRow>,
    /// When `waiting` arrived.
    pub(super) waiting_at: Instant,
    pub(super) history: VecDeque<Value>,
    /// The number of the first event in `history`.
    pub(super) first: u64,
    pub(super) processors: BTreeMap<u32, Cpu>,
    pub(super) cursor: Cursor,
    /// The requests that have no answer yet.
    pub(super) running: Vec<Action>,
    pub(super) message: Option<Message>,
    /// The last rehearsal: its verdict, whether all agreed, and the answers.
    pub(super) rehearsal: Option<(Message, Vec<AnswerRow>)>,
}

/// The connection to a partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Connection {
    Connecting,
    Live,
    /// It is connected and does not answer.
    Silent(String),
    /// Since when, in milliseconds since 1970, and why it cannot be reached.
    Ended(u64, String),
}

/// A processor as it is shown.
#[derive(Clone, Debug)]
pub(super) struct Cpu {
    pub(super) state: CpuState,
    /// Its names in the partition, if it has some.
    pub(super) processor: Option<Processor>,
    pub(super) place: Place,
    /// The event of its refusal.
    pub(super) refusal: Option<Value>,
}

/// Where a processor is in the machine, as far as it is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub(super) node: Option<u32>,
    pub(super) package: Option<u32>,
    pub(super) core: Option<u32>,
}

/// A request of the user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    Add(u32),
    Remove(u32),
    Rehearse(u32),
    RehearseRemoval(u32),
}

/// A sentence for the user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Message {
    pub(super) text: String,
    pub(super) good: bool,
}

/// What became of a request.
pub(super) enum Outcome {
    /// A sentence.
    Done(String),
    Answers(Vec<AnswerRow>),
    /// Cause, party, clause, in a sentence.
    Failed(String),
}

/// What is new about a partition.
pub(super) enum Update {
    /// Clears everything at a new connection: another process may have taken the name of the partition.
    Connected {
        hardware: String,
    },
    /// The events from this number on.
    Events(u64, Vec<Value>),
    Facts(Box<Facts>),
    /// What may take the partition a while to find out.
    Slow {
        candidates: Vec<u32>,
        missing: Vec<MissingRow>,
        places: BTreeMap<u32, Place>,
    },
    Waiting(Vec<WaitingRow>),
    Silent(String),
    /// When, in milliseconds since 1970, and why.
    Ended(u64, String),
    Done(Action, Outcome),
}

/// What a partition says at once.
pub(super) struct Facts {
    pub(super) set: ActiveSet,
    pub(super) parties: Vec<PartyRow>,
    pub(super) out: Out,
    pub(super) places: BTreeMap<u32, Place>,
}

impl Model {
    pub(super) fn new(names: &[String], size: Size, zone: TimeZone) -> Self {
        let watched = names.iter().map(|name| Watched::new(name)).collect();
        Self { watched, shown: 0, size, popup: None, scroll: 0, zone }
    }

    pub(super) fn current(&self) -> &Watched {
        &self.watched[self.shown]
    }

    pub(super) fn current_mut(&mut self) -> &mut Watched {
        &mut self.watched[self.shown]
    }

    /// Takes what is new about partition number `nth`.
    pub(super) fn take(&mut self, nth: usize, update: Update, now: Instant) {
        let Some(watched) = self.watched.get_mut(nth) else { return };
        let rehearsed = watched.take(update, now);
        if rehearsed && nth == self.shown && self.popup.is_none() {
            self.open(Popup::Rehearsal);
        }
    }

    pub(super) fn open(&mut self, popup: Popup) {
        (self.popup, self.scroll) = (Some(popup), 0);
    }

    /// The time of day of an event, in milliseconds since 1970.
    pub(super) fn clock(&self, ms: u64) -> String {
        let time = i64::try_from(ms).ok().and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok());
        let local = time.map(|time| time.to_zoned(self.zone.clone()));
        local.map(|local| local.strftime("%H:%M:%S").to_string()).unwrap_or_default()
    }
}

impl Watched {
    fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            connection: Connection::Connecting,
            hardware: String::new(),
            set: None,
            candidates: BTreeSet::new(),
            out: Out::default(),
            places: BTreeMap::new(),
            parties: Vec::new(),
            rows: Vec::new(),
            missing: Vec::new(),
            waiting: Vec::new(),
            waiting_at: Instant::now(),
            history: VecDeque::new(),
            first: 0,
            processors: BTreeMap::new(),
            cursor: Cursor::default(),
            running: Vec::new(),
            message: None,
            rehearsal: None,
        }
    }

    /// Takes an update. Returns true if a rehearsal has answers.
    fn take(&mut self, update: Update, now: Instant) -> bool {
        let nothing = matches!(&update, Update::Waiting(waiting) if waiting.is_empty());
        if nothing && self.waiting.is_empty() && self.connection == Connection::Live {
            return false;
        }
        if !matches!(update, Update::Silent(_) | Update::Ended(..) | Update::Done(..)) {
            self.connection = Connection::Live;
        }
        match update {
            Update::Connected { hardware } => {
                self.hardware = hardware;
                self.history.clear();
                self.first = 0;
                self.cursor.event = None;
                self.waiting.clear();
                self.candidates.clear();
                self.missing.clear();
            }
            Update::Events(first, events) => self.events(first, events),
            Update::Facts(facts) => {
                let Facts { set, parties, out, places } = *facts;
                (self.set, self.rows, self.out, self.places) = (Some(set), parties, out, places);
            }
            Update::Slow { candidates, missing, places } => {
                self.places = places;
                self.candidates = candidates.into_iter().take(MOST).collect();
                self.missing = missing;
            }
            Update::Waiting(waiting) => (self.waiting, self.waiting_at) = (waiting, now),
            Update::Silent(why) => self.connection = Connection::Silent(why),
            Update::Ended(at, why) => {
                self.waiting.clear();
                let since = match &self.connection {
                    Connection::Ended(since, _) => *since,
                    _ => at,
                };
                self.connection = Connection::Ended(since, why);
            }
            Update::Done(action, outcome) => return self.done(action, outcome),
        }
        self.refresh();
        false
    }

    fn events(&mut self, first: u64, events: Vec<Value>) {
        // No partition has so many events. A hostile number must leave room to count on.
        let first = first.min(u64::MAX / 2);
        if first != self.next() {
            self.history.clear();
            self.first = first;
        }
        for event in events {
            if self.history.len() == KEPT {
                self.history.pop_front();
                self.first += 1;
            }
            self.history.push_back(event);
        }
    }

    fn done(&mut self, action: Action, outcome: Outcome) -> bool {
        if let Some(nth) = self.running.iter().position(|running| *running == action) {
            self.running.remove(nth);
        }
        let (text, good) = match outcome {
            Outcome::Done(text) => (text, true),
            Outcome::Failed(text) => (text, false),
            Outcome::Answers(answers) => {
                let good = answers.iter().all(|answer| answer.3);
                let removal = matches!(action, Action::RehearseRemoval(_));
                let text = verdict(action.id(), good, removal);
                let message = Message { text: format!("{text}; asked: {}", answers.len()), good };
                self.rehearsal = Some((message.clone(), answers));
                self.message = Some(message);
                return true;
            }
        };
        self.message = Some(Message { text, good });
        false
    }

    /// Brings together what is known about each processor and each party.
    fn refresh(&mut self) {
        self.parties = Party::all(&self.rows, &self.missing, &self.waiting, &self.history);
        let Some(set) = &self.set else { return };
        let known = set.known().map(|(processor, _)| processor.id.0);
        let proposed = set.proposed().iter().map(|processor| processor.id.0);
        let out = self.out.refused.keys().copied();
        let vanished = self.out.vanished.iter().map(|id| id.0);
        let candidates = self.candidates.iter().copied();
        let ids = known.chain(proposed).chain(candidates).chain(out).chain(vanished);
        self.processors = ids.map(|id| (id, self.cpu(set, id))).collect();
        self.cursor.keep(&self.processors, self.parties.len());
    }

    fn cpu(&self, set: &ActiveSet, id: u32) -> Cpu {
        let processor = set.by_id(HardwareId(id));
        let active = processor.is_some_and(|processor| set.contains(processor.index));
        let refusal = self.out.refused.get(&id).filter(|_| !active).cloned();
        let state = if self.waiting.iter().any(|(_, _, of, _)| *of == id) {
            CpuState::Waiting
        } else if let (true, Some(processor)) = (active, processor) {
            if set.is_agreed(processor.index) { CpuState::Active } else { CpuState::Unagreed }
        } else if set.proposed().iter().any(|processor| processor.id.0 == id) {
            CpuState::Adding
        } else if refusal.is_some() {
            CpuState::Refused
        } else if self.candidates.contains(&id) {
            CpuState::Present
        } else {
            CpuState::Absent
        };
        let place = self.places.get(&id).copied().unwrap_or_default();
        Cpu { state, processor, place, refusal }
    }

    /// How long the parties that are waited for have taken.
    pub(super) fn waits(&self, now: Instant) -> impl Iterator<Item = (&WaitingRow, Duration)> {
        let since = now.saturating_duration_since(self.waiting_at);
        self.waiting.iter().map(move |row| (row, Duration::from_micros(row.3) + since))
    }

    /// The number of the next event.
    pub(super) fn next(&self) -> u64 {
        self.first + u64::try_from(self.history.len()).unwrap_or(0)
    }

    /// The event of this number.
    pub(super) fn event(&self, number: u64) -> Option<&Value> {
        let nth = number.checked_sub(self.first)?;
        self.history.get(usize::try_from(nth).ok()?)
    }
}

impl Action {
    pub(super) const fn id(self) -> u32 {
        let (Self::Add(id) | Self::Remove(id) | Self::Rehearse(id) | Self::RehearseRemoval(id)) =
            self;
        id
    }

    /// What is done, for a sentence.
    pub(super) fn verb(self) -> String {
        match self {
            Self::Add(id) => format!("adding {id}"),
            Self::Remove(id) => format!("removing {id}"),
            Self::Rehearse(id) => format!("rehearsing {id}"),
            Self::RehearseRemoval(id) => format!("rehearsing the removal of {id}"),
        }
    }
}
