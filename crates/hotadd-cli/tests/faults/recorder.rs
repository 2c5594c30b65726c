//! [`Recorder`]: a healthy party that records every call, and the set of processors that it infers.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hotadd::{Driver, Notice, Removal, State, Status, Veto};

/// The reason that a recorder gives when it refuses.
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

/// The shared record of all recorders.
#[derive(Clone, Default)]
pub(crate) struct Journal(Arc<Mutex<Records>>);

#[derive(Default)]
struct Records {
    told: Vec<Told>,
    /// The processors that each party was told are active.
    active: BTreeMap<String, BTreeSet<u32>>,
    refuses: Option<(String, State)>,
}

impl Journal {
    fn records(&self) -> MutexGuard<'_, Records> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn recorder(&self, party: &str) -> Recorder {
        self.records().active.insert(party.to_owned(), BTreeSet::new());
        Recorder { party: party.to_owned(), journal: self.clone() }
    }

    /// The calls since the last time.
    pub(crate) fn take(&self) -> Vec<Told> {
        std::mem::take(&mut self.records().told)
    }

    /// The processors that each party believes active.
    pub(crate) fn active(&self) -> BTreeMap<String, BTreeSet<u32>> {
        self.records().active.clone()
    }

    /// Makes this party refuse in this state.
    pub(crate) fn refuse(&self, party: &str, state: State) {
        self.records().refuses = Some((party.to_owned(), state));
    }

    /// Makes every party agree again.
    pub(crate) fn agree(&self) {
        self.records().refuses = None;
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
        let mut records = self.journal.records();
        records.told.push(Told::new(&self.party, state, id));
        let active = records.active.entry(self.party.clone()).or_default();
        match state {
            State::AddComplete => drop(active.insert(id)),
            State::RemoveComplete => drop(active.remove(&id)),
            _ => {}
        }
        match &records.refuses {
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
