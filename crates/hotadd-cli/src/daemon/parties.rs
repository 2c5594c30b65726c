//! [`Parties`]: those of the configuration that are registered, each with its line.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::run::drivers::{Drivers, Terms};
use crate::spec::DriverSpec;

/// Those of the configuration, in the order in which they registered. Shared by the main thread and those that register.
#[derive(Default)]
pub(super) struct Parties(Mutex<Vec<One>>);

struct One {
    /// As it is in the configuration.
    line: String,
    drivers: Drivers,
}

impl Parties {
    fn lock(&self) -> MutexGuard<'_, Vec<One>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Registers those of these that are not, then lets those go that are none of these, and leaves the others alone. If one cannot
    /// register nothing changes (R4). Takes as long as they do; called by one thread at a time.
    pub(super) fn change(&self, terms: &Terms, specs: &[DriverSpec]) -> Result<(), String> {
        let mut old: Vec<String> = self.lock().iter().map(|one| one.line.clone()).collect();
        let mut new = Vec::new();
        for spec in specs {
            match old.iter().position(|line| *line == spec.text) {
                Some(at) => drop(old.remove(at)),
                None => {
                    let drivers = terms.register(std::slice::from_ref(spec))?;
                    new.push(One { line: spec.text.clone(), drivers });
                }
            }
        }
        let mut parties = self.lock();
        let mut gone = Vec::new();
        for line in old {
            let last = parties.iter().rposition(|one| one.line == line);
            gone.extend(last.map(|at| parties.remove(at)));
        }
        parties.append(&mut new);
        drop(parties);
        end(&mut gone);
        Ok(())
    }

    /// The lines of all.
    pub(super) fn lines(&self) -> Vec<String> {
        self.lock().iter().map(|one| one.line.clone()).collect()
    }

    /// How long ending those in processes of their own may take.
    pub(super) fn grace(&self) -> Duration {
        self.lock().iter().map(|one| one.drivers.grace()).max().unwrap_or_default()
    }

    /// Ends those in processes of their own. Dropping what this returns deregisters the others.
    pub(super) fn end(&self) -> impl Sized + use<> {
        let mut all = std::mem::take(&mut *self.lock());
        end(&mut all);
        all
    }
}

/// All processes at once.
fn end(parties: &mut [One]) {
    parties.iter().for_each(|one| one.drivers.begin_end());
    parties.iter_mut().for_each(|one| one.drivers.end_hosts());
}
