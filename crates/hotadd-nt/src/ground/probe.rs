//! [`Probe`]: a verifier's eyes and hands inside a driver's process. Without one, nothing here costs more than a load.

use std::fmt;
use std::sync::OnceLock;

use hotadd::State;

use crate::ground::images::{self, Place};
use crate::ground::routine::Routine;
use crate::ground::undisturbed::Undisturbed;
use crate::ground::{caller, calls};

/// Sees what a driver does, and decides what happens to it. Its functions are called on the driver's threads, at any IRQL, while the
/// driver holds any lock: they must not block, and must not call into a driver.
pub trait Probe: Send + Sync {
    /// The driver calls this function.
    fn called(&self, function: &'static str) {
        let _ = function;
    }

    /// Whether this call of the driver is to fail. Asked only in functions that can fail.
    fn fails(&self, function: &'static str) -> bool {
        let _ = function;
        false
    }

    /// What `*OperationStatus` holds when a callback is called.
    fn status_before(&self, state: State) -> u32 {
        let _ = state;
        0
    }

    /// A callback is about to be called.
    fn notifying(&self, callback: &Notification) {
        let _ = callback;
    }

    /// A callback returned.
    fn notified(&self, callback: &Notification, status: u32) {
        let _ = (callback, status);
    }

    /// The driver names a processor to this function, by whatever name: its index, or `None` if there is no such processor.
    fn named(&self, function: &'static str, index: Option<u32>) {
        let _ = (function, index);
    }

    /// The driver asks about the processors of a group, or of all groups (0xffff).
    fn asks_about(&self, function: &'static str, group: u16) {
        let _ = (function, group);
    }

    /// The driver is about to deregister a callback. No lock is held.
    fn deregistering(&self) {}

    /// Whether a driver that refused a processor is told that it did not join (the other reading of A3).
    fn tells_who_refused(&self) -> bool {
        false
    }
}

/// A call of a driver's callback.
#[derive(Clone, Copy, Debug)]
pub struct Notification {
    /// What it is told.
    pub state: State,
    /// The processor's index.
    pub index: u32,
    /// The callback, as a position in the driver.
    pub place: Option<Place>,
}

static PROBE: OnceLock<Box<dyn Probe>> = OnceLock::new();

/// Installs the probe of this process. Must be called before any driver code runs.
///
/// # Errors
/// Returns the probe if there is one already.
pub fn install(probe: Box<dyn Probe>) -> Result<(), Box<dyn Probe>> {
    PROBE.set(probe)
}

pub(crate) fn get() -> Option<&'static dyn Probe> {
    PROBE.get().map(Box::as_ref)
}

/// Calls a function of the probe, if there is one. The calling thread is not stopped meanwhile.
pub(crate) fn ask<T>(question: impl FnOnce(&dyn Probe) -> T) -> Option<T> {
    Some(question(&*Undisturbed::new(get()?)))
}

/// Whether the driver's current call is to fail.
pub(crate) fn fails() -> bool {
    ask(|probe| probe.fails(caller::recorded())) == Some(true)
}

/// The driver names a processor to its current call.
pub(crate) fn named(index: Option<u32>) {
    ask(|probe| probe.named(caller::function(), index));
}

/// The driver asks about the processors of a group.
pub(crate) fn asks_about(group: u16) {
    ask(|probe| probe.asks_about(caller::function(), group));
}

/// The driver's calls that led here, the newest first, at most this many.
#[must_use]
pub fn call_stack(most: usize) -> Vec<Place> {
    let mut all = calls::returns(4 * most);
    // Functions of this crate copy return addresses of their callers.
    all.dedup();
    all.truncate(most);
    let calls = all.into_iter().filter_map(calls::call_before);
    calls.filter_map(|call| images::place(call.at)).collect()
}

/// The driver's newest call that led here.
#[must_use]
pub fn calling() -> Option<Place> {
    caller::address().and_then(images::place)
}

impl Notification {
    pub(crate) fn new(state: State, index: u32, routine: Routine) -> Self {
        Self { state, index, place: images::place(routine.address()) }
    }
}

/// How much of a stack is filled before a callback is called.
const POISONED: usize = 16 * 1024;
/// The pattern, as of pool that is not initialised.
const PATTERN: u8 = 0xcd;

/// Fills the stack below with a pattern, so that a driver cannot rely on zeros there, and so that no earlier call's return address is
/// taken for one of this call.
#[inline(never)]
pub(crate) fn poison_stack() {
    let mut below = [0_u8; POISONED];
    below.fill(PATTERN);
    std::hint::black_box(&mut below);
}

impl fmt::Debug for dyn Probe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Probe")
    }
}
