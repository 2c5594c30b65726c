//! [`Finding`]: something that the doctor has found: what, where, why it matters, what to do.

use std::path::Path;

use serde::Serialize;

/// The most findings of one kind that are reported for one file; one is enough to act.
pub(crate) const MOST: usize = 50;

/// The severity of a finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(into = "&str")]
pub enum Level {
    /// Something brings processors online, or would do so.
    Problem,
    /// Something could not be examined or followed, so the answer is unknown.
    CannotTell,
    /// For information.
    Note,
}

/// The level's name, for people and programs.
impl From<Level> for &str {
    fn from(level: Level) -> Self {
        match level {
            Level::Problem => "problem",
            Level::CannotTell => "cannot tell",
            Level::Note => "note",
        }
    }
}

/// Something that was found. Its texts may contain control characters.
#[derive(Clone, Debug, Serialize)]
pub struct Finding {
    /// Its severity.
    pub level: Level,
    /// What was found.
    pub what: String,
    /// Where it was found.
    #[serde(rename = "where")]
    pub place: Option<Place>,
    /// Why it matters.
    pub why: String,
    /// What to do.
    #[serde(rename = "do")]
    pub fix: String,
}

/// Where something was found.
#[derive(Clone, Debug, Serialize)]
pub struct Place {
    /// The file, as a program in the root sees it.
    pub file: String,
    /// The line in it, counted from 1.
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

/// An excerpt of a file's line that is short enough to be shown.
pub(crate) fn excerpt(text: &[u8]) -> String {
    const MOST: usize = 160;
    let text = String::from_utf8_lossy(text);
    let text = text.trim();
    let cut = text.char_indices().nth(MOST).map(|(at, _)| &text[..at]);
    let cut = cut.map_or_else(|| text.to_owned(), |cut| format!("{cut}…"));
    hotadd::text::clean(&cut).into_owned()
}
