//! [`Finding`]: one thing that the doctor has seen: what, where, why it matters, what to do.

use std::path::Path;

use serde::Serialize;

/// Of one file, and of one kind, so many findings are told; one is enough to act.
pub(crate) const MOST: usize = 50;

/// How much a finding weighs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(into = "&str")]
pub enum Level {
    /// Something brings processors online, or would.
    Problem,
    /// It could not be looked at or followed, so that nothing can be said.
    CannotTell,
    /// Good to know.
    Note,
}

/// Its name, for people and programs.
impl From<Level> for &str {
    fn from(level: Level) -> Self {
        match level {
            Level::Problem => "problem",
            Level::CannotTell => "cannot tell",
            Level::Note => "note",
        }
    }
}

/// One thing that was seen. Its texts may have what a terminal would obey.
#[derive(Clone, Debug, Serialize)]
pub struct Finding {
    /// How much it weighs.
    pub level: Level,
    /// What was seen.
    pub what: String,
    /// Where.
    #[serde(rename = "where")]
    pub place: Option<Place>,
    /// Why it matters.
    pub why: String,
    /// What to do.
    #[serde(rename = "do")]
    pub fix: String,
}

/// Where something was seen.
#[derive(Clone, Debug, Serialize)]
pub struct Place {
    /// The file, as a program in the root sees it.
    pub file: String,
    /// The line in it, from 1.
    pub line: Option<usize>,
}

impl Finding {
    pub(crate) fn new(level: Level, what: impl Into<String>) -> Self {
        let (why, fix) = (String::new(), String::new());
        Self { level, what: what.into(), place: None, why, fix }
    }

    pub(crate) fn at(mut self, file: &Path, line: impl Into<Option<usize>>) -> Self {
        self.place = Some(Place { file: file.to_string_lossy().into_owned(), line: line.into() });
        self
    }

    pub(crate) fn why(mut self, why: impl Into<String>) -> Self {
        self.why = why.into();
        self
    }

    pub(crate) fn fix(mut self, fix: impl Into<String>) -> Self {
        self.fix = fix.into();
        self
    }
}

/// What a line of a file says, short enough to be shown.
pub(crate) fn excerpt(text: &[u8]) -> String {
    const MOST: usize = 160;
    let text = String::from_utf8_lossy(text);
    let text = text.trim();
    let cut = text.char_indices().nth(MOST).map(|(at, _)| &text[..at]);
    let cut = cut.map_or_else(|| text.to_owned(), |cut| format!("{cut}…"));
    hotadd::text::clean(&cut).into_owned()
}
