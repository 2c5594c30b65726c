//! [`Log`]: what the daemon says, a line each, to stderr; with its priority in front where that goes to the journal.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;

use crate::view::{Note, Weight};

/// Where the daemon's lines go. May be used from any thread.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Log {
    journal: bool,
}

impl Log {
    pub(crate) fn new() -> Self {
        Self { journal: is_journal().unwrap_or(false) }
    }

    pub(crate) fn note(self, note: &Note) {
        self.line(note.weight, &note.text);
    }

    pub(crate) fn line(self, weight: Weight, text: &str) {
        // Parties name themselves and give reasons: one line stays one line, and steers no terminal.
        let text: String =
            text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
        let priority = match weight {
            _ if !self.journal => "",
            Weight::Bad => "<4>",
            Weight::Good => "<5>",
            Weight::Plain => "<6>",
        };
        // In one piece, so that no other's words come between. Who does not listen misses it.
        let _ = io::stderr().write_all(format!("{priority}{text}\n").as_bytes());
    }
}

/// Whether our stderr is the stream that `$JOURNAL_STREAM` names, by device and inode: it is inherited by those whose stderr
/// goes elsewhere.
fn is_journal() -> Option<bool> {
    let stream = std::env::var("JOURNAL_STREAM").ok()?;
    let stderr = File::from(io::stderr().as_fd().try_clone_to_owned().ok()?).metadata().ok()?;
    Some(stream == format!("{}:{}", stderr.dev(), stderr.ino()))
}
