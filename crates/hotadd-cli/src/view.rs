//! [`View`]: what a person is shown of a run, gathered from its events. The board and the plain lines both draw from it.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use hotadd::{Event, EventKind, Follow, HardwareId, Occasion, State};
use hotadd_service::host::Said;

use crate::degraded;

/// How many lines of history are kept for the board.
const NOTES: usize = 64;

/// The state of a run as a person is shown it.
#[derive(Debug)]
pub(crate) struct View {
    /// `cpuset`, `affinity` or `simulated`.
    pub(crate) hardware: &'static str,
    /// The command, or what runs in its place.
    pub(crate) title: String,
    /// Registered drivers, in calling order.
    pub(crate) drivers: Vec<DriverRow>,
    /// Every processor that is or may be in the partition.
    pub(crate) processors: BTreeMap<HardwareId, ProcessorRow>,
    /// The call that is under way.
    pub(crate) waiting: Option<Waiting>,
    /// What happened last, oldest first.
    pub(crate) notes: Vec<Note>,
    pub(crate) epoch: u64,
    /// What is done with a processor that appears; `None` where that is nothing to tell of.
    pub(crate) follow: Option<Follow>,
    /// Steps per second of the built-in load, by processor; `None` when there is no such load.
    pub(crate) rates: Option<BTreeMap<HardwareId, f64>>,
    pub(crate) began: Instant,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DriverRow {
    pub(crate) name: String,
    pub(crate) level: i32,
    pub(crate) registered: bool,
}

#[derive(Clone, Debug)]
pub(crate) struct ProcessorRow {
    pub(crate) index: Option<u32>,
    pub(crate) state: RowState,
    /// Each driver's last answer, in the order of asking.
    pub(crate) answers: Vec<AnswerCell>,
    /// Why it stays out, or in.
    pub(crate) why: Option<String>,
    /// How long joining or leaving took.
    pub(crate) took: Option<Duration>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RowState {
    /// Not active, and nothing happens to it.
    Spare,
    /// Drivers are being asked, or told.
    Asking,
    Active,
    /// Active without anybody having been asked.
    Uninvited,
    Refused,
    Left,
}

#[derive(Clone, Debug)]
pub(crate) struct AnswerCell {
    pub(crate) driver: String,
    pub(crate) agreed: bool,
    pub(crate) took: Duration,
}

#[derive(Clone, Debug)]
pub(crate) struct Waiting {
    pub(crate) driver: String,
    pub(crate) state: State,
    pub(crate) id: HardwareId,
    pub(crate) since: Instant,
}

/// A line of history.
#[derive(Clone, Debug)]
pub(crate) struct Note {
    pub(crate) text: String,
    pub(crate) weight: Weight,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Weight {
    Good,
    Bad,
    Plain,
}

impl Note {
    /// The line that tells a person of what a driver said.
    pub(crate) fn of_driver(driver: &str, said: &Said) -> Self {
        let (weight, text) = match said {
            Said::Printed(text) => (Weight::Plain, format!("{driver}: {text}")),
            Said::Breach(what) => (Weight::Bad, format!("breach by {driver}: {what}")),
            Said::Fault(_, what) => (Weight::Bad, format!("{driver} {what}")),
            Said::Unloaded(left) => (Weight::Plain, format!("{driver}: {left}")),
        };
        Self { text, weight }
    }
}

impl View {
    pub(crate) fn new(
        hardware: &'static str,
        title: String,
        active: impl IntoIterator<Item = (HardwareId, u32)>,
        spare: impl IntoIterator<Item = HardwareId>,
    ) -> Self {
        let row = |index, state| ProcessorRow {
            index,
            state,
            answers: Vec::new(),
            why: None,
            took: None,
        };
        let spare = spare.into_iter().map(|id| (id, row(None, RowState::Spare)));
        let active = active.into_iter().map(|(id, at)| (id, row(Some(at), RowState::Active)));
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
    pub(crate) fn active(&self) -> usize {
        let active =
            |row: &&ProcessorRow| matches!(row.state, RowState::Active | RowState::Uninvited);
        self.processors.values().filter(active).count()
    }

    /// The built-in load's steps per second over all processors.
    pub(crate) fn total_rate(&self) -> Option<f64> {
        self.rates.as_ref().map(|rates| rates.values().sum())
    }

    /// Takes an event in. Returns the line that tells a person of it, if it is worth one.
    pub(crate) fn take(&mut self, event: &Event) -> Option<Note> {
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

    /// Takes in what a driver said. Returns the line that tells a person of it.
    pub(crate) fn hear(&mut self, driver: &str, said: &Said) -> Note {
        let note = Note::of_driver(driver, said);
        self.keep(&note);
        note
    }

    /// A line of history that is about no event.
    pub(crate) fn remark(&mut self, weight: Weight, text: String) -> Note {
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
        let row = self.processors.entry(event.id?).or_insert_with(|| ProcessorRow {
            index: None,
            state: RowState::Spare,
            answers: Vec::new(),
            why: None,
            took: None,
        });
        Some(row)
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
            // Nobody was asked this time: what is there are the answers of another.
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

    /// A row for it, if it was not known. Of one that was away, what is known from before is over.
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
                (Weight::Bad, format!("{id} vanished without asking{clause}"))
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
                    Some(Follow::Ask) => "; everybody is asked",
                    Some(Follow::Report) => "; nobody is asked (--follow report)",
                    Some(Follow::Manual) | None => "",
                };
                (Weight::Plain, format!("{id} appeared{follows}"))
            }
            EventKind::Missing => (Weight::Bad, degraded::now(party, reason)),
            EventKind::Present => (Weight::Good, degraded::over(party)),
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
pub(crate) fn millis(time: Duration) -> String {
    if time < Duration::from_secs(1) {
        format!("{:.2} ms", time.as_secs_f64() * 1e3)
    } else {
        format!("{:.2} s", time.as_secs_f64())
    }
}

/// `412.3 M/s`
pub(crate) fn rate(steps_per_second: f64) -> String {
    format!("{:.1} M/s", steps_per_second / 1e6)
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use hotadd::hardware::Simulated;
    use hotadd::{Notice, Partition, Veto};

    use super::*;

    /// What is seen of a partition of processor 0 in which processor 1 appears, and then something else happens.
    fn after_an_appearance(
        follow: Follow,
        then: impl FnOnce(&Partition, &Simulated),
    ) -> (View, Vec<String>) {
        let hardware = Simulated::new(1, 1).unwrap();
        hardware.unplug(HardwareId(1));
        let partition = Partition::simulated(&hardware).unwrap();
        let mut view = View::new(
            "simulated",
            String::new(),
            [(HardwareId(0), 0)],
            partition.candidates().unwrap(),
        );
        view.follow = Some(follow);
        assert!(!view.processors.contains_key(&HardwareId(1)), "nobody knows it at the start");
        let seen = Arc::new(Mutex::new((view, Vec::new())));
        let into = Arc::clone(&seen);
        let see = move |event: &Event| {
            let (view, notes) = &mut *into.lock().unwrap();
            notes.extend(view.take(event).map(|note| note.text));
        };
        let observation = partition.observe(see).unwrap();
        hardware.plug(HardwareId(1));
        then(&partition, &hardware);
        drop((observation, partition));
        let seen = Arc::into_inner(seen).expect("the observer is dropped");
        seen.into_inner().unwrap()
    }

    #[test]
    fn h2_one_that_appears_has_a_row_and_a_line_that_says_whether_anybody_is_asked() {
        let lines = [
            (Follow::Ask, "processor 1 appeared; everybody is asked"),
            (Follow::Report, "processor 1 appeared; nobody is asked (--follow report)"),
        ];
        for (follow, line) in lines {
            let (view, notes) = after_an_appearance(follow, |_, _| ());
            assert_eq!(notes, [line]);
            assert_eq!(view.processors[&HardwareId(1)].state, RowState::Spare);
        }
    }

    #[test]
    fn h2_what_became_of_one_that_appeared_is_in_its_row_until_it_appears_anew() {
        let (view, notes) = after_an_appearance(Follow::Ask, |partition, _| {
            partition.add(HardwareId(1)).unwrap();
        });
        let row = &view.processors[&HardwareId(1)];
        assert_eq!((row.state, row.index), (RowState::Active, Some(1)));
        assert!(notes[1].starts_with("processor 1 joined"), "{notes:?}");

        let no = |notice: &Notice| match notice.processor().id {
            HardwareId(1) => Err(Veto::from("no")),
            _ => Ok(()),
        };
        let refused = |partition: &Partition| {
            let _party = partition.register("pool", no).unwrap();
            partition.add(HardwareId(1)).unwrap_err();
        };
        let (view, notes) = after_an_appearance(Follow::Ask, |partition, _| refused(partition));
        assert!(notes.iter().any(|n| n.starts_with("processor 1 stays out: pool refused: no")));
        let row = &view.processors[&HardwareId(1)];
        assert_eq!((row.state, row.answers.len()), (RowState::Refused, 1));
        assert!(row.why.as_ref().is_some_and(|why| why.starts_with("pool")), "{row:?}");

        let (view, _) = after_an_appearance(Follow::Ask, |partition, hardware| {
            refused(partition);
            hardware.unplug(HardwareId(1));
            hardware.plug(HardwareId(1));
        });
        let row = &view.processors[&HardwareId(1)];
        assert_eq!((row.state, row.answers.len(), &row.why), (RowState::Spare, 0, &None));
    }

    #[test]
    fn who_refused_before_is_not_said_to_have_agreed_when_nobody_is_asked() {
        let partition = Partition::simulated(&Simulated::new(1, 1).unwrap()).unwrap();
        let view = View::new("simulated", String::new(), [], [HardwareId(1)]);
        let seen = Arc::new(Mutex::new((view, Vec::new())));
        let into = Arc::clone(&seen);
        let see = move |event: &Event| {
            let (view, notes) = &mut *into.lock().unwrap();
            notes.extend(view.take(event).map(|note| note.text));
        };
        let _observation = partition.observe(see).unwrap();
        let no = |notice: &Notice| match notice.processor().id {
            HardwareId(1) => Err(Veto::from("no")),
            _ => Ok(()),
        };
        let refusing = partition.register("no", no).unwrap();
        partition.add(HardwareId(1)).unwrap_err();
        drop(refusing);
        partition.add(HardwareId(1)).unwrap();
        let last = seen.lock().unwrap().1.last().cloned().unwrap_or_default();
        assert!(last.starts_with("processor 1 joined"), "{last}");
        assert!(!last.contains("agreed"), "nobody was asked: {last}");
    }
}
