//! Tests of the view: what it shows, as screens in `screens/`, and what keys and updates change.
//!
//! `HOTADD_UPDATE=1 cargo test -p hotadd-cli watch::` writes the screens anew.

mod keys;
mod updates;
mod views;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Instant;

use hotadd::{ActiveSet, Epoch, HardwareId, Processor, ProcessorIndex, Standing};
use hotadd_wire::{AbsentRow, PartyRow, WaitingRow};
use jiff::tz::TimeZone;
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use ratatui::layout::Size;
use serde_json::{Value, json};

use super::input::{self, Command};
use super::model::{Facts, Model, Place, Update};
use super::view;
use crate::ask::out::Out;
use crate::tui::Ink;

const INK: Ink = Ink { colours: true, utf8: true };
const USUAL: Size = Size { width: 80, height: 24 };
const NARROW: Size = Size { width: 40, height: 24 };

/// 2026-01-31, 12:00:00 UTC, in milliseconds since 1970.
const NOON: u64 = 1_769_860_800_000;

/// A partition, as it says what it knows.
struct Fake {
    active: Vec<u32>,
    unagreed: Vec<u32>,
    gone: Vec<u32>,
    proposed: Vec<u32>,
    candidates: Vec<u32>,
    absent: Vec<AbsentRow>,
    parties: Vec<PartyRow>,
    missing: Vec<hotadd_wire::MissingRow>,
    waiting: Vec<WaitingRow>,
    events: Vec<Value>,
    places: BTreeMap<u32, Place>,
    hardware: &'static str,
}

impl Fake {
    /// Four processors: one was active at the start, one joined, one was refused, and one is being added.
    fn busy() -> Self {
        let why = "no memory for the stack of one more";
        Self {
            active: vec![0, 1],
            unagreed: vec![],
            gone: vec![],
            proposed: vec![3],
            candidates: vec![2, 4, 5],
            absent: vec![refusal(2, "pool", why)],
            parties: vec![
                (1, "sample".to_owned(), 0, false),
                (2, "pool".to_owned(), 1, true),
                (3, "late".to_owned(), 2, true),
            ],
            missing: vec![],
            waiting: vec![("pool".to_owned(), "AddStart".to_owned(), 3, 1_200_000)],
            events: vec![
                json!({"event":"registered","driver":"sample","level":0,"time":NOON}),
                json!({"event":"add-start","driver":"sample","level":0,"id":1,"us":120,"time":NOON + 1000}),
                json!({"event":"add-start","driver":"pool","level":1,"id":1,"us":2010,"time":NOON + 1002}),
                json!({"event":"started","id":1,"us":300,"time":NOON + 1003}),
                json!({"event":"add-complete","driver":"sample","level":0,"id":1,"us":20,"time":NOON + 1003}),
                json!({"event":"add-complete","driver":"pool","level":1,"id":1,"us":30,"time":NOON + 1003}),
                json!({"event":"joined","id":1,"index":1,"us":5300,"time":NOON + 1004}),
                json!({"event":"add-start","driver":"sample","level":0,"id":2,"us":110,"time":NOON + 2000}),
                json!({"event":"veto","driver":"pool","level":1,"id":2,"us":3000,"time":NOON + 2003,
                    "status":"0xC000009A","status_name":"STATUS_INSUFFICIENT_RESOURCES","reason":why}),
                json!({"event":"add-failure","driver":"sample","level":0,"id":2,"us":10,"time":NOON + 2003}),
                json!({"event":"refused","driver":"pool","level":1,"id":2,"us":3400,"time":NOON + 2004,
                    "status":"0xC000009A","status_name":"STATUS_INSUFFICIENT_RESOURCES","clause":"A3","reason":why}),
                json!({"event":"add-start","driver":"sample","level":0,"id":3,"us":90,"time":NOON + 3000}),
            ],
            places: BTreeMap::new(),
            hardware: "affinity",
        }
    }

    /// As many active and present processors.
    fn of(active: u32, present: u32) -> Self {
        let none = Self::busy();
        Self {
            active: (0..active).collect(),
            proposed: vec![],
            candidates: (active..active + present).collect(),
            absent: vec![],
            waiting: vec![],
            events: vec![],
            ..none
        }
    }

    fn set(&self) -> ActiveSet {
        let standing = |ids: &[u32], standing| {
            ids.iter().map(move |id| (HardwareId(*id), standing)).collect::<Vec<_>>()
        };
        let known = [
            standing(&self.active, Standing::Active),
            standing(&self.unagreed, Standing::Unagreed),
            standing(&self.gone, Standing::Gone),
        ]
        .concat();
        let next = known.len();
        let proposed = self.proposed.iter().enumerate().map(|(nth, id)| Processor {
            index: ProcessorIndex::new(u32::try_from(next + nth).unwrap()).unwrap(),
            id: HardwareId(*id),
        });
        ActiveSet::assemble(Epoch(7), 2048, known, proposed).unwrap()
    }

    /// Tells the model everything.
    fn tell(&self, model: &mut Model, nth: usize, now: Instant) {
        let mut out = Out::default();
        out.take(0, self.absent.clone()).unwrap();
        let facts = Facts {
            set: self.set(),
            parties: self.parties.clone(),
            out,
            places: self.places.clone(),
        };
        let slow = Update::Slow {
            candidates: self.candidates.clone(),
            missing: self.missing.clone(),
            places: self.places.clone(),
        };
        let connected = Update::Connected { hardware: self.hardware.to_owned() };
        let waiting = Update::Waiting(self.waiting.clone());
        let events = Update::Events(0, self.events.clone());
        for update in [connected, events, Update::Facts(Box::new(facts)), slow, waiting] {
            model.take(nth, update, now);
        }
    }
}

fn refusal(id: u32, party: &str, why: &str) -> AbsentRow {
    (id, party.to_owned(), 0xC000_009A, 0, "A3".to_owned(), why.to_owned(), NOON + 2004)
}

/// A model of this partition, named `demo`, and the time at which it was told.
fn model(fake: &Fake, size: Size) -> (Model, Instant) {
    let (mut model, now) = (Model::new(&["demo".to_owned()], size, TimeZone::UTC), Instant::now());
    fake.tell(&mut model, 0, now);
    (model, now)
}

/// The rows of the screen, on ratatui's backend for tests.
fn rows(model: &Model, now: Instant, ink: Ink) -> Vec<String> {
    let buffer = view::render(model, now, ink);
    let Size { width, height } = model.size;
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| *frame.buffer_mut() = buffer).unwrap();
    let shown = terminal.backend().buffer();
    let row = |row: ratatui::layout::Rect| {
        row.positions().map(|at| shown[at].symbol().to_owned()).collect::<String>()
    };
    shown.area.rows().map(row).map(|text| text.trim_end().to_owned()).collect()
}

/// Compares the screen with `screens/NAME.txt`.
fn shows(name: &str, model: &Model, now: Instant, ink: Ink) {
    let shown = rows(model, now, ink).join("\n") + "\n";
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/watch/tests/screens");
    let path = path.join(format!("{name}.txt"));
    if std::env::var_os("HOTADD_UPDATE").is_some() {
        std::fs::write(&path, shown).unwrap();
        return;
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    let update = "HOTADD_UPDATE=1 cargo test -p hotadd-cli watch::";
    assert_eq!(shown, expected, "{}:\n{shown}\n{update} writes it anew", path.display());
}

/// Presses these keys one after the other. Returns what the last one has the program do.
fn press(model: &mut Model, keys: &[KeyCode]) -> Option<Command> {
    let press = |key: &KeyCode| input::key(model, KeyEvent::new(*key, KeyModifiers::NONE));
    keys.iter().map(press).last().flatten()
}

/// Presses these characters.
fn types(model: &mut Model, keys: &str) -> Option<Command> {
    press(model, &keys.chars().map(KeyCode::Char).collect::<Vec<_>>())
}
