//! The command's parsers of outside input, for the fuzz targets. Without `--cfg fuzzing` there is nothing here: the command is
//! `main.rs`.

#![cfg(fuzzing)]
#![allow(dead_code, unused_imports, reason = "only what reads outside input is called here")]

mod args;
mod ask;
mod board;
mod daemon;
mod degraded;
mod doctor;
mod host;
mod inspect;
mod papers;
mod parties;
mod run;
mod say;
mod spec;
mod view;
mod workload;

/// A configuration of the daemon.
///
/// # Panics
/// If what is wrong with it is not said in one line that begins with a line's number.
#[must_use]
pub fn config(text: &str) -> bool {
    let read = daemon::config::Config::read(text);
    if let Err(wrong) = &read {
        let line = wrong.split(':').next().and_then(|line| line.parse::<usize>().ok());
        let lines = text.matches('\n').count() + 1;
        assert!(line.is_some_and(|line| (1..=lines).contains(&line)), "no line of it: {wrong:?}");
        assert!(!wrong.contains('\n'), "more than a line: {wrong:?}");
    }
    read.is_ok()
}
