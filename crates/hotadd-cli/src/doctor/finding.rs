//! [`Finding`]: one thing that the doctor has seen: what, where, why it matters, what to do.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

/// Of one file, and of one kind, so many findings are told; one is enough to act.
pub(crate) const MOST: usize = 50;

/// How much a finding weighs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Level {
    /// Something brings processors online, or would.
    Problem,
    /// It could not be looked at or followed, so that nothing can be said.
    CannotTell,
    /// Good to know.
    Note,
}

impl Level {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Problem => "problem",
            Self::CannotTell => "cannot tell",
            Self::Note => "note",
        }
    }
}

/// One thing that was seen.
#[derive(Clone, Debug)]
pub(crate) struct Finding {
    pub(crate) level: Level,
    pub(crate) what: String,
    /// The file, as a program in the root sees it, and the line in it, from 1.
    pub(crate) place: Option<(PathBuf, Option<usize>)>,
    /// Why it matters.
    pub(crate) why: String,
    /// What to do.
    pub(crate) fix: String,
}

impl Finding {
    pub(crate) fn new(level: Level, what: impl Into<String>) -> Self {
        let (why, fix) = (String::new(), String::new());
        Self { level, what: what.into(), place: None, why, fix }
    }

    pub(crate) fn at(mut self, file: &Path, line: impl Into<Option<usize>>) -> Self {
        self.place = Some((file.to_owned(), line.into()));
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

    pub(crate) fn json(&self) -> Value {
        let place = self
            .place
            .as_ref()
            .map(|(file, line)| json!({ "file": file.to_string_lossy(), "line": line }));
        json!({
            "level": self.level.name(), "what": self.what, "where": place, "why": self.why, "do": self.fix,
        })
    }

    /// In lines, each with its end.
    pub(crate) fn shown(&self) -> String {
        let mut text = format!("{}: {}\n", self.level.name(), harmless(&self.what));
        if let Some((file, line)) = &self.place {
            let line = line.map(|line| format!(":{line}")).unwrap_or_default();
            text += &format!("  where: {}{line}\n", harmless(&file.to_string_lossy()));
        }
        for (name, said) in [("why", &self.why), ("do", &self.fix)] {
            if !said.is_empty() {
                text += &format!("  {name}: {}\n", harmless(said));
            }
        }
        text
    }
}

/// Without what a terminal would obey.
pub(crate) fn harmless(text: &str) -> String {
    hotadd::text::clean(text).into_owned()
}

/// What a line of a file says, short enough to be shown.
pub(crate) fn excerpt(text: &[u8]) -> String {
    const MOST: usize = 160;
    let text = String::from_utf8_lossy(text);
    let text = text.trim();
    let cut = text.char_indices().nth(MOST).map(|(at, _)| &text[..at]);
    harmless(&cut.map_or_else(|| text.to_owned(), |cut| format!("{cut}…")))
}
