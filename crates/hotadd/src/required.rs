//! [`RequiredParty`]: a party that the operator named, without which no processor joins (L4).

// std's locks, also under loom: they are never held while anything is called.
use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::SystemTime;

use hotadd_core::{Level, PartyId, Status, Veto};

use crate::error::Error;
use crate::event::{Event, EventKind};
use crate::inner::Inner;
use crate::member::PartyInfo;
use crate::partition::{Partition, Seat};

/// A party that the operator named, without which no processor joins (L4): as long as it is missing, every add is refused by its
/// name, at once, and nobody else is asked. Made by [`Partition::require`].
///
/// It is missing until it is said to be [there](Attempt::succeeded), and from then on as soon as a driver of its
/// [crashes](crate::Registering::required) (L3), or somebody says that it [is](Self::is_missing). The handle can be cloned; when the last
/// one is dropped, the party is not required any more.
///
/// All methods may be called from any thread at any time, also from inside callbacks, and wait for nobody.
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
/// let registration = partition.party("pool").required(&required).register(pool)?;
/// attempt.succeeded();
/// partition.add(HardwareId(1))?;
/// # drop(registration);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
#[must_use = "dropping the last handle of a RequiredParty ends that it is required"]
pub struct RequiredParty(pub(crate) Arc<Required>);

/// A required party that is missing.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Missing {
    /// The party, by the name that the operator gave it. It has no identity and no level while it is not registered: both are 0.
    pub party: PartyInfo,
    /// Since when.
    pub since: SystemTime,
    /// The status that adds are refused with. Always an error.
    pub status: Status,
    /// Why, in a sentence without its full stop.
    pub reason: String,
}

impl Missing {
    pub(crate) fn new(name: &str, since: SystemTime, status: Status, reason: String) -> Self {
        let party = PartyInfo { id: PartyId(0), name: name.to_owned(), level: Level(0) };
        Self { party, since, status, reason }
    }
}

/// What the handles, and the drivers that a required party registers, have in common.
pub(crate) struct Required {
    name: String,
    partition: Weak<Inner>,
    state: Mutex<State>,
}

struct State {
    missing: Option<Missing>,
    /// How often it went missing: an attempt to bring it back counts only if it has not gone again meanwhile.
    losses: u64,
}

/// An attempt to bring a required party back. Begun before its driver is registered.
#[derive(Debug)]
#[must_use = "the party stays missing until the attempt has succeeded"]
pub struct Attempt {
    party: RequiredParty,
    losses: u64,
}

impl RequiredParty {
    /// The name that the operator gave it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// An attempt to bring it back begins: its driver is about to be registered.
    pub fn attempt(&self) -> Attempt {
        Attempt { party: self.clone(), losses: self.0.lock().losses }
    }

    /// It is missing: every add is refused from now on, also one under way whose processor was not started yet. `reason` is a
    /// sentence without its full stop. A status that is no error becomes [`Status::UNSUCCESSFUL`]. If it was missing already, the
    /// time stays, and the reason is the new one.
    pub fn is_missing(&self, status: Status, reason: impl Into<String>) {
        self.0.lost(status, reason.into());
    }

    /// Whether it is missing, and since when and why.
    #[must_use]
    pub fn missing(&self) -> Option<Missing> {
        self.0.lock().missing.clone()
    }
}

impl Attempt {
    /// The party is there: its driver is registered, or has nothing to register. Says whether that counts: not if it has gone
    /// missing again since the attempt began.
    #[expect(
        clippy::must_use_candidate,
        reason = "who has lost it again is told of that otherwise"
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
        // That it registers for the first time is no news.
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

    /// It is missing.
    pub(crate) fn lost(&self, status: Status, reason: String) {
        let status = if status.is_error() { status } else { Status::UNSUCCESSFUL };
        let mut state = self.lock();
        // That it has not registered yet was not told.
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
    /// In the order in which they were named.
    all: Mutex<Vec<Weak<Required>>>,
    /// Which drivers stand for which of them.
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

    /// This driver stands for a required party.
    pub(crate) fn stands_for(&self, driver: PartyId, required: Weak<Required>) {
        self.drivers().insert(driver, required);
    }

    /// This driver is registered no longer.
    pub(crate) fn forget(&self, driver: PartyId) {
        self.drivers().remove(&driver);
    }

    /// This driver has crashed: if it stood for a required party, that one is missing (L3, L4).
    pub(crate) fn crashed(&self, driver: PartyId, veto: &Veto) {
        let required = self.drivers().get(&driver).and_then(Weak::upgrade);
        if let Some(required) = required {
            required.lost(veto.status(), veto.reason().to_owned());
        }
    }

    /// Those that are missing.
    pub(crate) fn missing(&self) -> Vec<Missing> {
        self.all().iter().filter_map(|required| required.lock().missing.clone()).collect()
    }
}

impl Partition {
    /// Names a party without which no processor joins (L4). It is missing until it is [there](RequiredParty::attempt). Its driver
    /// is registered with [`Registering::required`](crate::Registering::required), so that adds are refused as soon as it crashes.
    ///
    /// # Errors
    /// [`Error::BadName`] (R7); [`Error::Denied`] for a partition in another process: its operator decides.
    pub fn require(&self, name: &str) -> Result<RequiredParty, Error> {
        PartyInfo::check_name(name)?;
        let Some(inner) = self.seat.here() else {
            let why = "the operator of a partition in another process decides who is required";
            return Err(Error::Denied(why.to_owned()));
        };
        let reason = "it has not registered yet".to_owned();
        let missing = Missing::new(name, SystemTime::now(), Status::DEVICE_NOT_READY, reason);
        let state = Mutex::new(State { missing: Some(missing), losses: 0 });
        let partition = Arc::downgrade(inner);
        let required = Arc::new(Required { name: name.to_owned(), partition, state });
        inner.required.push(&required);
        Ok(RequiredParty(required))
    }

    /// The required parties that are missing, in the order in which they were named (L4). A partition in another process is asked; without
    /// a connection, or inside a callback, the answer is none.
    #[must_use]
    pub fn missing(&self) -> Vec<Missing> {
        match &self.seat {
            Seat::Here(inner) => inner.required.missing(),
            #[cfg(feature = "dbus")]
            Seat::There(client) => client.missing(),
        }
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
