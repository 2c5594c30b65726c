//! The entry point of the fuzz target. Built with `--cfg fuzzing` only; not part of the crate's interface.

use crate::config::Config;

/// A configuration of the daemon.
///
/// # Panics
/// If an error is not one line that begins with a line number.
#[must_use]
pub fn config(text: &str) -> bool {
    let read = Config::read(text);
    if let Err(wrong) = &read {
        let line = wrong.split(':').next().and_then(|line| line.parse::<usize>().ok());
        let lines = text.matches('\n').count() + 1;
        assert!(line.is_some_and(|line| (1..=lines).contains(&line)), "no line of it: {wrong:?}");
        assert!(!wrong.contains('\n'), "more than a line: {wrong:?}");
    }
    read.is_ok()
}
