//! [`Bar`]: how far a verification is, on a terminal.

use std::io::{self, IsTerminal, Write};

use hotadd_verify::Progress;

/// The width of the bar.
const WIDTH: usize = 30;

/// The progress, on a terminal.
pub(super) struct Bar {
    is_terminal: bool,
}

impl Bar {
    pub(super) fn new() -> Self {
        Self { is_terminal: io::stderr().is_terminal() }
    }

    pub(super) fn show(&mut self, progress: &Progress) {
        if !self.is_terminal {
            return;
        }
        let done = WIDTH * progress.done / progress.all.max(1);
        let bar: String = (0..WIDTH).map(|at| if at < done { '#' } else { '.' }).collect();
        let name: String = progress.scenario.chars().take(40).collect();
        // The verification goes on if this fails.
        let _ = write!(io::stderr(), "\r\x1b[K[{bar}] {}/{} {name}", progress.done, progress.all);
    }

    pub(super) fn clear(&mut self) {
        if self.is_terminal {
            let _ = write!(io::stderr(), "\r\x1b[K");
        }
    }
}
