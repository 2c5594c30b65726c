//! The view: a pure function from the model to cells of the terminal.

use std::time::Instant;

use ratatui::buffer::Buffer;
use ratatui::layout::{Rect, Size};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::Span;
use serde_json::Value;

use super::cursor::Pane;
use super::details;
use super::input;
use super::layout::{Layout, SMALLEST, scrolled};
use super::map;
use super::model::{Connection, Model, Watched};
use super::party::Party;
use super::state::CpuState;
use crate::ask::lines::{event_text, why};
use crate::tui::Ink;
use crate::tui::canvas::{BAD, BOLD, BUSY, DIM, GOOD, NORMAL, brief, put};
use crate::tui::plain;

/// From this width on there are words where there are only signs otherwise.
const WIDE: u16 = 60;

/// Draws the model.
pub(super) fn render(model: &Model, now: Instant, ink: Ink) -> Buffer {
    let Size { width, height } = model.size;
    let mut buffer = Buffer::empty(Rect { x: 0, y: 0, width, height });
    if width < SMALLEST.width || height < SMALLEST.height {
        too_small(&mut buffer);
    } else {
        let mut page = Page { model, watched: model.current(), now, buffer, y: 0 };
        let layout = Layout::new(model);
        page.title();
        page.processors(&layout);
        page.parties(&layout);
        page.history(&layout);
        page.message(&layout);
        page.keys();
        page.window();
        buffer = page.buffer;
    }
    if !ink.colours {
        for cell in &mut buffer.content {
            (cell.fg, cell.bg) = (Color::Reset, Color::Reset);
        }
    }
    if !ink.utf8 {
        plain::in_ascii(&mut buffer);
    }
    buffer
}

fn too_small(buffer: &mut Buffer) {
    let Size { width, height } = SMALLEST;
    let text = format!(
        "The terminal is too small for hotadd watch: it needs {width} columns and {height} rows. q quits."
    );
    let rows = crate::tui::canvas::wrap(&text, buffer.area.width);
    for (y, row) in (0..buffer.area.height).zip(rows) {
        put(buffer, 0, y, u16::MAX, &row, NORMAL);
    }
}

/// What is drawn on, from the top down.
struct Page<'a> {
    model: &'a Model,
    watched: &'a Watched,
    now: Instant,
    buffer: Buffer,
    /// The next row.
    y: u16,
}

impl Page<'_> {
    fn width(&self) -> u16 {
        self.buffer.area.width
    }

    fn is_wide(&self) -> bool {
        self.width() >= WIDE
    }

    fn put(&mut self, x: u16, text: &str, style: Style) -> u16 {
        put(&mut self.buffer, x, self.y, u16::MAX, text, style)
    }

    /// The partitions, and the state of the one that is shown.
    fn title(&mut self) {
        let state = self.state();
        let room = self.width().saturating_sub(columns(&state.0) + 2);
        let (shown, all) = (self.model.shown, self.model.watched.len());
        let names = self.model.watched.iter().map(|watched| columns(&watched.name) + 3);
        let fits = names.sum::<u16>() < room;
        let mut x = 0;
        for (nth, watched) in self.model.watched.iter().enumerate() {
            if nth != shown && !fits {
                continue;
            }
            let mut name = watched.name.clone();
            if all > 1 && nth == shown {
                name =
                    if fits { format!("[{name}]") } else { format!("[{name}] {}/{all}", nth + 1) };
            } else if all > 1 {
                name = format!(" {name} ");
            }
            let style = if nth == shown { BOLD } else { DIM };
            x = put(&mut self.buffer, x, 0, room.saturating_sub(x), &name, style) + 1;
        }
        let at = self.width().saturating_sub(columns(&state.0));
        self.put(at, &state.0, state.1);
        self.y += 1;
    }

    fn state(&self) -> (String, Style) {
        match &self.watched.connection {
            Connection::Connecting => ("connecting".to_owned(), BUSY),
            Connection::Silent(_) => ("does not answer".to_owned(), BAD),
            Connection::Ended(at, _) => (format!("ended at {}", self.model.clock(*at)), BAD),
            Connection::Live => {
                let set = self.watched.set.as_ref();
                let (count, epoch) = set.map_or((0, 0), |set| (set.count(), set.epoch().0));
                let all = self.watched.processors.len();
                let text = match self.is_wide() {
                    true => format!(
                        "{} · {count} of {all} processors active · epoch {epoch}",
                        self.watched.hardware
                    ),
                    false => format!("{count} of {all} active · epoch {epoch}"),
                };
                (text, NORMAL)
            }
        }
    }

    /// A line with the name of a part, its key, and whether the cursor is in it.
    fn heading(&mut self, pane: Pane, key: char, name: &str) -> u16 {
        for x in 0..self.width() {
            self.put(x, "─", DIM);
        }
        let here = self.watched.cursor.pane == pane;
        let style = if here { BOLD } else { NORMAL };
        let mark = if here { ">" } else { " " };
        self.put(1, &format!("{mark}{key} {name} "), style)
    }

    fn processors(&mut self, layout: &Layout) {
        let mut x = self.heading(Pane::Processors, '1', "processors");
        for state in CpuState::ALL {
            let count = self.watched.processors.values().filter(|cpu| cpu.state == state).count();
            if count > 0 {
                let word =
                    if self.is_wide() { format!(" {}", state.word()) } else { String::new() };
                let text = format!("{} {count}{word} ", state.sign());
                if x + 1 + columns(&text) <= self.width() {
                    x = self.put(x + 1, &text, state.style());
                }
            }
        }
        self.y += 1;
        let cursor = self.watched.cursor;
        let chosen = cursor.processor.and_then(|id| map::find(&layout.map, id));
        let row = chosen.map_or(0, |(row, _)| row);
        let from = scrolled(layout.map.len(), layout.map_height, row);
        let margin = map::margin(self.watched, self.width());
        let end = self.y + layout.map_height;
        for row in layout.map.iter().skip(from).take(layout.map_height.into()) {
            self.put(3, &row.label, DIM);
            for (x, id) in &row.cells {
                let Some(cpu) = self.watched.processors.get(id) else { continue };
                let here = cursor.processor == Some(*id);
                let style = match here {
                    true => cpu.state.style().add_modifier(Modifier::REVERSED),
                    false => cpu.state.style(),
                };
                self.put(margin + x, cpu.state.sign(), style);
            }
            self.y += 1;
        }
        self.y = end;
        let summary = cursor.processor.and_then(|id| {
            let cpu = self.watched.processors.get(&id)?;
            Some((details::summary(self.model, id, cpu), cpu.state.style()))
        });
        let none = || ("no processor is known yet".to_owned(), DIM);
        let (text, style) = summary.unwrap_or_else(none);
        self.put(1, &text, style);
        self.y += 1;
    }

    fn parties(&mut self, layout: &Layout) {
        let x = self.heading(Pane::Parties, '2', "parties");
        let waits: Vec<_> = self.watched.waits(self.now).collect();
        if let Some((row, took)) = waits.first() {
            let more = match waits.len() - 1 {
                0 => String::new(),
                more => format!(" and {more} more"),
            };
            let text =
                format!("waiting for {}: {} of {}, {}{more} ", row.0, row.1, row.2, brief(*took));
            self.put(x + 1, &text, BUSY);
        }
        self.y += 1;
        let cursor = self.watched.cursor;
        let end = self.y + layout.parties_height;
        let from = scrolled(self.watched.parties.len(), layout.parties_height, cursor.party);
        if self.watched.parties.is_empty() {
            self.put(3, "no party is registered: every processor is added", DIM);
        }
        let shown = self.watched.parties.iter().enumerate().skip(from);
        for (nth, party) in shown.take(layout.parties_height.into()) {
            let here = nth == cursor.party && cursor.pane == Pane::Parties;
            self.party(party, here);
            self.y += 1;
        }
        self.y = end;
    }

    fn party(&mut self, party: &Party, here: bool) {
        const NAME: u16 = 20;
        self.put(1, if here { ">" } else { " " }, BOLD);
        let name = if self.is_wide() { NAME } else { 12 };
        let style = if here { BOLD } else { NORMAL };
        put(&mut self.buffer, 3, self.y, name, &party.name, style);
        let mut x = 3 + name + 1;
        if let (Some(registered), true) = (party.registered, self.is_wide()) {
            self.put(x, &format!("level {}", registered.level), DIM);
        }
        if self.is_wide() {
            x += 10;
        }
        if let Some(gone) = &party.missing {
            let since = self.model.clock(gone.since);
            self.put(x, &format!("✕ missing since {since}: {}", gone.reason), BAD);
        } else if party.waited_for {
            let waits = self.watched.waits(self.now).find(|(row, _)| row.0 == party.name);
            if let Some((row, took)) = waits {
                self.put(x, &format!("? {} of {}, {}", row.1, row.2, brief(took)), BUSY);
            }
        } else if let Some(last) = &party.last {
            let (mark, style) = if last.agreed { ("✓", GOOD) } else { ("✕", BAD) };
            let answer = details::answer(self.model, last);
            let why = if last.agreed { String::new() } else { format!(": {}", why(&last.event)) };
            self.put(x, &format!("{mark} {answer}{why}"), style);
        } else {
            self.put(x, "has not been asked yet", DIM);
        }
    }

    fn history(&mut self, layout: &Layout) {
        self.heading(Pane::History, '3', "history, latest first");
        self.y += 1;
        let end = self.y + layout.history_height;
        let length = self.watched.history.len();
        let chosen = input::event(self.model);
        let last = self.watched.next().saturating_sub(1);
        let back = chosen.map_or(0, |chosen| usize::try_from(last - chosen).unwrap_or(0));
        let from = scrolled(length, layout.history_height, back);
        let here = self.watched.cursor.pane == Pane::History;
        let shown = self.watched.history.iter().rev().enumerate().skip(from);
        for (nth, event) in shown.take(layout.history_height.into()) {
            self.event(event, here && nth == back);
            self.y += 1;
        }
        self.y = end;
    }

    fn event(&mut self, event: &Value, here: bool) {
        self.put(1, if here { ">" } else { " " }, BOLD);
        let time = event["time"].as_u64().map(|ms| self.model.clock(ms)).unwrap_or_default();
        let x = self.put(3, &time, DIM);
        let style = match event["event"].as_str().unwrap_or_default() {
            "joined" | "present" => GOOD,
            "refused" | "veto" | "remove-refused" | "remove-veto" | "start-failed"
            | "stop-failed" | "breach" | "missing" | "fault" => BAD,
            _ => NORMAL,
        };
        self.put(x + 1, &event_text(event), style);
    }

    /// What the last request led to, or what is under way.
    fn message(&mut self, layout: &Layout) {
        let why = match &self.watched.connection {
            Connection::Silent(why) | Connection::Ended(_, why) => Some(why.clone()),
            _ => None,
        };
        let end = self.y + u16::try_from(layout.message.len()).unwrap_or(1);
        let running: Vec<String> =
            self.watched.running.iter().map(|action| action.verb()).collect();
        if let Some(message) = &self.watched.message {
            for row in &layout.message {
                self.put(1, row, if message.good { GOOD } else { BAD });
                self.y += 1;
            }
        } else if !running.is_empty() {
            self.put(1, &running.join(", "), BUSY);
        } else if let Some(why) = why {
            self.put(1, &why, BAD);
        }
        self.y = end;
    }

    fn keys(&mut self) {
        let id = self.watched.cursor.processor;
        let id = id.map(|id| format!(" {id}")).unwrap_or_default();
        let several = self.model.watched.len() > 1;
        let tab = if several { "Tab partition  " } else { "" };
        let long =
            format!("Enter details  a add{id}  d remove{id}  r rehearse{id}  {tab}? help  q quit");
        let short = "Enter  a add  d remove  ? help  q quit";
        let fits = columns(&long) < self.width();
        self.y = self.buffer.area.height - 1;
        self.put(1, if fits { &long } else { short }, DIM);
    }

    /// The window over the view, if one is open.
    fn window(&mut self) {
        let Some((title, rows)) = details::rows(self.model, self.now) else { return };
        let width = details::width(self.model);
        let shown = rows.len().min(details::most_rows(self.model));
        let from = self.model.scroll.min(rows.len() - shown);
        let height = u16::try_from(shown).unwrap_or(1) + 2;
        let area = self.buffer.area;
        let (left, top) = ((area.width - width - 4) / 2, (area.height - height) / 2);
        let line = "─".repeat(usize::from(width) + 2);
        for y in top..top + height {
            let space = " ".repeat(usize::from(width) + 2);
            let (a, middle, b) = match y {
                y if y == top => ("┌", &line, "┐"),
                y if y + 1 == top + height => ("└", &line, "┘"),
                _ => ("│", &space, "│"),
            };
            put(&mut self.buffer, left, y, u16::MAX, &format!("{a}{middle}{b}"), NORMAL);
        }
        let more = if rows.len() > shown {
            format!("{} · {}-{} of {}", title, from + 1, from + shown, rows.len())
        } else {
            title
        };
        put(&mut self.buffer, left + 2, top, width, &format!(" {more} "), BOLD);
        for (y, (text, style)) in (top + 1..).zip(rows.iter().skip(from).take(shown)) {
            put(&mut self.buffer, left + 2, y, width, text, *style);
        }
    }
}

fn columns(text: &str) -> u16 {
    u16::try_from(Span::raw(text).width()).unwrap_or(u16::MAX)
}
