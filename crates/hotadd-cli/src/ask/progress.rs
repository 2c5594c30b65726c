//! [`Progress`]: shows for which parties a command waits.

use std::io::{IsTerminal, Write};

use hotadd::text::clean;
use hotadd_wire::WaitingRow;

use super::lines::waiting_line;
use crate::say;

/// Shows on stderr what a command waits for. On a terminal one line is overwritten; otherwise each message is a new line.
#[derive(Default)]
pub(super) struct Progress {
    line: bool,
}

impl Progress {
    pub(super) fn show(&mut self, waiting: &[WaitingRow]) {
        let lines: Vec<_> = waiting.iter().map(waiting_line).collect();
        if lines.is_empty() {
            return;
        }
        if std::io::stderr().is_terminal() {
            eprint!("\r\x1b[K{}", clean(&lines.join("; ")));
            let _ = std::io::stderr().flush();
            self.line = true;
        } else {
            lines.iter().for_each(say::note);
        }
    }

    pub(super) fn clear(&mut self) {
        if std::mem::take(&mut self.line) {
            eprint!("\r\x1b[K");
        }
    }
}
