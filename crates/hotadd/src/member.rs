//! [`Member`]: a registered driver as the registry keeps it, and [`PartyInfo`], its public part.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicBool as StdAtomicBool;

use hotadd_core::{Driver, Level, Party, PartyId, Processor};

use crate::error::Error;
use crate::sync::{AtomicBool, Ordering};
use crate::text;

/// Identifies a party in an answer, a log line or an event.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PartyInfo {
    /// The identity in this partition. 0, which no party has, if a partition in another process did not send one.
    pub id: PartyId,
    /// The name under which the party registered. Not unique.
    pub name: String,
    /// The level. 0 if a partition in another process did not send one.
    pub level: Level,
}

impl PartyInfo {
    /// Checks whether a driver may have this name (R7).
    pub(crate) fn check_name(name: &str) -> Result<(), Error> {
        if !text::is_name(name) {
            return Err(Error::BadName(name.chars().take(text::LONGEST_NAME).collect()));
        }
        Ok(())
    }
}

impl fmt::Display for PartyInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

/// A party's place in the calling order.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    pub(crate) level: Level,
    pub(crate) at_once: bool,
}

/// Becomes true when the driver can no longer be called. It is never an atomic of loom, because other crates make it.
pub(crate) type Gone<'a> = Option<&'a StdAtomicBool>;

/// The state shared by the registry's entry and the registration's handle.
pub(crate) struct Shared {
    pub(crate) id: PartyId,
    pub(crate) level: Level,
    hears_removal: bool,
    pub(crate) at_once: bool,
    /// Once true it stays true, and the driver is not called again (D1).
    departed: AtomicBool,
    /// The party was not told of the processor of the transaction in progress, and so is not told of its end (X4).
    excluded: AtomicBool,
    pub(crate) name: Box<str>,
}

impl Shared {
    pub(crate) fn info(&self) -> PartyInfo {
        PartyInfo { id: self.id, name: self.name.to_string(), level: self.level }
    }

    /// Relaxed, here and below: the flag decides something only inside the gate, where the one thread inside sets and reads
    /// it. An observer may set it on another thread that checks the hardware meanwhile; then the lock of `Telling::calls`
    /// orders it before the next call. Elsewhere the flag reports what already happened.
    pub(crate) fn departed(&self) -> bool {
        self.departed.load(Ordering::Relaxed)
    }

    /// Marks the party as departed. Returns whether it had departed before.
    pub(crate) fn depart(&self) -> bool {
        self.departed.swap(true, Ordering::Relaxed)
    }

    /// Sets whether the party is left out of the removal that is about to begin (X4).
    pub(crate) fn exclude(&self, excluded: bool) {
        self.excluded.store(excluded, Ordering::Relaxed);
    }

    /// Whether the party asked for removal notices (X1).
    pub(crate) const fn hears_removal(&self) -> bool {
        self.hears_removal
    }
}

/// A registered driver. 24 bytes, because there may be thousands and every add visits all of them.
pub(crate) struct Member {
    pub(crate) driver: Box<dyn Driver + Send>,
    pub(crate) shared: Arc<Shared>,
}

impl Member {
    pub(crate) fn new(
        id: PartyId,
        place: Place,
        name: &str,
        hears_removal: bool,
        driver: Box<dyn Driver + Send>,
    ) -> Self {
        let Place { level, at_once } = place;
        let shared = Shared {
            id,
            level,
            hears_removal,
            at_once,
            departed: AtomicBool::new(false),
            excluded: AtomicBool::new(false),
            name: name.into(),
        };
        Self { driver, shared: Arc::new(shared) }
    }
}

impl Party for Member {
    fn id(&self) -> PartyId {
        self.shared.id
    }

    fn level(&self) -> Level {
        self.shared.level
    }

    #[inline]
    fn departed(&self) -> bool {
        self.shared.departed()
    }

    fn hears_removal(&self) -> bool {
        self.shared.hears_removal
    }

    fn heard_of(&self, _: Processor) -> bool {
        // Set before the transaction, for one processor at a time.
        !self.shared.excluded.load(Ordering::Relaxed)
    }
    fn at_once(&self) -> bool {
        self.shared.at_once
    }
}

#[cfg(all(test, not(hotadd_loom)))]
mod tests {
    use super::*;

    #[test]
    fn r7_an_invisible_name_is_refused_and_not_printed_in_the_error() {
        for name in ["", "  ", "\u{3164}", "po\u{200b}ol", "pool\u{202e}", "\u{9b}2J", " pool"] {
            let error = PartyInfo::check_name(name).unwrap_err();
            assert_eq!(error.clause(), "R7", "{name:?}");
            assert!(
                text::is_clean(&error.to_string()),
                "{name:?} is shown in its error: {error:?}"
            );
        }
        PartyInfo::check_name("per-CPU pool").unwrap();
    }
}
