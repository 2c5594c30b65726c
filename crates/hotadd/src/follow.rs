//! [`Follow`]: what a partition does with a processor that has appeared (H2). [`Following`] implements it.

// std's lock, also under loom: it is never held during a call to other code, so it adds no order and no interleavings that
// matter.
use std::sync::{Mutex, MutexGuard, PoisonError, Weak};

use hotadd_core::{ActiveSet, HardwareId};

use crate::adding::{Adding, Adds};
use crate::error::Error;
use crate::hardware::Hardware;

/// What a partition does with a processor that has appeared (H2). A processor appears when it is plugged in or brought online, or
/// when the hardware under the partition gains it in another way.
///
/// Under every policy the drivers are asked before a processor joins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Follow {
    /// The observers are told ([`EventKind::Appeared`](crate::EventKind::Appeared)), then every driver is asked, and the processor
    /// is added if all agree. If it is refused or fails to start, it stays out until somebody calls [`Partition::add`](crate::Partition::add).
    ///
    /// The partition adds on a thread of its own, one processor at a time, in the order in which they appeared.
    Ask,
    /// The observers are told, and nothing else is done. [`Partition::add`](crate::Partition::add) adds the processor.
    Report,
    /// No observer is told. The processor is among the [candidates](crate::Partition::candidates), and waits until somebody calls
    /// [`Partition::add`](crate::Partition::add) or the policy changes. The next policy begins with the processors that waited.
    Manual,
}

/// The policy for processors that appear, and the processors that wait.
///
/// It is outside of the gate: the policy can be read and set while a transaction is in progress, and from inside one.
#[derive(Debug)]
pub(crate) struct Following {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    policy: Follow,
    /// Processors that were not reported yet, each once, in the order of appearance. Bounded: when another one appears,
    /// those that are no longer candidates are taken out.
    waiting: Vec<HardwareId>,
    /// Exists only while the policy is to ask.
    adding: Option<Adding>,
}

impl Following {
    pub(crate) const fn new() -> Self {
        let state = State { policy: Follow::Report, waiting: Vec::new(), adding: None };
        Self { state: Mutex::new(state) }
    }

    /// No code panics while it holds this lock.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn policy(&self) -> Follow {
        self.lock().policy
    }

    /// Changes the policy. Returns whether processors have waited for the change.
    pub(crate) fn set(&self, policy: Follow, partition: Weak<dyn Adds>) -> Result<bool, Error> {
        let mut state = self.lock();
        match policy {
            Follow::Ask if state.adding.is_none() => {
                let adding = Adding::idle(partition)?;
                adding.begin();
                state.adding = Some(adding);
            }
            Follow::Ask => {}
            // Processors that wait are kept: a pause between two periods of asking loses none.
            Follow::Manual => {
                let unasked = state.adding.take().map(|adding| adding.end());
                for id in unasked.into_iter().flatten() {
                    state.wait(id);
                }
            }
            Follow::Report => state.adding = None,
        }
        state.policy = policy;
        Ok(policy != Follow::Manual && !state.waiting.is_empty())
    }

    /// Takes the processors that have appeared, and those that waited if the policy has changed. Returns the processors to report
    /// to the observers now. If the policy is to ask, these are added as soon as the caller has left the gate.
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
        // The hardware may be slow, so it is queried without the lock.
        let off = if waited.is_empty() { Ok(Vec::new()) } else { hardware.candidates() };
        // A processor about which the hardware says nothing continues to wait.
        let is_off = |id: &HardwareId| off.as_ref().map_or(true, |off| off.contains(id));
        let still = |id: &HardwareId| is_off(id) && !set.iter().any(|active| active.id == *id);
        let mut state = self.lock();
        state.waiting.retain(|id| !waited.contains(id) || still(id));
        for id in new {
            state.wait(id);
        }
        if state.policy == Follow::Manual {
            return Vec::new();
        }
        let told = std::mem::take(&mut state.waiting);
        if let Some(adding) = &state.adding {
            adding.add(told.iter().copied());
        }
        told
    }

    /// Somebody has asked for these processors, or they joined without agreement: they no longer wait, whatever the result.
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

#[cfg(all(test, not(hotadd_loom)))]
mod tests {
    use std::sync::Arc;

    use hotadd_core::PlatformError;

    use super::*;
    use crate::Errno;
    use crate::hardware::{NotAdmitted, Nudge, Survey};

    /// Hardware that cannot say which processors could be added.
    #[derive(Debug)]
    struct Silent;

    impl Hardware for Silent {
        fn name(&self) -> &'static str {
            "silent"
        }
        fn active(&self) -> Result<Vec<HardwareId>, PlatformError> {
            Ok(vec![HardwareId(0)])
        }
        fn maximum(&self) -> u32 {
            4
        }
        fn candidates(&self) -> Result<Vec<HardwareId>, PlatformError> {
            Err(Errno::EIO.into())
        }
        fn admits(&self, _: HardwareId) -> Result<(), NotAdmitted> {
            Ok(())
        }
        fn start(&self, _: HardwareId) -> Result<(), PlatformError> {
            Ok(())
        }
        fn stop(&self, _: HardwareId) -> Result<(), PlatformError> {
            Ok(())
        }
        fn survey(&self, _: &[HardwareId]) -> Survey {
            Survey::default()
        }
        fn watch(self: Arc<Self>, _: Nudge) {}
    }

    #[test]
    fn h2_a_processor_keeps_waiting_if_the_hardware_cannot_list_candidates() {
        let following = Following::new();
        let set = ActiveSet::first(&[HardwareId(0)], 4).unwrap();
        following.lock().policy = Follow::Manual;
        for id in [1, 2] {
            assert_eq!(following.appeared(vec![HardwareId(id)], &set, &Silent), []);
        }
        following.lock().policy = Follow::Report;
        let told = following.appeared(Vec::new(), &set, &Silent);
        assert_eq!(told, [HardwareId(1), HardwareId(2)], "one that waited was forgotten");
    }
}
