//! What the fuzz target calls. Built with `--cfg fuzzing` alone, and no part of what this crate promises.

use crate::config::Config;

/// A configuration of the daemon.
///
/// # Panics
/// If what is wrong with it is not said in one line that begins with a line's number.
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
