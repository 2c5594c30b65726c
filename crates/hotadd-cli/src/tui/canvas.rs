//! [`Canvas`]: what a run is drawn on, and the style of its parts.

use std::time::{Duration, Instant};

use hotadd::text;
use hotadd_daemon::view::{RowState, View};
use ratatui::buffer::Buffer;
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::Span;

use super::memory::Memory;

/// A call that takes longer than this gets a moving mark.
const LONG: Duration = Duration::from_millis(200);

/// The longest text that is used; no terminal shows more in a row.
const LONGEST: usize = 1024;

pub(crate) const NORMAL: Style = Style::new();
pub(crate) const BOLD: Style = Style::new().add_modifier(Modifier::BOLD);
pub(crate) const DIM: Style = Style::new().add_modifier(Modifier::DIM);
pub(crate) const GOOD: Style = Style::new().fg(Color::Green);
pub(crate) const BAD: Style = Style::new().fg(Color::Red);
pub(crate) const BUSY: Style = Style::new().fg(Color::Yellow);
pub(crate) const ALIEN: Style = Style::new().fg(Color::Red).add_modifier(Modifier::BOLD);

/// The buffer to draw on, with the data that all drawing needs.
pub(super) struct Canvas<'a> {
    pub(super) view: &'a View,
    pub(super) memory: &'a Memory,
    pub(super) now: Instant,
    pub(super) buffer: Buffer,
}

impl Canvas<'_> {
    /// Writes text at a place and cuts it to `width` with an ellipsis. Returns the column behind it.
    pub(super) fn put(&mut self, x: u16, y: u16, width: u16, text: &str, style: Style) -> u16 {
        put(&mut self.buffer, x, y, width, text, style)
    }

    pub(super) fn put_right(&mut self, x: u16, y: u16, width: u16, text: &str, style: Style) {
        let wide = u16::try_from(Span::raw(text).width()).unwrap_or(width).min(width);
        self.put(x + width - wide, y, wide, text, style);
    }

    /// A mark, which moves once a call takes long, and how long the call has taken.
    pub(super) fn hourglass(&self) -> (&'static str, String) {
        const MARKS: [&str; 10] = ["⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"];
        let since = self.view.waiting.as_ref().map_or(self.now, |waiting| waiting.since);
        let took = self.now.saturating_duration_since(since);
        if took < LONG {
            return ("…", brief(took));
        }
        let turn = usize::try_from(took.as_millis() / 100).unwrap_or(0);
        (MARKS[turn % MARKS.len()], brief(took))
    }
}

/// Writes text at a place and cuts it to `width` with an ellipsis. Returns the column behind it.
pub(crate) fn put(
    buffer: &mut Buffer,
    x: u16,
    y: u16,
    width: u16,
    text: &str,
    style: Style,
) -> u16 {
    let width = width.min(buffer.area.right().saturating_sub(x));
    if width == 0 {
        return x;
    }
    let text = cut(text);
    if Span::raw(&text).width() <= usize::from(width) {
        return buffer.set_stringn(x, y, text, width.into(), style).0;
    }
    let (end, _) = buffer.set_stringn(x, y, text, usize::from(width) - 1, style);
    buffer.set_stringn(end, y, "…", 1, style).0
}

/// A text in rows of at most this many columns. Words that are longer are cut.
pub(crate) fn wrap(text: &str, width: u16) -> Vec<String> {
    let (text, room) = (cut(text), usize::from(width).max(1));
    let mut rows = vec![String::new()];
    for word in text.split(' ').filter(|word| !word.is_empty()) {
        let row = rows.last_mut().map_or(0, |row| Span::raw(&**row).width());
        let wide = Span::raw(word).width();
        if row > 0 && row + 1 + wide > room {
            rows.push(String::new());
        }
        for (at, char) in word.chars().enumerate() {
            let Some(row) = rows.last_mut() else { break };
            let used = Span::raw(&**row).width();
            if used >= room {
                rows.push(char.to_string());
            } else {
                if at == 0 && used > 0 {
                    row.push(' ');
                }
                row.push(char);
            }
        }
    }
    rows
}

/// A state's symbol, name and style.
pub(super) fn look(state: RowState) -> (&'static str, &'static str, Style) {
    match state {
        RowState::Spare => ("○", "spare", DIM),
        RowState::Asking => ("…", "asking", BUSY),
        RowState::Active => ("●", "active", GOOD),
        RowState::Uninvited => ("!", "uninvited", ALIEN),
        RowState::Refused => ("✕", "refused", BAD),
        RowState::Left => ("↓", "left", DIM),
    }
}

/// Cleans and shortens a text that comes from a driver, such as a name or a reason. Control and hidden characters are removed.
pub(crate) fn cut(text: &str) -> String {
    text::cut(text, LONGEST)
}

/// `0.12 ms`, `35.0 ms`, `350 ms`, `1.2 s`: at most seven columns for any time that a call may take.
pub(crate) fn brief(time: Duration) -> String {
    let ms = time.as_secs_f64() * 1e3;
    match ms {
        ..9.995 => format!("{ms:.2} ms"),
        ..99.95 => format!("{ms:.1} ms"),
        ..999.5 => format!("{ms:.0} ms"),
        _ => format!("{:.1} s", ms / 1e3),
    }
}

/// `412.3 M/s`
pub(crate) fn rate(steps_per_second: f64) -> String {
    format!("{:.1} M/s", steps_per_second / 1e6)
}
