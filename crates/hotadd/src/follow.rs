//! [`Follow`]: what a partition does with a processor that has appeared (H2), and [`Following`]: how it does so.

// std's on purpose, also under loom: it is never held while anything is called, so that it adds no order and no interleavings
// that matter.
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hotadd_core::{ActiveSet, HardwareId};

use crate::adder::Adder;
use crate::error::Error;
use crate::hardware::{Hardware, Nudged};
use crate::inner::Inner;
use crate::partition::{Partition, Seat};
use crate::weak::WeakPartition;

/// What a partition does with a processor that has appeared (H2). A processor appears when it is plugged in or brought online, or
/// when the hardware under the partition gains it in another way.
///
/// Under every policy the drivers are asked before a processor joins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Follow {
    /// The observers are told ([`EventKind::Appeared`](crate::EventKind::Appeared)), then every driver is asked, and the processor
    /// is added if all agree. If it is refused or fails to start, it stays out until somebody calls [`Partition::add`].
    ///
    /// The partition adds on a thread of its own, one processor at a time, in the order in which they appeared.
    Ask,
    /// The observers are told, and nothing else is done. [`Partition::add`] adds the processor.
    Report,
    /// Nobody is told. The processor is among the [candidates](Partition::candidates), and waits until somebody calls
    /// [`Partition::add`] or the policy changes. The next policy begins with the processors that waited.
    Manual,
}

/// What becomes of the processors that appear in a partition.
///
/// Beside the gate, not behind it: the policy can be read and set while a transaction is under way, and from inside it.
#[derive(Debug)]
pub(crate) struct Following {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    policy: Follow,
    /// Those of which nobody was told yet, each once, in the order in which they appeared. Bounded: whenever another one appears,
    /// those that are no candidates any more are taken out.
    waiting: Vec<HardwareId>,
    /// What asks: as long as that is the policy, and no longer.
    adder: Option<Adder>,
}

impl Following {
    pub(crate) const fn new() -> Self {
        let state = State { policy: Follow::Report, waiting: Vec::new(), adder: None };
        Self { state: Mutex::new(state) }
    }

    /// Nothing in here panics with the lock held.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the policy. Returns whether processors have waited for that.
    fn set(&self, policy: Follow, partition: WeakPartition) -> Result<bool, Error> {
        let mut state = self.lock();
        match policy {
            Follow::Ask if state.adder.is_none() => {
                let adder = Adder::idle(partition)?;
                adder.begin();
                state.adder = Some(adder);
            }
            Follow::Ask => {}
            // What waits is not lost: a pause between two times of asking forgets nothing.
            Follow::Manual => {
                let unasked = state.adder.take().map(Adder::into_waiting);
                for id in unasked.into_iter().flatten() {
                    state.wait(id);
                }
            }
            Follow::Report => state.adder = None,
        }
        state.policy = policy;
        Ok(policy != Follow::Manual && !state.waiting.is_empty())
    }

    /// Takes in what has appeared, and what waited if the policy has changed. Returns what the observers are to be told of now. If
    /// the policy is to ask, these are added as soon as the caller has left the gate.
    pub(crate) fn appeared(
        &self,
        new: Vec<HardwareId>,
        set: &ActiveSet,
        hardware: &dyn Hardware,
    ) -> Vec<HardwareId> {
        let (policy, waited) = {
            let state = self.lock();
            (state.policy, state.waiting.clone())
        };
        if new.is_empty() && (policy == Follow::Manual || waited.is_empty()) {
            return Vec::new();
        }
        // The hardware may take its time, and is asked without the lock.
        let off = if waited.is_empty() { Vec::new() } else { hardware.candidates() };
        let still =
            |id: &HardwareId| off.contains(id) && !set.iter().any(|active| active.id == *id);
        let mut state = self.lock();
        state.waiting.retain(|id| !waited.contains(id) || still(id));
        for id in new {
            state.wait(id);
        }
        if state.policy == Follow::Manual {
            return Vec::new();
        }
        let told = std::mem::take(&mut state.waiting);
        if let Some(adder) = &state.adder {
            adder.add(told.iter().copied());
        }
        told
    }

    /// Somebody has asked for these, or they joined without agreement: they wait no longer, whatever becomes of them.
    pub(crate) fn decided(&self, ids: &[HardwareId]) {
        self.lock().waiting.retain(|id| !ids.contains(id));
    }
}

impl State {
    fn wait(&mut self, id: HardwareId) {
        if !self.waiting.contains(&id) {
            self.waiting.push(id);
        }
    }
}

impl Inner {
    pub(crate) fn follow(self: &Arc<Self>, policy: Follow) -> Result<(), Error> {
        if self.following.set(policy, WeakPartition::Here(Arc::downgrade(self)))? {
            // The next look at the hardware tells of what waited. It comes now; inside a callback, after the transaction.
            self.nudge();
        }
        Ok(())
    }
}

impl Partition {
    /// Sets what becomes of a processor that appears from now on (H2). The new policy also applies to the processors that have
    /// [waited](Follow::Manual), except those that joined, were refused or vanished meanwhile.
    ///
    /// Changing from [`Follow::Ask`] to another policy does not wait: an add under way goes on, and no further one begins. The
    /// processors behind it wait if the new policy is [`Follow::Manual`]; otherwise they stay out until somebody adds them.
    ///
    /// May be called from any thread at any time, also from inside callbacks. If processors have waited, it waits for a transaction
    /// under way and then reports them; from inside a callback it returns at once, and they are reported after the transaction.
    ///
    /// # Errors
    /// [`Error::NoThread`] if a thread is needed and there is none. [`Error::Denied`] for a partition in another process: its owner
    /// decides. The policy is then unchanged.
    pub fn follow(&self, follow: Follow) -> Result<(), Error> {
        match &self.seat {
            Seat::Here(inner) => inner.follow(follow),
            #[cfg(feature = "dbus")]
            Seat::There(_) => {
                let decides = "the process that has the partition decides what becomes of a processor that appears";
                Err(Error::Denied(decides.to_owned()))
            }
        }
    }

    /// What becomes of a processor that appears (H2). Never waits.
    ///
    /// For a partition in another process it is always [`Follow::Manual`]: its owner follows what appears, and does not tell here.
    #[must_use]
    pub fn following(&self) -> Follow {
        match &self.seat {
            Seat::Here(inner) => inner.following.lock().policy,
            #[cfg(feature = "dbus")]
            Seat::There(_) => Follow::Manual,
        }
    }
}
