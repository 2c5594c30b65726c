//! [`Screen`]: the whole terminal, in raw mode, for as long as the view is shown. It is restored at the end, also by a panic.

use std::io::{self, Write};
use std::sync::Once;
use std::time::{Duration, Instant};

use ratatui::backend::{Backend, CrosstermBackend};
use ratatui::buffer::Buffer;
use ratatui::crossterm::terminal::{disable_raw_mode, enable_raw_mode};
use ratatui::layout::Size;
use rustix::process::{Signal, getpid, kill_process};

use crate::tui::output::{Output, Writer};

/// The other screen, without a cursor, and without a line wrap behind the last column.
const ENTER: &str = "\x1b[?1049h\x1b[?25l\x1b[?7l";

/// The opposite.
const LEAVE: &str = "\x1b[0m\x1b[?7h\x1b[?25h\x1b[?1049l";

/// Erases what is shown.
const CLEAR: &str = "\x1b[0m\x1b[2J";

/// How long the terminal may take for the last output.
const PATIENCE: Duration = Duration::from_secs(1);

/// The terminal of the view.
pub(super) struct Screen {
    /// `None` while the terminal is not the view's.
    writer: Option<Writer>,
    /// What is shown; of no size before the first drawing.
    drawn: Buffer,
}

impl Screen {
    /// Takes the terminal of stdin and stdout.
    pub(super) fn open() -> io::Result<Self> {
        static HOOK: Once = Once::new();
        HOOK.call_once(|| {
            let then = std::panic::take_hook();
            std::panic::set_hook(Box::new(move |panic| {
                // Otherwise the message would be on the screen that is left.
                let _ = io::stdout().write_all(LEAVE.as_bytes());
                let _ = io::stdout().flush();
                let _ = disable_raw_mode();
                then(panic);
            }));
        });
        let mut screen = Self { writer: None, drawn: Buffer::default() };
        screen.enter()?;
        Ok(screen)
    }

    pub(super) fn size() -> io::Result<Size> {
        Output::Stdout.size()
    }

    fn enter(&mut self) -> io::Result<()> {
        enable_raw_mode()?;
        let mut writer = Writer::new(Output::Stdout)?;
        writer.write(ENTER.into())?;
        (self.writer, self.drawn) = (Some(writer), Buffer::default());
        Ok(())
    }

    fn leave(&mut self) -> io::Result<()> {
        let Some(mut writer) = self.writer.take() else { return Ok(()) };
        // A line that takes nothing any more must not keep the program from ending. Its thread ends with the process.
        let written = match taken(&writer) {
            true => writer.write(LEAVE.into()).map(|()| taken(&writer)),
            false => Ok(false),
        };
        disable_raw_mode()?;
        match written? {
            true => writer.finish(),
            false => Err(io::Error::new(io::ErrorKind::TimedOut, "it takes no output")),
        }
    }

    /// Draws the cells that have changed. Returns false if the terminal has not yet read the last drawing, as on a slow line.
    pub(super) fn draw(&mut self, buffer: Buffer) -> io::Result<bool> {
        let Some(writer) = self.writer.as_mut() else { return Ok(false) };
        if !writer.ready() {
            return Ok(false);
        }
        let mut bytes = Vec::new();
        if self.drawn.area != buffer.area {
            bytes.extend(CLEAR.as_bytes());
            self.drawn = Buffer::empty(buffer.area);
        }
        let changes = self.drawn.diff(&buffer);
        if !changes.is_empty() {
            CrosstermBackend::new(&mut bytes).draw(changes.into_iter())?;
        }
        if !bytes.is_empty() {
            writer.write(bytes)?;
        }
        self.drawn = buffer;
        Ok(true)
    }

    /// Makes the next drawing a complete one.
    pub(super) fn forget(&mut self) {
        self.drawn = Buffer::default();
    }

    /// Gives the terminal back and stops this process, as Ctrl-Z does. Returns when it is continued.
    pub(super) fn suspend(&mut self) -> io::Result<()> {
        self.leave()?;
        kill_process(getpid(), Signal::STOP)?;
        self.enter()
    }

    /// Gives the terminal back.
    pub(super) fn close(mut self) -> io::Result<()> {
        self.leave()
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // After an error, which is reported.
        let _ = self.leave();
    }
}

/// Whether the terminal has taken everything, or takes it soon.
fn taken(writer: &Writer) -> bool {
    let began = Instant::now();
    while !writer.ready() {
        if began.elapsed() > PATIENCE {
            return false;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    true
}
