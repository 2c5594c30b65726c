//! `\Callback\ProcessorAdd`: one party of the partition stands for all functions registered with it.
//!
//! Each function is called with a change and a status of its own, in the order of registering. One that refuses ends that:
//! those before it are told AddFailure, those behind it are not called (A3). One party and not one for each, because a
//! partition in another process asks all parties of a process before it waits for any.

use std::collections::HashMap;
use std::sync::Arc;

use hotadd::{Driver, Notice, Veto};

use crate::faults;
use crate::ground::types::{ChangeContext, change_state, nt_status};
use crate::ground::{images, world};
use crate::kernel::ex::callbacks::{self, PROCESSOR_ADD, Registered};
use crate::kernel::ke::change;

/// The party.
pub(super) struct Functions {
    /// The address of the object.
    object: usize,
    /// By the index of a processor that is being added, who has agreed to it: these are told the outcome, and nobody else (X4).
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
                // It was unregistered meanwhile.
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
        // Together they have the time that one party has.
        faults::watch(world::get().time_limit, || {
            if change.state == change_state::START {
                return self.start(change);
            }
            let agreed = self.agreed.remove(&change.nt_number).unwrap_or_default();
            let mut wrong = outcome(agreed, change).into_iter();
            // The partition reports the first (A6).
            let first = wrong.next();
            wrong.for_each(|wrong| report(&wrong));
            first.map_or(Ok(()), |wrong| Err(wrong.veto))
        })
    }
}

/// A function that left an error where that changes nothing.
struct Wrong {
    function: Arc<Registered>,
    veto: Veto,
}

/// Tells those who have agreed what became of it: of a failure the last first. Returns who answered with an error.
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
    let place = place.map_or(String::new(), |place| format!(" at {place}"));
    world::get().console.breach(&format!(
        "{PROCESSOR_ADD}: a function{place} answered with an error after AddStart, which changes nothing (A6): {}",
        wrong.veto
    ));
}

/// Calls a function. `None` if it was unregistered meanwhile.
fn tell(function: &Arc<Registered>, change: ChangeContext) -> Option<Result<(), Veto>> {
    function.run(|| change::call(function.routine, function.context, change))
}
