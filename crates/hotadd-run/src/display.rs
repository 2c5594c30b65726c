//! [`Display`]: what shows a run.

use hotadd_daemon::view::{Note, View};
use serde::Serialize;

/// What is new.
#[derive(Clone, Copy, Debug)]
pub enum News<'a> {
    /// Something happened.
    Note(Option<&'a Note>),
    /// The built-in load reported its rates.
    Rates,
    /// Some time passed.
    Time,
}

/// Shows a run to people, and writes its events for programs.
pub trait Display {
    /// Whether a person needs a moment to look at the last state.
    fn is_tui(&self) -> bool;
    /// Writes an event for programs.
    fn record(&mut self, record: &impl Serialize);
    /// Shows people the state and what is new in it.
    fn show(&mut self, what: News<'_>, view: &View);
    /// Shows the last state. Nothing is shown after that; events continue.
    fn close(&mut self, view: &View);
    /// Reports an error.
    fn wrong(&self, what: &str);
}
