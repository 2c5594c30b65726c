//! The interrupt request level of a thread. At DISPATCH_LEVEL and above it has its processor to itself: no other thread is
//! at that level on the same processor, and none of its DPCs runs.

use hotadd::{MAX_PROCESSORS, ProcessorIndex};
use parking_lot::RawMutex;
use parking_lot::lock_api::RawMutex as _;

use crate::ground::caller;
use crate::ground::export::nt;
use crate::ground::foreign::Out;
use crate::ground::thread::{self, Own};

pub(crate) const PASSIVE: u8 = 0;
pub(crate) const APC: u8 = 1;
pub(crate) const DISPATCH: u8 = 2;
/// Where scheduling is synchronised on x64.
const SYNCH: u8 = 12;
pub(crate) const IPI: u8 = 14;
const HIGH: u8 = 15;

/// Held by whoever is at DISPATCH_LEVEL or above there.
static PROCESSORS: [RawMutex; MAX_PROCESSORS as usize] =
    [const { RawMutex::INIT }; MAX_PROCESSORS as usize];

nt! {
    /// The level of the calling thread.
    fn KeGetCurrentIrql() -> u8 { thread::own().irql.get() }

    /// Raises it. Returns what it was.
    fn KfRaiseIrql(new: u8) -> u8 { raise("KfRaiseIrql", new) }

    /// Raises it, and writes down what it was.
    fn KeRaiseIrql(new: u8, old: Out<u8>) { old.put(raise("KeRaiseIrql", new)) }

    /// Raises it to DISPATCH_LEVEL. Returns what it was.
    fn KeRaiseIrqlToDpcLevel() -> u8 { raise("KeRaiseIrqlToDpcLevel", DISPATCH) }

    /// Raises it to the level of the scheduler. Returns what it was.
    fn KeRaiseIrqlToSynchLevel() -> u8 { raise("KeRaiseIrqlToSynchLevel", SYNCH) }

    /// Lowers it.
    fn KfLowerIrql(new: u8) { lower("KfLowerIrql", new) }

    /// Lowers it.
    fn KeLowerIrql(new: u8) { lower("KeLowerIrql", new) }
}

/// Raises the level of this thread. Returns what it was.
pub(crate) fn raise(function: &str, new: u8) -> u8 {
    let own = thread::own();
    let old = own.irql.get();
    if new < old || new > HIGH {
        caller::fault(format!(
            "calls {function} to raise the IRQL from {old} to {new} (IRQL_NOT_GREATER_OR_EQUAL)"
        ));
    }
    change(own, new);
    old
}

/// Lowers it.
pub(crate) fn lower(function: &str, new: u8) {
    let own = thread::own();
    let old = own.irql.get();
    if new > old {
        caller::fault(format!(
            "calls {function} to lower the IRQL from {old} to {new} (IRQL_NOT_LESS_OR_EQUAL)"
        ));
    }
    change(own, new);
}

/// What a driver's own write to the register that holds the level does.
pub(crate) fn write(new: u8) {
    change(thread::own(), new.min(HIGH));
}

/// Ends the process if the thread is above a level at which a function may still be called.
pub(crate) fn at_most(function: &str, most: u8) {
    let irql = thread::own().irql.get();
    if irql > most {
        caller::fault(format!(
            "calls {function} at IRQL {irql}, where it must be {most} or less (IRQL_NOT_LESS_OR_EQUAL)"
        ));
    }
}

/// The one place where the level changes.
fn change(own: &Own, new: u8) {
    if own.irql.get() < DISPATCH && new >= DISPATCH {
        let index = here();
        PROCESSORS[index.as_usize()].lock();
        own.alone_on.set(Some(index));
        thread::enter().locate();
    } else if let Some(index) = own.alone_on.get().filter(|_| new < DISPATCH) {
        own.alone_on.set(None);
        // SAFETY: locked above by this thread, once.
        unsafe { PROCESSORS[index.as_usize()].unlock() };
        // An affinity that was set meanwhile takes effect now.
        thread::enter().locate();
    }
    own.irql.set(new);
}

/// The processor that this thread is on. One that never joined is taken for the first.
pub(crate) fn here() -> ProcessorIndex {
    thread::current_processor().map_or_else(first, |processor| processor.index)
}

fn first() -> ProcessorIndex {
    ProcessorIndex::new(0).expect("there is an index 0")
}
