//! [`Recorder`]: a healthy party that writes down everything that it is told, and what that makes it believe.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hotadd::{Driver, Notice, Removal, State, Status, Veto};

/// Why a recorder refuses.
pub(crate) const REFUSAL: &str = "it was told to refuse";

/// One call of one party.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Told {
    pub(crate) party: String,
    pub(crate) state: State,
    pub(crate) id: u32,
}

impl Told {
    pub(crate) fn new(party: &str, state: State, id: u32) -> Self {
        Self { party: party.to_owned(), state, id }
    }
}

impl fmt::Debug for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.party, self.state, self.id)
    }
}

/// What all recorders write into.
#[derive(Clone, Default)]
pub(crate) struct Journal(Arc<Mutex<Pages>>);

#[derive(Default)]
struct Pages {
    told: Vec<Told>,
    /// The processors that each has been told are active.
    active: BTreeMap<String, BTreeSet<u32>>,
    refuses: Option<(String, State)>,
}

impl Journal {
    fn pages(&self) -> MutexGuard<'_, Pages> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn recorder(&self, party: &str) -> Recorder {
        self.pages().active.insert(party.to_owned(), BTreeSet::new());
        Recorder { party: party.to_owned(), journal: self.clone() }
    }

    /// What was told since the last time.
    pub(crate) fn take(&self) -> Vec<Told> {
        std::mem::take(&mut self.pages().told)
    }

    /// What each believes to be active.
    pub(crate) fn active(&self) -> BTreeMap<String, BTreeSet<u32>> {
        self.pages().active.clone()
    }

    /// From now on this party refuses in this state.
    pub(crate) fn refuse(&self, party: &str, state: State) {
        self.pages().refuses = Some((party.to_owned(), state));
    }

    /// From now on nobody refuses.
    pub(crate) fn agree(&self) {
        self.pages().refuses = None;
    }
}

pub(crate) struct Recorder {
    party: String,
    journal: Journal,
}

impl Driver for Recorder {
    fn add_start(&mut self, notice: &Notice) -> Result<(), Veto> {
        self.notify(notice)
    }

    fn removal(&mut self) -> Option<&mut dyn Removal> {
        Some(self)
    }

    fn notify(&mut self, notice: &Notice) -> Result<(), Veto> {
        let (state, id) = (notice.state(), notice.processor().id.0);
        let mut pages = self.journal.pages();
        pages.told.push(Told::new(&self.party, state, id));
        let active = pages.active.entry(self.party.clone()).or_default();
        match state {
            State::AddComplete => drop(active.insert(id)),
            State::RemoveComplete => drop(active.remove(&id)),
            _ => {}
        }
        match &pages.refuses {
            Some((party, when)) if *party == self.party && *when == state => {
                Err(Veto::new(Status::UNSUCCESSFUL, REFUSAL))
            }
            _ => Ok(()),
        }
    }
}

impl Removal for Recorder {
    fn remove_start(&mut self, notice: &Notice) -> Result<(), Veto> {
        self.notify(notice)
    }
}
