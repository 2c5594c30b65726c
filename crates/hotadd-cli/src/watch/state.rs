//! [`CpuState`]: the state of a processor, and the sign, word and style that it is shown with.

use ratatui::style::Style;

use crate::tui::canvas::{ALIEN, BAD, BUSY, DIM, GOOD, NORMAL};

/// The state of a processor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum CpuState {
    Active,
    /// Active, and no party was asked (Q3).
    Unagreed,
    /// It is being added, and no party is waited for.
    Adding,
    /// A party is waited for, which was asked or told about it.
    Waiting,
    Refused,
    /// It could be added.
    Present,
    /// It was active or refused once, and could not be added now.
    Absent,
}

impl CpuState {
    pub(super) const ALL: [Self; 7] = [
        Self::Active,
        Self::Unagreed,
        Self::Adding,
        Self::Waiting,
        Self::Refused,
        Self::Present,
        Self::Absent,
    ];

    /// One column, different for each state also in ASCII: colours are not needed.
    pub(super) const fn sign(self) -> &'static str {
        match self {
            Self::Active => "●",
            Self::Unagreed => "!",
            Self::Adding => "…",
            Self::Waiting => "?",
            Self::Refused => "✕",
            Self::Present => "○",
            Self::Absent => "–",
        }
    }

    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Unagreed => "active without agreement",
            Self::Adding => "being added",
            Self::Waiting => "waiting",
            Self::Refused => "refused",
            Self::Present => "present",
            Self::Absent => "absent",
        }
    }

    /// The state in a sentence.
    pub(super) const fn sentence(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Unagreed => "active, without the agreement of the parties (Q3)",
            Self::Adding => "being added",
            Self::Waiting => "a party is waited for",
            Self::Refused => "refused",
            Self::Present => "present: it could be added",
            Self::Absent => "absent: it could not be added now",
        }
    }

    pub(super) const fn style(self) -> Style {
        match self {
            Self::Active => GOOD,
            Self::Unagreed => ALIEN,
            Self::Adding | Self::Waiting => BUSY,
            Self::Refused => BAD,
            Self::Present => NORMAL,
            Self::Absent => DIM,
        }
    }
}
