//! X4, checked without the model: the calls of one driver about one processor come in pairs.

use std::collections::BTreeMap;

use hotadd::State;

use crate::journal::{Entry, Told};
use crate::reference::Processor;

/// What each driver was last told of each processor.
#[derive(Debug, Default)]
pub(crate) struct Pairs(BTreeMap<(usize, Processor), State>);

impl Pairs {
    /// Checks the calls of one step. `hears`: whether a driver hears removals.
    pub(crate) fn check(
        &mut self,
        journal: &[Entry],
        hears: impl Fn(usize) -> bool,
    ) -> Result<(), String> {
        for entry in journal {
            let Entry::Call { party, told, .. } = entry else { continue };
            let Told { state, processor, surprise, .. } = *told;
            let before = self.0.insert((*party, processor), state);
            // AddStart and RemoveStart may have been refused, and then nothing follows.
            let open = matches!(before, Some(State::AddComplete | State::RemoveFailure));
            let may_stay = open || before == Some(State::RemoveStart);
            let follows = match state {
                State::AddStart => !hears(*party) || !open,
                State::AddComplete | State::AddFailure => before == Some(State::AddStart),
                State::RemoveStart => may_stay,
                State::RemoveComplete if surprise => may_stay,
                State::RemoveComplete | State::RemoveFailure => before == Some(State::RemoveStart),
            };
            if !follows {
                return Err(format!(
                    "p{party} was told {state} of {processor:?} after {before:?} (X4)"
                ));
            }
        }
        Ok(())
    }
}
