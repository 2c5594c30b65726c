//! [`Tui`]: the rows at the bottom of the terminal where a person watches a run.
//!
//! The command writes to the same terminal at any time, directly: no pipe or second terminal lies between. So the TUI reserves
//! the bottom rows with a scroll region, as apt does for its progress bar, and draws with a single write each time, which the
//! kernel does not interleave with the command's writes. Input is left alone: the terminal stays in its mode and nothing is read,
//! so that Ctrl-C and everything typed reach the command.

pub(crate) mod canvas;
mod crowd;
mod face;
mod memory;
pub(crate) mod output;
pub(crate) mod plain;
mod sequences;
mod table;
#[cfg(test)]
mod tests;

use std::io::{self, Write};
use std::time::{Duration, Instant};

use hotadd_daemon::view::View;
use ratatui::buffer::Buffer;
use ratatui::layout::{Rect, Size};

pub(crate) use self::canvas::rate;
use self::memory::Memory;
pub(crate) use self::output::Output;
use self::output::Writer;

/// What the terminal can show.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ink {
    pub(crate) colours: bool,
    pub(crate) utf8: bool,
}

impl Ink {
    /// What the environment asks for, by NO_COLOR and the locale.
    pub(crate) fn of_environment() -> Self {
        Self {
            colours: std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()),
            utf8: plain::is_utf8(),
        }
    }
}

/// The smallest terminal that has room for a TUI and the command.
const SMALLEST: Size = Size { width: 40, height: 10 };

/// Everything is redrawn this often, because the command may have cleared the screen or undone the scroll region.
const AFRESH: Duration = Duration::from_secs(1);

/// The rows at the bottom of the terminal where a person watches a run.
///
/// A command that uses the whole screen (an editor, a pager) and the TUI overwrite each other while it runs: the command does not
/// know that the bottom rows are reserved. If the command writes an escape sequence in two parts, a drawing may come between
/// them. Both effects are temporary: everything is redrawn every second, and [`close`](Self::close) restores the terminal.
#[derive(Debug)]
pub(crate) struct Tui {
    out: Output,
    writer: Writer,
    ink: Ink,
    memory: Memory,
    /// The TUI's rows; `None` at first, and while the terminal is too small.
    area: Option<Rect>,
    /// What was drawn there last; empty at first.
    drawn: Buffer,
    /// When everything was last redrawn.
    afresh: Instant,
    closed: bool,
}

impl Tui {
    /// Reserves the bottom rows of the terminal on `out`. What is on the screen scrolls up to make room.
    ///
    /// # Errors
    ///
    /// If `out` is not a terminal, or if it is a dumb one or smaller than 40 x 10.
    pub(crate) fn open(view: &View, out: Output) -> io::Result<Self> {
        let unsupported = |why| Err(io::Error::new(io::ErrorKind::Unsupported, why));
        let size = out.size()?;
        if std::env::var_os("TERM").is_none_or(|term| term.is_empty() || term == "dumb") {
            return unsupported("the terminal is dumb (TERM)");
        }
        if too_small(size) {
            return unsupported("the terminal is too small");
        }
        // Earlier output belongs above the TUI. If it cannot be written, that is not the TUI's error to report.
        let _ = io::stdout().flush();
        let mut tui = Self {
            out,
            writer: Writer::new(out)?,
            ink: Ink::of_environment(),
            memory: Memory::default(),
            area: None,
            drawn: Buffer::default(),
            afresh: Instant::now(),
            closed: false,
        };
        tui.draw(view)?;
        Ok(tui)
    }

    /// Draws the changes. Does not wait for a terminal that is stopped or flooded: a later call draws them.
    ///
    /// # Errors
    ///
    /// If the terminal cannot be written, as when it is gone.
    pub(crate) fn draw(&mut self, view: &View) -> io::Result<()> {
        self.memory.observe(view);
        if !self.writer.ready() {
            return Ok(());
        }
        let size = self.out.size()?;
        if too_small(size) {
            return if self.area.take().is_some() {
                self.writer.write(sequences::withdraw())
            } else {
                Ok(())
            };
        }
        let area = area(view, size);
        let now = Instant::now();
        let buffer = face::render(view, &self.memory, area, now, self.ink);
        let moved = self.area != Some(area);
        let fresh = moved || now.duration_since(self.afresh) >= AFRESH;
        if !fresh && buffer == self.drawn {
            return Ok(());
        }
        let mut bytes = Vec::new();
        if self.drawn.area.is_empty() {
            bytes.extend(sequences::open(size, area.height));
        } else if moved {
            bytes.extend(sequences::replace(size, area.height));
        }
        if fresh {
            bytes.extend(sequences::paint(&buffer)?);
            self.afresh = now;
        } else {
            bytes.extend(sequences::update(&self.drawn, &buffer)?);
        }
        self.area = Some(area);
        self.drawn = buffer;
        self.writer.write(bytes)
    }

    /// Gives the terminal back. The last state of the TUI remains as ordinary text, below the command's output.
    ///
    /// # Errors
    ///
    /// If the terminal cannot be written, as when it is gone.
    pub(crate) fn close(mut self, view: &View) -> io::Result<()> {
        self.memory.observe(view);
        self.closed = true;
        let size = self.out.size()?;
        let mut bytes = sequences::release(size);
        if !too_small(size) {
            // One column less than the terminal's width: text that fills a row would wrap when the window is made narrower.
            let area = Rect { y: 0, width: size.width - 1, ..area(view, size) };
            // This text scrolls like any other, so there is room for all notes.
            let area = Rect { height: area.height + face::unsaid(view, area), ..area };
            let buffer = face::render(view, &self.memory, area, Instant::now(), self.ink);
            bytes.extend(sequences::text(&buffer));
        }
        self.writer.write(bytes)?;
        self.writer.finish()
    }
}

impl Drop for Tui {
    /// After a panic or an error: makes the terminal usable again, without drawing the TUI a last time.
    fn drop(&mut self) {
        if !self.closed {
            let size = self.out.size().unwrap_or(SMALLEST);
            let _ = self.writer.write(sequences::release(size)).and_then(|()| self.writer.finish());
        }
    }
}

fn too_small(size: Size) -> bool {
    size.width < SMALLEST.width || size.height < SMALLEST.height
}

/// Where the TUI goes on a terminal of this size.
fn area(view: &View, size: Size) -> Rect {
    let height = face::height(view, size);
    Rect { x: 0, y: size.height - height, width: size.width, height }
}
