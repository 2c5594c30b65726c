//! [`RequiredParty`]: a party that the operator named and without which no processor joins (L4).

// std's locks, also under loom: they are never held during a call to other code.
use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::SystemTime;

use hotadd_core::{PartyId, Status, Veto};

use crate::event::{Event, EventKind};
use crate::inner::Inner;
use crate::member::PartyInfo;
use crate::missing::Missing;

/// A party that the operator named and without which no processor joins (L4). While it is missing, every add is refused at once.
/// The refusal names the party, and no other party is asked. Made by [`Partition::require`](crate::Partition::require).
///
/// The party is missing until an attempt [succeeds](Attempt::succeeded). After that it is missing as soon as one of its
/// drivers [crashes](crate::RegistrationBuilder::required) (L3), or [`is_missing`](Self::is_missing) is called. The handle can be
/// cloned. When the last clone is dropped, the party is no longer required.
///
/// All methods may be called from any thread at any time, also from inside callbacks. They do not wait.
///
/// ```
/// use hotadd::hardware::Simulated;
/// use hotadd::{HardwareId, Notice, Partition};
///
/// let partition = Partition::simulated(&Simulated::new(1, 1)?)?;
/// let required = partition.require("pool")?;
/// let error = partition.add(HardwareId(1)).unwrap_err();
/// assert_eq!(error.to_string(), "pool is missing, and processor 1 is not added without it: it has not registered yet");
///
/// let attempt = required.attempt();
/// let pool = |_: &Notice| Ok(());
/// let registration = partition.registration("pool").required(&required).register(pool)?;
/// attempt.succeeded();
/// partition.add(HardwareId(1))?;
/// # drop(registration);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
#[must_use = "the party is no longer required when the last handle is dropped"]
pub struct RequiredParty(pub(crate) Arc<Required>);

/// The state shared by the handles and by the drivers that represent the required party.
pub(crate) struct Required {
    name: String,
    partition: Weak<Inner>,
    state: Mutex<State>,
}

struct State {
    missing: Option<Missing>,
    /// How often the party went missing. An attempt to bring it back counts only if this has not changed meanwhile.
    losses: u64,
}

/// An attempt to bring a required party back. It begins before the party's driver is registered.
#[derive(Debug)]
#[must_use = "the party stays missing until the attempt has succeeded"]
pub struct Attempt {
    party: RequiredParty,
    losses: u64,
}

impl RequiredParty {
    /// Adds a party to those that the partition requires. Its name has been checked.
    pub(crate) fn of(inner: &Arc<Inner>, name: &str) -> Self {
        let reason = "it has not registered yet".to_owned();
        let missing = Missing::new(name, SystemTime::now(), Status::DEVICE_NOT_READY, reason);
        let state = Mutex::new(State { missing: Some(missing), losses: 0 });
        let partition = Arc::downgrade(inner);
        let required = Arc::new(Required { name: name.to_owned(), partition, state });
        inner.required.push(&required);
        Self(required)
    }

    /// The name that the operator gave the party.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// Begins an attempt to bring the party back: its driver is about to be registered.
    pub fn attempt(&self) -> Attempt {
        Attempt { party: self.clone(), losses: self.0.lock().losses }
    }

    /// Reports the party as missing. From now on every add is refused, also an add in progress whose processor was not
    /// started yet. `reason` is a sentence without its full stop. A status that is not an error becomes
    /// [`Status::UNSUCCESSFUL`]. If the party was already missing, the time is kept and the reason is replaced.
    pub fn is_missing(&self, status: Status, reason: impl Into<String>) {
        self.0.lost(status, reason.into());
    }

    /// The time and the reason if the party is missing; `None` if it is not.
    #[must_use]
    pub fn missing(&self) -> Option<Missing> {
        self.0.lock().missing.clone()
    }
}

impl Attempt {
    /// Reports that the party is present: its driver is registered, or has nothing to register. Returns whether this counts. It
    /// does not count if the party went missing again after the attempt began.
    #[expect(
        clippy::must_use_candidate,
        reason = "the loss of the party is reported in another way"
    )]
    pub fn succeeded(self) -> bool {
        let required = &self.party.0;
        let mut state = required.lock();
        if state.losses != self.losses {
            return false;
        }
        let was = state.missing.take();
        let lost_before = state.losses > 0;
        drop(state);
        // The first registration is not reported.
        if let (Some(was), true) = (was, lost_before) {
            required.tell(EventKind::Present, was.party, None);
        }
        true
    }
}

impl Required {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Marks the party as missing.
    pub(crate) fn lost(&self, status: Status, reason: String) {
        let status = status.as_error();
        let mut state = self.lock();
        // It was not reported that the party had not registered yet.
        let first = state.losses == 0;
        state.losses += 1;
        let known = state.missing.as_ref().map(|missing| missing.since);
        let since = known.unwrap_or_else(SystemTime::now);
        let missing = Missing::new(&self.name, since, status, reason);
        let party = missing.party.clone();
        let says = (missing.status, missing.reason.clone());
        state.missing = Some(missing);
        drop(state);
        if first || known.is_none() {
            self.tell(EventKind::Missing, party, Some(says));
        }
    }

    fn tell(&self, kind: EventKind, party: PartyInfo, why: Option<(Status, String)>) {
        let Some(partition) = self.partition.upgrade() else { return };
        let mut event = Event::new(kind, partition.published.summary().0);
        event.party = Some(party);
        event.clause = Some("L4");
        if let Some((status, reason)) = why {
            event.status = Some(status);
            event.reason = Some(reason);
        }
        partition.telling.push(event);
        partition.telling.flush();
    }
}

/// The required parties of a partition.
#[derive(Default)]
pub(crate) struct AllRequired {
    /// In the order in which the operator named them.
    all: Mutex<Vec<Weak<Required>>>,
    /// The required party that each driver represents.
    drivers: Mutex<BTreeMap<PartyId, Weak<Required>>>,
}

impl AllRequired {
    fn all(&self) -> Vec<Arc<Required>> {
        let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|required| required.strong_count() > 0);
        all.iter().filter_map(Weak::upgrade).collect()
    }

    fn push(&self, required: &Arc<Required>) {
        let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        all.push(Arc::downgrade(required));
    }

    fn drivers(&self) -> MutexGuard<'_, BTreeMap<PartyId, Weak<Required>>> {
        self.drivers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records that this driver represents a required party.
    pub(crate) fn stands_for(&self, driver: PartyId, required: Weak<Required>) {
        self.drivers().insert(driver, required);
    }

    /// Removes a driver that is no longer registered.
    pub(crate) fn forget(&self, driver: PartyId) {
        self.drivers().remove(&driver);
    }

    /// This driver has crashed: if it represents a required party, that party is now missing (L3, L4).
    pub(crate) fn crashed(&self, driver: PartyId, veto: &Veto) {
        let required = self.drivers().get(&driver).and_then(Weak::upgrade);
        if let Some(required) = required {
            required.lost(veto.status(), veto.reason().to_owned());
        }
    }

    /// The missing parties.
    pub(crate) fn missing(&self) -> Vec<Missing> {
        self.all().iter().filter_map(|required| required.lock().missing.clone()).collect()
    }
}

impl fmt::Debug for RequiredParty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let missing = self.missing();
        f.debug_struct("RequiredParty")
            .field("name", &self.0.name)
            .field("missing", &missing)
            .finish()
    }
}
