//! [`View`]: what a person is shown of a run, collected from its events. The TUI and the plain lines use it.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use hotadd::{Event, EventKind, Follow, HardwareId, Occasion, State};
use hotadd_service::host::Output;

use crate::degraded;

/// How many lines of history are kept for the TUI.
const NOTES: usize = 64;

/// The state of a run as a person is shown it.
#[derive(Debug)]
pub struct View {
    /// `cpuset`, `affinity` or `simulated`.
    pub hardware: &'static str,
    /// The command, or what runs instead of it.
    pub title: String,
    /// Registered drivers, in calling order.
    pub drivers: Vec<DriverRow>,
    /// Every processor that is or may be in the partition.
    pub processors: BTreeMap<HardwareId, ProcessorRow>,
    /// The call under way.
    pub waiting: Option<Waiting>,
    /// What happened last, oldest first.
    pub notes: Vec<Note>,
    /// The epoch of the last event.
    pub epoch: u64,
    /// What happens when a processor appears; `None` where that is not shown.
    pub follow: Option<Follow>,
    /// Steps per second of the built-in load, by processor; `None` when there is no such load.
    pub rates: Option<BTreeMap<HardwareId, f64>>,
    /// When the run began.
    pub began: Instant,
}

/// A driver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DriverRow {
    /// The name of its party.
    pub name: String,
    /// The level at which it is asked.
    pub level: i32,
    /// It is registered, or was.
    pub registered: bool,
}

/// A processor.
#[derive(Clone, Debug)]
pub struct ProcessorRow {
    /// Its index, once it has joined.
    pub index: Option<u32>,
    /// Its state.
    pub state: RowState,
    /// Each driver's last answer, in calling order.
    pub answers: Vec<AnswerCell>,
    /// Why it is not added, or not removed.
    pub why: Option<String>,
    /// How long joining or leaving took.
    pub took: Option<Duration>,
}

/// The state of a processor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RowState {
    /// Not active, and nothing happens to it.
    Spare,
    /// Drivers are being asked, or told.
    Asking,
    /// Active, by agreement.
    Active,
    /// Active without agreement: no party was asked.
    Uninvited,
    /// Refused: it has not joined.
    Refused,
    /// It was active, and has left.
    Left,
}

/// A driver's answer.
#[derive(Clone, Debug)]
pub struct AnswerCell {
    /// The driver's name.
    pub driver: String,
    /// Whether it agreed.
    pub agreed: bool,
    /// How long it took.
    pub took: Duration,
}

/// A call under way.
#[derive(Clone, Debug)]
pub struct Waiting {
    /// The driver that is called.
    pub driver: String,
    /// The state of the call.
    pub state: State,
    /// The processor of the call.
    pub id: HardwareId,
    /// When the call began.
    pub since: Instant,
}

/// A line of history.
#[derive(Clone, Debug)]
pub struct Note {
    /// Its text.
    pub text: String,
    /// Whether it is good or bad news.
    pub weight: Weight,
}

/// Whether a line is good or bad news.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weight {
    /// Good news.
    Good,
    /// Bad news.
    Bad,
    /// Neither.
    Plain,
}

impl ProcessorRow {
    const fn new(index: Option<u32>, state: RowState) -> Self {
        Self { index, state, answers: Vec::new(), why: None, took: None }
    }
}

impl Note {
    /// The line for output of a driver.
    #[must_use]
    pub fn of_driver(driver: &str, output: &Output) -> Self {
        let (weight, text) = match output {
            Output::Printed(text) => (Weight::Plain, format!("{driver}: {text}")),
            Output::Breach(what) => (Weight::Bad, format!("breach by {driver}: {what}")),
            Output::Fault(_, what) => (Weight::Bad, format!("{driver} {what}")),
            Output::Unloaded(left) | Output::LeftMemory(left) => {
                (Weight::Plain, format!("{driver}: {left}"))
            }
        };
        Self { text, weight }
    }
}

impl View {
    /// A view of a partition with these processors, each active one with its index.
    pub fn new(
        hardware: &'static str,
        title: String,
        active: impl IntoIterator<Item = (HardwareId, u32)>,
        spare: impl IntoIterator<Item = HardwareId>,
    ) -> Self {
        let spare = spare.into_iter().map(|id| (id, ProcessorRow::new(None, RowState::Spare)));
        let row = |at| ProcessorRow::new(Some(at), RowState::Active);
        let active = active.into_iter().map(|(id, at)| (id, row(at)));
        Self {
            hardware,
            title,
            drivers: Vec::new(),
            processors: spare.chain(active).collect(),
            waiting: None,
            notes: Vec::new(),
            epoch: 1,
            follow: None,
            rates: None,
            began: Instant::now(),
        }
    }

    /// How many processors are active.
    #[must_use]
    pub fn active(&self) -> usize {
        let active =
            |row: &&ProcessorRow| matches!(row.state, RowState::Active | RowState::Uninvited);
        self.processors.values().filter(active).count()
    }

    /// The built-in load's steps per second over all processors.
    #[must_use]
    pub fn total_rate(&self) -> Option<f64> {
        self.rates.as_ref().map(|rates| rates.values().sum())
    }

    /// Records an event. Returns the line to show for it, if there is one.
    pub fn take(&mut self, event: &Event) -> Option<Note> {
        self.epoch = event.epoch.0;
        self.waiting = None;
        match event.kind {
            EventKind::Calling => self.calling(event),
            EventKind::AddStart
            | EventKind::Veto
            | EventKind::RemoveStart
            | EventKind::RemoveVeto => {
                self.answered(event);
            }
            EventKind::Registered => self.registered(event),
            EventKind::Deregistered => self.deregistered(event),
            EventKind::Joined | EventKind::Refused | EventKind::Left | EventKind::RemoveRefused => {
                self.concluded(event);
            }
            EventKind::Appeared => self.appeared(event),
            _ => {}
        }
        let note = self.note(event)?;
        self.keep(&note);
        Some(note)
    }

    /// Records output of a driver. Returns the line to show for it.
    pub fn output(&mut self, driver: &str, output: &Output) -> Note {
        let note = Note::of_driver(driver, output);
        self.keep(&note);
        note
    }

    /// Adds a line of history that belongs to no event.
    pub fn remark(&mut self, weight: Weight, text: String) -> Note {
        let note = Note { text, weight };
        self.keep(&note);
        note
    }

    fn keep(&mut self, note: &Note) {
        if self.notes.len() == NOTES {
            self.notes.remove(0);
        }
        self.notes.push(note.clone());
    }

    fn row(&mut self, event: &Event) -> Option<&mut ProcessorRow> {
        if event.occasion != Occasion::Change {
            return None;
        }
        let spare = || ProcessorRow::new(None, RowState::Spare);
        Some(self.processors.entry(event.id?).or_insert_with(spare))
    }

    fn calling(&mut self, event: &Event) {
        let (Some(party), Some(id), Some(state)) = (&event.party, event.id, event.state) else {
            return;
        };
        self.waiting =
            Some(Waiting { driver: party.name.clone(), state, id, since: Instant::now() });
        if let Some(row) = self.row(event).filter(|_| state.may_veto()) {
            if row.state != RowState::Asking {
                row.answers.clear();
                row.why = None;
            }
            row.state = RowState::Asking;
        }
    }

    fn answered(&mut self, event: &Event) {
        let Some(party) = &event.party else { return };
        let cell = AnswerCell {
            driver: party.name.clone(),
            agreed: matches!(event.kind, EventKind::AddStart | EventKind::RemoveStart),
            took: event.took.unwrap_or_default(),
        };
        if let Some(row) = self.row(event) {
            row.answers.push(cell);
        }
    }

    fn registered(&mut self, event: &Event) {
        let Some(party) = &event.party else { return };
        let row = DriverRow { name: party.name.clone(), level: party.level.0, registered: true };
        let at = self.drivers.partition_point(|d| d.level <= row.level);
        self.drivers.insert(at, row);
    }

    fn deregistered(&mut self, event: &Event) {
        let Some(party) = &event.party else { return };
        let gone =
            |d: &&mut DriverRow| d.registered && d.name == party.name && d.level == party.level.0;
        if let Some(row) = self.drivers.iter_mut().find(gone) {
            row.registered = false;
        }
    }

    fn concluded(&mut self, event: &Event) {
        let index = event.processor.map(|p| p.index.get());
        let Some(row) = self.row(event) else { return };
        if row.state != RowState::Asking {
            // No party was asked this time: the answers that are there belong to an earlier transaction.
            row.answers.clear();
        }
        row.took = event.took;
        row.why = event.reason.as_ref().map(|reason| match &event.party {
            Some(party) => format!("{party}: {reason}"),
            None => reason.clone(),
        });
        row.state = match event.kind {
            EventKind::Joined if !event.agreed => RowState::Uninvited,
            EventKind::Joined | EventKind::RemoveRefused => RowState::Active,
            EventKind::Left => RowState::Left,
            _ => RowState::Refused,
        };
        if event.kind == EventKind::Joined {
            row.index = index;
        }
    }

    /// Makes a row for a processor that was not known. For one that had left, earlier answers are cleared.
    fn appeared(&mut self, event: &Event) {
        let Some(row) = self.row(event) else { return };
        if matches!(row.state, RowState::Active | RowState::Uninvited) {
            return;
        }
        row.state = RowState::Spare;
        row.answers.clear();
        (row.why, row.took) = (None, None);
    }

    fn note(&self, event: &Event) -> Option<Note> {
        let id = event.id.map(|id| format!("processor {id}")).unwrap_or_default();
        let party = event.party.as_ref().map(|p| p.name.as_str()).unwrap_or_default();
        let reason = event.reason.as_deref().unwrap_or_default();
        let clause = event.clause.map(|c| format!(" ({c})")).unwrap_or_default();
        let took = event.took.map(|t| format!(" in {}", millis(t))).unwrap_or_default();
        let (weight, text) = match event.kind {
            EventKind::Registered => {
                let level = event.party.as_ref().map_or(0, |p| p.level.0);
                (Weight::Plain, format!("driver {party} registered at level {level}"))
            }
            EventKind::Deregistered => (Weight::Plain, format!("driver {party} deregistered")),
            EventKind::Joined if !event.agreed => {
                (Weight::Bad, format!("{id} joined without agreement{clause}"))
            }
            EventKind::Joined => {
                let names = event.processor.map(|p| format!("index {}, {}", p.index, p.number()));
                let names = names.unwrap_or_default();
                (Weight::Good, format!("{id} joined ({names}){took}{}", self.answers(event)))
            }
            EventKind::Left if event.surprise => {
                (Weight::Bad, format!("{id} vanished without a remove{clause}"))
            }
            EventKind::Left => (Weight::Good, format!("{id} left{took}{}", self.answers(event))),
            EventKind::Refused if event.occasion == Occasion::Replay => {
                (Weight::Bad, format!("driver {party} did not register: {reason}"))
            }
            EventKind::Refused | EventKind::RemoveRefused => {
                let stays = if event.kind == EventKind::Refused { "out" } else { "in" };
                let who =
                    if party.is_empty() { String::new() } else { format!("{party} refused: ") };
                let status = event.status.and_then(hotadd::Status::name);
                let known = [status, event.clause].into_iter().flatten().collect::<Vec<_>>();
                (Weight::Bad, format!("{id} stays {stays}: {who}{reason} ({})", known.join(", ")))
            }
            EventKind::Appeared => {
                let follows = match self.follow {
                    Some(Follow::Ask) => "; all parties are asked",
                    Some(Follow::Report) => "; no party is asked (--follow report)",
                    _ => "",
                };
                (Weight::Plain, format!("{id} appeared{follows}"))
            }
            EventKind::Missing => (Weight::Bad, degraded::now(party, reason)),
            EventKind::Present => (Weight::Good, degraded::present_again(party)),
            EventKind::Breach => {
                let who = if party.is_empty() { String::new() } else { format!(" by {party}") };
                (
                    Weight::Bad,
                    format!("breach of {}{who}: {reason}", event.clause.unwrap_or("the contract")),
                )
            }
            _ => return None,
        };
        Some(Note { text, weight })
    }

    /// `; sample agreed in 0.1 ms, pool in 2.0 ms`
    fn answers(&self, event: &Event) -> String {
        const SHOWN: usize = 4;
        let Some(row) = event.id.and_then(|id| self.processors.get(&id)) else {
            return String::new();
        };
        let agreed = || row.answers.iter().filter(|answer| answer.agreed);
        let shown = agreed().take(SHOWN);
        let mut all: Vec<_> = shown.map(|a| format!("{} {}", a.driver, millis(a.took))).collect();
        if agreed().count() > SHOWN {
            all.push(format!("{} more", agreed().count() - SHOWN));
        }
        if all.is_empty() { String::new() } else { format!("; agreed: {}", all.join(", ")) }
    }
}

/// `0.12 ms`, `1.50 s`
#[must_use]
pub fn millis(time: Duration) -> String {
    if time < Duration::from_secs(1) {
        format!("{:.2} ms", time.as_secs_f64() * 1e3)
    } else {
        format!("{:.2} s", time.as_secs_f64())
    }
}

#[cfg(test)]
mod tests;
