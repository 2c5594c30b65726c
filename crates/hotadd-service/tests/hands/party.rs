//! A party that records its calls, and once acts in the middle of a call.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::sync::{Arc, Mutex};

use hotadd::{Driver, Notice, Removal, State, Veto};

/// A call: party, state, processor, and whether it was a surprise.
type Told = (&'static str, State, u32, bool);

/// The calls of all parties, in order.
#[derive(Clone, Default)]
pub(crate) struct Journal(Arc<Mutex<Vec<Told>>>);

impl Journal {
    /// X4: the calls come in pairs.
    pub(crate) fn check_pairs(&self, case: &impl Display) {
        self.walk(case);
    }

    /// Checks that each party was told exactly the agreed processors are active.
    pub(crate) fn check_open(&self, case: &impl Display, agreed: &BTreeSet<u32>) {
        for (party, open) in self.walk(case) {
            assert_eq!(open, *agreed, "{case}: what {party} was told is active");
        }
    }

    /// The processors that each party holds at the end.
    fn walk(&self, case: &impl Display) -> BTreeMap<&'static str, BTreeSet<u32>> {
        let mut last: BTreeMap<(&str, u32), State> = BTreeMap::new();
        for (party, state, id, surprise) in self.0.lock().unwrap().iter().copied() {
            let before = last.insert((party, id), state);
            let joined = matches!(before, Some(State::AddComplete | State::RemoveFailure));
            let follows = match state {
                State::AddStart => !joined && before != Some(State::AddStart),
                State::AddComplete | State::AddFailure => before == Some(State::AddStart),
                State::RemoveStart => joined,
                State::RemoveComplete if surprise => joined,
                State::RemoveComplete | State::RemoveFailure => before == Some(State::RemoveStart),
            };
            assert!(follows, "{case}: {party} was told {state} of {id} after {before:?} (X4)");
        }
        let mut held: BTreeMap<_, BTreeSet<u32>> = BTreeMap::new();
        for ((party, id), state) in last {
            let open = held.entry(party).or_default();
            match state {
                State::AddComplete | State::RemoveFailure => drop(open.insert(id)),
                State::AddFailure | State::RemoveComplete => {}
                State::AddStart | State::RemoveStart => {
                    panic!("{case}: {party} was told {state} of {id}, and no outcome (X4)")
                }
            }
        }
        held
    }
}

/// The state and the processor of the call in which it acts, once.
type Act<F> = (State, u32, F);

pub(crate) struct Party<F> {
    name: &'static str,
    journal: Journal,
    act: Option<Act<F>>,
}

impl<F: FnOnce() + Send> Party<F> {
    pub(crate) fn new(name: &'static str, journal: &Journal, act: Option<Act<F>>) -> Self {
        Self { name, journal: journal.clone(), act }
    }

    fn told(&mut self, notice: &Notice) {
        let (state, id) = (notice.state(), notice.processor().id.0);
        self.journal.0.lock().unwrap().push((self.name, state, id, notice.is_surprise()));
        if let Some((_, _, act)) = self.act.take_if(|act| (act.0, act.1) == (state, id)) {
            act();
        }
    }
}

impl<F: FnOnce() + Send> Driver for Party<F> {
    fn add_start(&mut self, notice: &Notice) -> Result<(), Veto> {
        self.told(notice);
        Ok(())
    }

    fn add_complete(&mut self, notice: &Notice) {
        self.told(notice);
    }

    fn add_failure(&mut self, notice: &Notice) {
        self.told(notice);
    }

    fn removal(&mut self) -> Option<&mut dyn Removal> {
        Some(self)
    }
}

impl<F: FnOnce() + Send> Removal for Party<F> {
    fn remove_start(&mut self, notice: &Notice) -> Result<(), Veto> {
        self.told(notice);
        Ok(())
    }

    fn remove_complete(&mut self, notice: &Notice) {
        self.told(notice);
    }

    fn remove_failure(&mut self, notice: &Notice) {
        self.told(notice);
    }
}
