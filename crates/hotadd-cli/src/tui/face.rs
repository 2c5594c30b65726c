//! The layout of the TUI: a [`View`] in rows of cells.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use hotadd_daemon::view::{Note, View, Waiting, Weight};
use ratatui::buffer::Buffer;
use ratatui::layout::{Rect, Size};
use ratatui::style::Color;
use ratatui::text::Span;

use super::canvas::{BAD, BOLD, BUSY, Canvas, DIM, GOOD, NORMAL, cut, rate, wrap};
use super::memory::Memory;
use super::table::Table;
use super::{Ink, crowd, plain};

/// The number of history lines that are shown.
const NOTES: u16 = 3;

/// How many rows the TUI takes of a terminal of this size. Depends only on values that seldom change, so that the height stays
/// the same for most of the time.
pub(super) fn height(view: &View, size: Size) -> u16 {
    // With the built-in load, only messages are written above the TUI.
    let others =
        if view.rates.is_some() { 2 } else { (size.height / 4).max(6.min(size.height / 2)) };
    let most = size.height - others;
    let plan = Plan::new(view, size.width, most);
    most.min(plan.height())
}

/// Draws the TUI in `area`.
pub(super) fn render(view: &View, memory: &Memory, area: Rect, now: Instant, ink: Ink) -> Buffer {
    let plan = Plan::new(view, area.width, area.height);
    let mut canvas = Canvas { view, memory, now, buffer: Buffer::empty(area) };
    let mut y = area.y;
    canvas.header(y);
    y += 1;
    if plan.total {
        canvas.total(y);
        y += 1;
    }
    if let Some(crowd) = plan.crowd {
        y = canvas.crowd(y, &crowd);
    } else {
        let table = Table::new(view, area.width, plan.heading);
        if plan.heading {
            canvas.heading(y, &table);
            y += 1;
        }
        for (&id, row) in &view.processors {
            canvas.row(y, &table, id, row);
            y += 1;
        }
    }
    if plan.waiting {
        canvas.waiting(y);
        y += 1;
    }
    canvas.notes(y, plan.notes);
    let mut buffer = canvas.buffer;
    if !ink.colours {
        buffer.content.iter_mut().for_each(|cell| cell.fg = Color::Reset);
    }
    if !ink.utf8 {
        plain::in_ascii(&mut buffer);
    }
    buffer
}

/// How many more rows are needed to show the last notes in full.
pub(super) fn unsaid(view: &View, area: Rect) -> u16 {
    let plan = Plan::new(view, area.width, area.height);
    wanted(view, area.width, u16::MAX).saturating_sub(plan.notes)
}

/// How many rows the last notes take: one row each, and more for notes that say why something went wrong.
fn wanted(view: &View, width: u16, most: u16) -> u16 {
    let notes = view.notes.iter().rev().take(NOTES.into());
    let rows: usize = notes.map(|note| wrapped(note, width).len()).sum();
    u16::try_from(rows).unwrap_or(most).min(most)
}

/// A note in rows. Only a note that says why something went wrong has more than one.
fn wrapped(note: &Note, width: u16) -> Vec<String> {
    match note.weight {
        Weight::Bad => wrap(&note.text, width.saturating_sub(4)),
        _ => vec![cut(&note.text)],
    }
}

/// What there is room for, from top to bottom.
struct Plan {
    /// The throughput over all processors.
    total: bool,
    /// The compact form, when there is no room for a row for each processor.
    crowd: Option<crowd::Plan>,
    rows: u16,
    /// A row with the names of the columns.
    heading: bool,
    waiting: bool,
    notes: u16,
}

impl Plan {
    fn new(view: &View, width: u16, height: u16) -> Self {
        let total = view.rates.is_some();
        let left = height.saturating_sub(1 + u16::from(total));
        let rows = u16::try_from(view.processors.len()).unwrap_or(u16::MAX);
        let Some(left_of_rows) = left.checked_sub(rows) else {
            let waiting = left > 3;
            let notes = if left > 8 { NOTES.max(wanted(view, width, left - 8)) } else { 0 };
            let crowd = crowd::Plan::new(view, width, left - u16::from(waiting) - notes);
            return Self { total, crowd: Some(crowd), rows: 0, heading: false, waiting, notes };
        };
        // The processor's row also shows the call under way, but only the heading has the drivers' names.
        let heading = left_of_rows > 0;
        let waiting = left_of_rows > 1;
        let notes = left_of_rows.saturating_sub(2);
        let notes = notes.min(NOTES.max(wanted(view, width, notes)));
        Self { total, crowd: None, rows, heading, waiting, notes }
    }

    fn height(&self) -> u16 {
        let fixed = 1 + [self.total, self.heading, self.waiting].map(u16::from).iter().sum::<u16>();
        fixed + self.rows + self.crowd.as_ref().map_or(0, crowd::Plan::height) + self.notes
    }
}

impl Canvas<'_> {
    fn header(&mut self, y: u16) {
        const TITLE: usize = 14;
        let area = self.buffer.area;
        let (active, all, epoch) =
            (self.view.active(), self.view.processors.len(), self.view.epoch);
        let time = clock(self.now.saturating_duration_since(self.view.began));
        let hardware = self.view.hardware;
        let count = format!("{active} of {all} processors active");
        let short = format!("{active} of {all} active");
        let forms = [
            (format!("{hardware} · "), count.clone(), format!(" · epoch {epoch} · {time}")),
            (String::new(), count, format!(" · epoch {epoch} · {time}")),
            (String::new(), short.clone(), format!(" · epoch {epoch} · {time}")),
            (String::new(), short, format!(" · {time}")),
        ];
        let length = |(a, b, c): &(String, String, String)| Span::raw(a.to_owned() + b + c).width();
        let room = usize::from(area.width).saturating_sub(9);
        let title = Span::raw(cut(&self.view.title)).width();
        let fits = |form: &&(String, String, String)| length(form) + title.min(TITLE) <= room;
        let form = forms.iter().find(fits).unwrap_or(&forms[3]);
        let title_room = room.saturating_sub(length(form));

        for x in area.left()..area.right() {
            self.put(x, y, 1, "─", DIM);
        }
        let title_room = u16::try_from(title_room).unwrap_or(area.width);
        let x = self.put(area.left() + 2, y, 1, " ", NORMAL);
        let title = self.view.title.clone();
        let x = self.put(x, y, title_room, &title, BOLD);
        self.put(x, y, 1, " ", NORMAL);

        let length = u16::try_from(length(form)).unwrap_or(area.width);
        let x = area.right().saturating_sub(length + 4);
        let x = self.put(x, y, 1, " ", NORMAL);
        let x = self.put(x, y, area.width, &form.0, DIM);
        let x = self.put(x, y, area.width, &form.1, BOLD);
        let x = self.put(x, y, area.width, &form.2, DIM);
        self.put(x, y, 1, " ", NORMAL);
    }

    fn total(&mut self, y: u16) {
        let Some(total) = self.view.total_rate() else { return };
        let x = self.put(2, y, 20, &rate(total), BOLD);
        if let Some((first, processors)) = self.memory.first() {
            let of = if processors == 1 { String::new() } else { format!(" {processors}") };
            self.put(x + 2, y, 40, &format!("({:.1} x the first{of})", total / first), DIM);
        }
    }

    fn waiting(&mut self, y: u16) {
        let Some(Waiting { driver, state, id, .. }) = &self.view.waiting else { return };
        let (mark, time) = self.hourglass();
        let text = format!("waiting for {driver}: {state} of processor {id}, {time}");
        self.put(2, y, 1, mark, BUSY);
        self.put(4, y, u16::MAX, &text, BUSY);
    }

    fn notes(&mut self, y: u16, rows: u16) {
        let width = self.buffer.area.width;
        // From the newest on, as far as there is room. Of a note that does not fit completely, its beginning is shown.
        let mut lines = VecDeque::new();
        for note in self.view.notes.iter().rev() {
            let room = usize::from(rows).saturating_sub(lines.len());
            if room == 0 {
                break;
            }
            let whole = wrapped(note, width);
            for (at, row) in whole.into_iter().enumerate().take(room).rev() {
                lines.push_front((note.weight, at == 0, row));
            }
        }
        for ((weight, first, row), y) in lines.into_iter().zip(y..) {
            let (mark, style) = match weight {
                Weight::Good => ("+", GOOD),
                Weight::Bad => ("✕", BAD),
                Weight::Plain => ("·", DIM),
            };
            if first {
                self.put(2, y, 1, mark, style);
            }
            self.put(4, y, u16::MAX, &row, if weight == Weight::Bad { NORMAL } else { DIM });
        }
    }
}

/// `12 s`, `3:05`, `1:02:03`
fn clock(time: Duration) -> String {
    let seconds = time.as_secs();
    let (hours, minutes, rest) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    match (hours, minutes) {
        (0, 0) => format!("{rest} s"),
        (0, _) => format!("{minutes}:{rest:02}"),
        _ => format!("{hours}:{minutes:02}:{rest:02}"),
    }
}
