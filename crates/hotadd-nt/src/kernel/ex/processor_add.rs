//! `\Callback\ProcessorAdd`: one party of the partition represents all functions registered with it.
//!
//! Each function is called with a change and a status of its own, in the order of registration. A refusal ends the
//! sequence: the functions before it are notified with AddFailure, and those after it are not called (A3). There is
//! one party and not one for each function, because a partition in another process asks all parties of a process
//! before it waits for any.

use std::collections::HashMap;
use std::sync::Arc;

use hotadd::{Driver, Notice, Veto};

use crate::faults;
use crate::ground::rule::{Breach, Rule};
use crate::ground::types::{ChangeContext, change_state, nt_status};
use crate::ground::{images, world};
use crate::kernel::ex::callbacks::{self, PROCESSOR_ADD, Registered};
use crate::kernel::ke::change;

/// The party.
pub(super) struct Functions {
    /// The object's address.
    object: usize,
    /// The functions that have agreed, by the index of a processor that is being added. Only these are notified of
    /// the outcome (X4).
    agreed: HashMap<u32, Vec<Arc<Registered>>>,
}

impl Functions {
    pub(super) fn of(object: usize) -> Self {
        Self { object, agreed: HashMap::new() }
    }

    fn start(&mut self, change: ChangeContext) -> Result<(), Veto> {
        let mut agreed = Vec::new();
        for function in callbacks::registered(self.object) {
            match tell(&function, change) {
                Some(Ok(())) => agreed.push(function),
                // It was unregistered in the meantime.
                None => {}
                Some(Err(veto)) => {
                    let status = nt_status(veto.status());
                    let failure = ChangeContext { state: change_state::FAILURE, status, ..change };
                    for wrong in outcome(agreed, failure) {
                        report(&wrong);
                    }
                    return Err(veto);
                }
            }
        }
        self.agreed.insert(change.nt_number, agreed);
        Ok(())
    }
}

impl Driver for Functions {
    fn add_start(&mut self, notice: &Notice) -> Result<(), Veto> {
        self.notify(notice)
    }

    fn notify(&mut self, notice: &Notice) -> Result<(), Veto> {
        let Some(change) = change::change_of(notice) else { return Ok(()) };
        // Together the functions have the time limit of one party.
        faults::watch(world::get().time_limit, || {
            if change.state == change_state::START {
                return self.start(change);
            }
            let agreed = self.agreed.remove(&change.nt_number).unwrap_or_default();
            let mut wrong = outcome(agreed, change).into_iter();
            // The partition reports the first error (A6).
            let first = wrong.next();
            wrong.for_each(|wrong| report(&wrong));
            first.map_or(Ok(()), |wrong| Err(wrong.veto))
        })
    }
}

/// A function that returned an error where an error has no effect.
struct Wrong {
    function: Arc<Registered>,
    veto: Veto,
}

/// Notifies the functions that have agreed of the outcome; of a failure, the last first. Returns those that answered
/// with an error.
fn outcome(mut agreed: Vec<Arc<Registered>>, change: ChangeContext) -> Vec<Wrong> {
    if change.state == change_state::FAILURE {
        agreed.reverse();
    }
    let answer = |function: Arc<Registered>| {
        let veto = tell(&function, change)?.err()?;
        Some(Wrong { function, veto })
    };
    agreed.into_iter().filter_map(answer).collect()
}

fn report(wrong: &Wrong) {
    let place = images::place(wrong.function.routine.address());
    let what = format!(
        "{PROCESSOR_ADD}: a function returned an error after AddStart, which has no effect (A6): {}",
        wrong.veto
    );
    world::get().console().breach(&Breach { rule: Rule::StatusOutsideStart, what, place });
}

/// Calls a function. `None` if it was unregistered in the meantime.
fn tell(function: &Arc<Registered>, change: ChangeContext) -> Option<Result<(), Veto>> {
    function.run(|| change::call(function.routine, function.context, change))
}
