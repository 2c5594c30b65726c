//! [`Parties`]: the parties that the operator named, in the configuration or by `--driver`, each with its specification.

mod alone;
mod drivers;
mod one;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use hotadd::Partition;
use hotadd_service::{Departures, NotRestarted, Restart, Service};

pub use self::alone::Alone;
use self::drivers::Driver;
pub use self::drivers::{OutputSink, Terms};
use self::one::{One, Until};
use crate::spec::DriverSpec;

/// How long a driver may delay the end.
const GRACE: Duration = Duration::from_secs(2);

/// The parties that the operator named, in the order in which they first registered. Shared by the main thread, the threads that
/// register parties, and those that restart a party on request.
#[derive(Default)]
pub struct Parties {
    /// Held while parties are registered, by one thread at a time. Locked before the state.
    changing: Mutex<()>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    all: Vec<Arc<One>>,
    /// What parties are registered with from now on.
    terms: Option<Arc<Terms>>,
    ended: bool,
}

/// What happens if a party does not register at the start.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Beginning {
    /// The start fails.
    WithAll,
    /// A required party is missing; otherwise the start fails.
    Degraded,
}

impl Parties {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn changing(&self) -> MutexGuard<'_, ()> {
        self.changing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Names the parties, in the order given. Until all have registered, every add is refused (L4).
    ///
    /// # Errors
    /// A name is not valid; the error says why.
    pub fn name(&self, partition: &Partition, specs: &[DriverSpec]) -> Result<(), String> {
        let new = |spec: &DriverSpec| One::new(partition, spec.clone(), Until::Registered);
        let all = specs.iter().map(|spec| new(spec).map(Arc::new)).collect::<Result<Vec<_>, _>>();
        self.lock().all = all.map_err(|why| why.sentence)?;
        Ok(())
    }

    /// Registers the named parties in order. Returns when all have registered.
    ///
    /// # Errors
    /// A party does not register and the start fails without it; the error says which party, and why.
    pub fn begin(&self, terms: Terms, beginning: Beginning) -> Result<(), String> {
        let _changing = self.changing();
        self.begin_all(&Arc::new(terms), beginning).inspect_err(|_| drop(self.end()))
    }

    fn begin_all(&self, terms: &Arc<Terms>, beginning: Beginning) -> Result<(), String> {
        let mut state = self.lock();
        if state.ended {
            return Ok(());
        }
        state.terms = Some(Arc::clone(terms));
        let all = state.all.clone();
        drop(state);
        for one in all {
            match one.start(terms) {
                Err(why) if beginning == Beginning::Degraded && one.is_required() => {
                    one.is_missing(&why);
                }
                other => other.map_err(|why| why.sentence)?,
            }
        }
        Ok(())
    }

    /// Registers the parties that are new in `specs`, then deregisters those that are not in it, and restarts those that are
    /// missing. The others are not changed. If a new party cannot register, nothing changes (R4). Returns when all of this is
    /// done.
    pub(crate) fn change(&self, terms: Terms, specs: &[DriverSpec]) -> Result<(), String> {
        let _changing = self.changing();
        let terms = Arc::new(terms);
        let mut old = self.lock().all.clone();
        let (mut stay, mut new) = (Vec::new(), Vec::new());
        for spec in specs {
            match old.iter().position(|one| one.spec.is_as(spec)) {
                Some(at) => stay.push(old.remove(at)),
                None => {
                    let one = One::new(&terms.partition, spec.clone(), Until::Agreed);
                    let started = one.and_then(|one| one.start(&terms).map(|()| one));
                    new.push(Arc::new(started.map_err(|why| why.sentence)?));
                }
            }
        }
        let mut state = self.lock();
        if state.ended {
            return Ok(());
        }
        state.all.retain(|one| !old.iter().any(|gone| Arc::ptr_eq(gone, one)));
        state.all.append(&mut new);
        state.terms = Some(Arc::clone(&terms));
        drop(state);
        end(&old);
        for one in stay.iter().filter(|one| one.is_gone()) {
            // If this fails the party is still missing, and `hotadd parties` says why.
            let _ = one.start_anew(&terms);
        }
        Ok(())
    }

    /// Returns a function that restarts a party, given its name. It does not keep the parties alive.
    #[must_use]
    pub fn restart(self: &Arc<Self>) -> Restart {
        let these = Arc::downgrade(self);
        Arc::new(move |name| match these.upgrade() {
            Some(these) => these.start_anew(name),
            None => Err(NotRestarted::Unknown),
        })
    }

    fn start_anew(&self, name: &str) -> Result<(), NotRestarted> {
        let _changing = self.changing();
        let (terms, those) = {
            let state = self.lock();
            let those = state.all.iter().filter(|one| one.spec.name == name).cloned();
            (state.terms.clone(), those.collect::<Vec<_>>())
        };
        let terms = terms.filter(|_| !those.is_empty()).ok_or(NotRestarted::Unknown)?;
        // Every party of this name, even if the first fails.
        let started: Vec<_> = those.iter().map(|one| one.start_anew(&terms)).collect();
        started.into_iter().collect::<Result<(), _>>().map_err(NotRestarted::Failed)
    }

    /// The specifications of all parties that are not missing.
    pub(crate) fn lines(&self) -> Vec<String> {
        let state = self.lock();
        let there = state.all.iter().filter(|one| !one.is_gone());
        there.map(|one| one.spec.text.clone()).collect()
    }

    /// Deregisters all parties on a thread of its own, then drops the service and `rest`, and calls `done` at the end. Parties in
    /// other processes go first: this ends an add that one of them holds up. Deregistering waits for a driver that is still in its
    /// callback (D1), and the end of this process ends that driver.
    ///
    /// Meanwhile `turn` waits for one message within the given time and handles it; a driver whose output is not read would block
    /// and not end. It returns whether `done` was called when the wait is over, which this returns.
    pub fn leave(
        self: &Arc<Self>,
        service: Option<Arc<Service>>,
        rest: impl Send + 'static,
        done: impl FnOnce() + Send + 'static,
        mut turn: impl FnMut(Duration) -> Option<bool>,
    ) -> bool {
        let grace = self.lock().all.iter().map(|one| one.grace()).max().unwrap_or_default();
        let until = Instant::now() + GRACE + grace;
        let these = Arc::clone(self);
        let leave = move || {
            let others = these.end();
            let departures = service.as_ref().map(|service| service.departures());
            drop(service);
            drop((others, rest));
            // Without this, the last events of the parties could come after `done`.
            departures.iter().for_each(Departures::wait);
            done();
        };
        // Without a thread they have been dropped already.
        thread::Builder::new().name("hotadd-leave".to_owned()).spawn(leave).is_err()
            || loop {
                if let Some(left) = turn(until.saturating_duration_since(Instant::now())) {
                    break left;
                }
            }
    }

    /// Ends the parties in processes of their own. Dropping what this returns deregisters the others.
    fn end(&self) -> impl Sized + use<> {
        let all = {
            let mut state = self.lock();
            state.ended = true;
            state.terms = None;
            std::mem::take(&mut state.all)
        };
        (end(&all), all)
    }
}

/// Ends all processes at once. Drivers without a process are returned for the caller to drop.
fn end(parties: &[Arc<One>]) -> Vec<Driver> {
    parties.iter().for_each(|one| one.begin_end());
    let drivers: Vec<_> = parties.iter().filter_map(|one| one.end()).collect();
    let (hosts, others) =
        drivers.into_iter().partition(|driver| matches!(driver, Driver::Host(..)));
    drop::<Vec<Driver>>(hosts);
    others
}
