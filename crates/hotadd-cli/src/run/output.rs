//! [`Output`]: shows a run and writes its events: the TUI or plain lines for people, JSON for programs.

use std::fs::File;
use std::io::{self, IsTerminal, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use hotadd_daemon::view::{View, Waiting, millis};
use hotadd_run::{Display, News};
use serde::Serialize;

use crate::tui::{self, Tui, rate};

/// After how long plain lines report that a call is under way.
const PATIENCE: Duration = Duration::from_secs(1);

/// How many reports of the load are skipped before one is shown in plain lines, so that it is about the new set only.
const SETTLING: u32 = 3;

pub(super) struct Output {
    events: Option<Box<dyn Write>>,
    people: People,
}

enum People {
    Tui(Tui),
    Lines(Lines),
}

/// Plain lines.
struct Lines {
    to: Box<dyn Write>,
    /// When the next line about a call under way is due.
    impatient: Duration,
    /// The number of active processors for which the load was last shown, and how many reports came since it changed.
    shown_for: usize,
    reports: u32,
}

impl Output {
    /// Opens what is wanted: a file for `events`; for `people` a TUI where there is a terminal, or plain lines. A `command` uses
    /// stdout alone.
    ///
    /// # Errors
    /// If the file for events cannot be made.
    pub(super) fn open(
        events: Option<&Path>,
        people: bool,
        command: bool,
        view: &View,
    ) -> Result<Self, String> {
        let to_stdout = events == Some(Path::new("-"));
        let events: Option<Box<dyn Write>> = match events {
            None => None,
            Some(_) if to_stdout => Some(Box::new(io::stdout())),
            Some(path) => Some(Box::new(File::create(path).map_err(|error| {
                format!("events cannot be written to {}: {error}", path.display())
            })?)),
        };
        let on_stderr = to_stdout || command;
        let terminal =
            if on_stderr { io::stderr().is_terminal() } else { io::stdout().is_terminal() };
        let out = if on_stderr { tui::Output::Stderr } else { tui::Output::Stdout };
        let tui = (people && terminal).then(|| Tui::open(view, out).ok()).flatten();
        let people = match tui {
            Some(tui) => People::Tui(tui),
            None if !people => People::Lines(Lines::new(Box::new(io::sink()))),
            None if on_stderr => People::Lines(Lines::new(Box::new(io::stderr()))),
            None => People::Lines(Lines::new(Box::new(io::stdout()))),
        };
        Ok(Self { events, people })
    }
}

impl Display for Output {
    fn is_tui(&self) -> bool {
        matches!(self.people, People::Tui(_))
    }

    fn record(&mut self, record: &impl Serialize) {
        let Some(events) = &mut self.events else { return };
        let written = serde_json::to_writer(&mut *events, record)
            .map_err(io::Error::from)
            .and_then(|()| writeln!(events))
            .and_then(|()| events.flush());
        if let Err(error) = written {
            // The command must not end because of this. But a reader of the events must not think that nothing happened.
            self.events = None;
            crate::say::wrong(format!(
                "no more events are written, because writing failed: {error}"
            ));
        }
    }

    fn show(&mut self, what: News<'_>, view: &View) {
        match (&mut self.people, what) {
            (People::Tui(tui), _) => drop(tui.draw(view)),
            (People::Lines(lines), News::Note(Some(note))) => lines.say(&note.text),
            (People::Lines(_), News::Note(None)) => {}
            (People::Lines(lines), News::Rates) => lines.rates(view),
            (People::Lines(lines), News::Time) => lines.wait(view.waiting.as_ref()),
        }
    }

    fn close(&mut self, view: &View) {
        let lines = People::Lines(Lines::new(Box::new(io::sink())));
        if let People::Tui(tui) = std::mem::replace(&mut self.people, lines) {
            // An error is ignored: the terminal is gone.
            drop(tui.close(view));
        }
    }

    fn wrong(&self, what: &str) {
        crate::say::wrong(what);
    }
}

impl Lines {
    fn new(to: Box<dyn Write>) -> Self {
        Self { to, impatient: PATIENCE, shown_for: 0, reports: 0 }
    }

    fn say(&mut self, line: &str) {
        // Names and reasons come from drivers; control sequences are removed.
        let line = hotadd::text::clean(line);
        // If the output is closed, no more lines are wanted. The run continues.
        let _ = writeln!(self.to, "{line}").and_then(|()| self.to.flush());
    }

    fn wait(&mut self, waiting: Option<&Waiting>) {
        let Some(waiting) = waiting else {
            self.impatient = PATIENCE;
            return;
        };
        let since = Instant::now().saturating_duration_since(waiting.since);
        if since >= self.impatient {
            self.impatient = since + 5 * PATIENCE;
            let Waiting { driver, state, id, .. } = waiting;
            self.say(&format!(
                "waiting for {driver}: {state} of processor {id}, {}",
                millis(since)
            ));
        }
    }

    fn rates(&mut self, view: &View) {
        let active = view.active();
        self.reports = if active == self.shown_for { 0 } else { self.reports + 1 };
        let (Some(total), Some(rates)) = (view.total_rate(), &view.rates) else { return };
        if self.reports < SETTLING {
            return;
        }
        self.shown_for = active;
        let each: Vec<_> = rates.iter().map(|(id, r)| format!("{id}: {}", rate(*r))).collect();
        self.say(&format!("load: {} on {active} active ({})", rate(total), each.join(", ")));
    }
}
