//! [`Converter`]: makes a trace of a partition's events. Each party has a track with a slice for each of its calls. Each processor has
//! a track with a slice for each add, removal and rehearsal of it, and in it one for each phase.

use std::collections::{BTreeMap, BTreeSet};

use hotadd::text::clean;
use hotadd::{CpuList, HardwareId};
use serde_json::{Map, Value, json};

use super::slices::Slices;
use super::step::Step;
use super::tracks::{Found, PARTITION, Tracks};

/// What is known of a partition when its trace begins.
#[derive(Clone, Debug, Default)]
pub struct Beginning {
    /// The partition's name, or what runs in it.
    pub name: String,
    /// The kind of its hardware.
    pub hardware: String,
    /// The active processors.
    pub active: BTreeSet<u32>,
    /// The processors that could be added.
    pub spare: BTreeSet<u32>,
    /// When the trace begins, in microseconds of the monotonic clock.
    pub mono: u64,
    /// The same in milliseconds since 1970.
    pub time: u64,
}

/// What becomes of a processor on its track: an add, a removal or a rehearsal.
#[derive(Debug)]
struct Change {
    phase: Option<&'static str>,
    /// The parties that a rehearsal has asked, and its latest time.
    asked: BTreeSet<u64>,
    latest: u64,
    /// Which party refused, and why, as the event has it.
    refusal: Option<Value>,
}

/// Makes the events of a trace.
#[derive(Debug, Default)]
pub struct Converter {
    beginning: Beginning,
    tracks: Tracks,
    slices: Slices,
    changes: BTreeMap<u32, Change>,
    /// The rehearsal under way: no event says that it has ended.
    rehearsed: Option<u32>,
}

impl Converter {
    /// Begins a trace. Returns its first events.
    #[must_use]
    pub fn begin(beginning: Beginning) -> (Self, Vec<Value>) {
        let mut trace = Self { beginning, ..Self::default() };
        trace.head(trace.beginning.mono);
        let made = trace.slices.take();
        (trace, made)
    }

    /// The names of all tracks, and the state of the partition.
    fn head(&mut self, at: u64) {
        let Beginning { name, hardware, active, spare, mono, time } = self.beginning.clone();
        let list = |ids: &BTreeSet<u32>| {
            ids.iter().copied().map(HardwareId).collect::<CpuList>().to_string()
        };
        let time = time.saturating_add(at.saturating_sub(mono) / 1000);
        self.slices.names(None, &format!("hotadd partition {name}"));
        self.slices.names(Some(PARTITION), "partition");
        for (track, name) in self.tracks.all() {
            self.slices.names(Some(track), &name);
        }
        let args = json!({
            "name": clean(&name), "hardware": clean(&hardware), "active": list(&active), "spare": list(&spare),
            "unix_ms": time, "hotadd": env!("CARGO_PKG_VERSION"),
        });
        self.slices.instant(PARTITION, at, "trace begins", false, args);
        self.slices.counter(PARTITION, at, "active processors", active.len());
    }

    /// An event. Returns what it adds to the trace.
    pub fn step(&mut self, step: &Step) -> Vec<Value> {
        if self.is_another_rehearsal(step) {
            self.end_rehearsal();
        }
        match step.event.as_str() {
            "calling" => {
                if let Some(state) = &step.state {
                    self.call_begins(step, state, step.mono);
                }
            }
            "started" | "start-failed" | "stopped" | "stop-failed" => self.acted(step),
            "joined" | "left" | "refused" | "remove-refused" => self.concluded(step),
            "registered" | "deregistered" | "said" | "fault" | "unloaded" => self.of_party(step),
            event => match call_of(event) {
                Some((state, answer)) => self.call_ends(step, state, answer),
                None => self.slices.instant(PARTITION, step.mono, event, true, args_of(step)),
            },
        }
        self.slices.take()
    }

    /// Events are missing here.
    pub fn lost(&mut self, count: u64, at: u64) -> Vec<Value> {
        self.slices.instant(PARTITION, at, "events lost", true, json!({ "count": count }));
        self.slices.take()
    }

    /// Ends a file. The trace may [continue](Self::again) in another one.
    pub fn close(&mut self, at: u64, why: &str) -> Vec<Value> {
        self.slices.close(at, why);
        self.slices.take()
    }

    /// Begins another file of the same trace.
    pub fn again(&mut self, at: u64) -> Vec<Value> {
        self.head(at);
        self.slices.reopen(at);
        self.slices.take()
    }

    /// Ends the trace.
    pub fn end(&mut self, at: u64) -> Vec<Value> {
        self.end_rehearsal();
        self.close(at, "the trace ends here")
    }

    fn name(&mut self, (track, new): Found) -> u64 {
        if let Some(name) = new {
            self.slices.names(Some(track), &name);
        }
        track
    }

    fn party(&mut self, step: &Step) -> Option<u64> {
        let name = step.driver.as_deref()?;
        let found = match step.party {
            0 => self.tracks.named(name),
            party => self.tracks.party(party, name, step.level),
        };
        Some(self.name(found))
    }

    fn processor(&mut self, id: u32) -> Option<u64> {
        let found = self.tracks.processor(id)?;
        Some(self.name(found))
    }

    fn call_begins(&mut self, step: &Step, state: &str, at: u64) {
        let Some(track) = self.party(step) else { return };
        while self.slices.depth(track) > 0 {
            // No event said how it ended.
            self.slices.end(track, at, json!({ "answer": "unknown" }));
        }
        let id = step.id.map(|id| format!(" {id}")).unwrap_or_default();
        let name = format!("{state}{id}");
        let mut args = Map::new();
        args.insert("state".to_owned(), clean(state).into());
        if let Some(id) = step.id {
            args.insert("processor".to_owned(), id.into());
        }
        flags(step, &mut args);
        self.slices.begin(track, at, "call", &name, args.into());
        if let (Some(id), false) = (step.id, step.replay) {
            let kind = match state {
                _ if step.rehearsal => "rehearse",
                "RemoveStart" | "RemoveComplete" | "RemoveFailure" => "remove",
                _ => "add",
            };
            let phase = match state {
                "AddStart" | "RemoveStart" => "ask",
                "AddFailure" | "RemoveFailure" => "undo",
                _ => "tell",
            };
            self.phase(id, kind, phase, at);
            if let Some(change) = self.changes.get_mut(&id).filter(|_| step.rehearsal) {
                self.rehearsed = Some(id);
                change.asked.insert(step.party);
            }
        }
    }

    fn call_ends(&mut self, step: &Step, state: &str, answer: &str) {
        let Some(track) = self.party(step) else { return };
        if self.slices.depth(track) == 0 {
            self.call_begins(step, state, step.began());
        }
        let began = self.slices.latest(track);
        let ended = step.us.map_or(step.mono, |us| began.saturating_add(us));
        let mut args = args_of(step);
        args["answer"] = answer.into();
        let at = self.slices.end(track, ended, args);
        let Some(change) = step.id.and_then(|id| self.changes.get_mut(&id)) else { return };
        change.latest = change.latest.max(at);
        if answer == "refused" {
            change.refusal.get_or_insert_with(|| args_of(step));
        }
    }

    /// A processor enters this phase.
    fn phase(&mut self, id: u32, kind: &'static str, phase: &'static str, at: u64) {
        let Some(track) = self.processor(id) else { return };
        if !self.changes.contains_key(&id) {
            self.slices.begin(
                track,
                at,
                "change",
                &format!("{kind} {id}"),
                json!({ "processor": id }),
            );
        }
        let new = Change { phase: None, asked: BTreeSet::new(), latest: at, refusal: None };
        let change = self.changes.entry(id).or_insert(new);
        if change.phase != Some(phase) {
            if change.phase.replace(phase).is_some() {
                self.slices.end(track, at, json!({}));
            }
            self.slices.begin(track, at, "phase", phase, json!({}));
        }
    }

    /// The platform started or stopped a processor, or failed to.
    fn acted(&mut self, step: &Step) {
        let Some(id) = step.id else { return };
        let (kind, phase) =
            if step.event.starts_with("start") { ("add", "start") } else { ("remove", "stop") };
        self.phase(id, kind, phase, step.began());
        let Some(track) = self.processor(id) else { return };
        let mut args = args_of(step);
        args["result"] = step.event.as_str().into();
        self.slices.end(track, step.mono, args);
        if let Some(change) = self.changes.get_mut(&id) {
            change.phase = None;
        }
    }

    /// A processor joined, left, or stays as it is.
    fn concluded(&mut self, step: &Step) {
        let Some(id) = step.id.filter(|_| !step.replay) else {
            // A party that did not register.
            return self.slices.instant(PARTITION, step.mono, &step.event, true, args_of(step));
        };
        let kind =
            if matches!(step.event.as_str(), "joined" | "refused") { "add" } else { "remove" };
        if let Some(track) = self.processor(id) {
            match self.changes.remove(&id) {
                // No party was asked.
                None => {
                    let args = json!({ "processor": id });
                    self.slices.begin(track, step.began(), "change", &format!("{kind} {id}"), args);
                }
                Some(change) if change.phase.is_some() => {
                    self.slices.end(track, step.mono, json!({}));
                }
                Some(_) => {}
            }
            let mut args = args_of(step);
            args["result"] = step.event.as_str().into();
            self.slices.end(track, step.mono, args);
        }
        let changed = match step.event.as_str() {
            "joined" => {
                self.beginning.spare.remove(&id);
                self.beginning.active.insert(id)
            }
            "left" => {
                // One that vanished cannot be added.
                if !step.surprise {
                    self.beginning.spare.insert(id);
                }
                self.beginning.active.remove(&id)
            }
            _ => false,
        };
        if changed {
            self.slices.counter(
                PARTITION,
                step.mono,
                "active processors",
                self.beginning.active.len(),
            );
        }
        if step.surprise {
            self.slices.instant(PARTITION, step.mono, "vanished", true, args_of(step));
        }
    }

    fn of_party(&mut self, step: &Step) {
        let Some(track) = self.party(step) else { return };
        self.slices.instant(track, step.mono, &step.event, false, args_of(step));
        if step.event == "deregistered" {
            self.tracks.free(step.party);
        }
    }

    /// Whether a call of a rehearsal belongs to another one than that under way.
    fn is_another_rehearsal(&self, step: &Step) -> bool {
        let Some(id) = self.rehearsed.filter(|_| is_of_change(step)) else { return false };
        let asks = matches!(step.event.as_str(), "add-start" | "veto")
            || step.state.as_deref() == Some("AddStart");
        let again = asks
            && self.changes.get(&id).is_some_and(|change| {
                // An answer to a call that is already shown comes from the same rehearsal.
                let answers = step.event != "calling" && self.is_called(step.party);
                !answers && (change.phase == Some("undo") || change.asked.contains(&step.party))
            });
        !step.rehearsal || step.id != Some(id) || again
    }

    fn is_called(&self, party: u64) -> bool {
        self.tracks.of(party).is_some_and(|track| self.slices.depth(track) > 0)
    }

    fn end_rehearsal(&mut self) {
        let Some(id) = self.rehearsed.take() else { return };
        let Some(change) = self.changes.remove(&id) else { return };
        let Some(track) = self.processor(id) else { return };
        if change.phase.is_some() {
            self.slices.end(track, change.latest, json!({}));
        }
        let result = if change.refusal.is_some() { "would be refused" } else { "could join" };
        let mut args = change.refusal.unwrap_or_else(|| json!({}));
        args["result"] = result.into();
        self.slices.end(track, change.latest, args);
    }
}

/// Whether an event is part of an add, a removal, a rehearsal or a registration.
fn is_of_change(step: &Step) -> bool {
    const OTHERS: [&str; 10] = [
        "calling",
        "started",
        "start-failed",
        "stopped",
        "stop-failed",
        "joined",
        "left",
        "refused",
        "remove-refused",
        "registered",
    ];
    OTHERS.contains(&step.event.as_str()) || call_of(&step.event).is_some()
}

/// The state of the call that an event is the end of, and how the party answered.
fn call_of(event: &str) -> Option<(&'static str, &'static str)> {
    Some(match event {
        "add-start" => ("AddStart", "agreed"),
        "veto" => ("AddStart", "refused"),
        "add-complete" => ("AddComplete", "told"),
        "add-failure" => ("AddFailure", "told"),
        "remove-start" => ("RemoveStart", "agreed"),
        "remove-veto" => ("RemoveStart", "refused"),
        "remove-complete" => ("RemoveComplete", "told"),
        "remove-failure" => ("RemoveFailure", "told"),
        _ => return None,
    })
}

fn flags(step: &Step, args: &mut Map<String, Value>) {
    let set = [("replay", step.replay), ("rehearsal", step.rehearsal), ("surprise", step.surprise)];
    for (key, _) in set.into_iter().filter(|(_, set)| *set) {
        args.insert(key.to_owned(), true.into());
    }
}

/// What an event says, for a person. Names and reasons come from parties: control characters are removed.
fn args_of(step: &Step) -> Value {
    let mut args = Map::new();
    let texts = [
        ("party", &step.driver),
        ("status", &step.status_name),
        ("reason", &step.reason),
        ("clause", &step.clause),
        ("errno", &step.errno_name),
        ("text", &step.text),
    ];
    for (key, value) in texts {
        if let Some(value) = value {
            args.insert(key.to_owned(), clean(value).into());
        }
    }
    if let (None, Some(status)) = (&step.status_name, &step.status) {
        args.insert("status".to_owned(), clean(status).into());
    }
    for (key, value) in [("processor", step.id.map(u64::from)), ("us", step.us)] {
        if let Some(value) = value {
            args.insert(key.to_owned(), value.into());
        }
    }
    if step.agreed == Some(false) {
        args.insert("agreed".to_owned(), false.into());
    }
    flags(step, &mut args);
    args.into()
}
