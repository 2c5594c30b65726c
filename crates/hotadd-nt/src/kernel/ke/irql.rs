//! The interrupt request level of a thread. At DISPATCH_LEVEL and above a thread has its processor exclusively: no
//! other thread is at that level on the same processor, and none of its DPCs runs.

use hotadd::{MAX_PROCESSORS, ProcessorIndex};
use parking_lot::RawMutex;
use parking_lot::lock_api::RawMutex as _;

use crate::ground::caller;
use crate::ground::declare::nt;
use crate::ground::foreign::Out;
use crate::ground::rule::Rule;
use crate::ground::thread::{self, Own};
use crate::kernel::ke::dpc_run;

pub(crate) const PASSIVE: u8 = 0;
pub(crate) const APC: u8 = 1;
pub(crate) const DISPATCH: u8 = 2;
/// The level at which Windows synchronises scheduling on x64.
const SYNCH: u8 = 12;
pub(crate) const IPI: u8 = 14;
const HIGH: u8 = 15;

/// Each lock is held by the thread that is at DISPATCH_LEVEL or above on that processor.
static PROCESSORS: [RawMutex; MAX_PROCESSORS as usize] =
    [const { RawMutex::INIT }; MAX_PROCESSORS as usize];

nt! {
    /// The level of the calling thread.
    fn KeGetCurrentIrql() -> u8 { thread::own().irql.get() }

    /// Raises the level. Returns the previous level.
    fn KfRaiseIrql(new: u8) -> u8 { raise("KfRaiseIrql", new) }

    /// Raises the level, and stores the previous level.
    fn KeRaiseIrql(new: u8, old: Out<u8>) { old.put(raise("KeRaiseIrql", new)) }

    /// Raises the level to DISPATCH_LEVEL. Returns the previous level.
    fn KeRaiseIrqlToDpcLevel() -> u8 { raise("KeRaiseIrqlToDpcLevel", DISPATCH) }

    /// Raises the level to SYNCH_LEVEL. Returns the previous level.
    fn KeRaiseIrqlToSynchLevel() -> u8 { raise("KeRaiseIrqlToSynchLevel", SYNCH) }

    /// Lowers the level.
    fn KfLowerIrql(new: u8) { lower("KfLowerIrql", new) }

    /// Lowers the level.
    fn KeLowerIrql(new: u8) { lower("KeLowerIrql", new) }
}

/// Raises the level of this thread. Returns the previous level.
pub(crate) fn raise(function: &str, new: u8) -> u8 {
    let own = thread::own();
    let old = own.irql.get();
    if new < old || new > HIGH {
        caller::fault_of(
            Rule::Irql,
            format!(
                "calls {function} to raise the IRQL from {old} to {new} (IRQL_NOT_GREATER_OR_EQUAL)"
            ),
        );
    }
    change(own, new);
    old
}

/// Lowers the level of this thread.
pub(crate) fn lower(function: &str, new: u8) {
    let own = thread::own();
    let old = own.irql.get();
    if new > old {
        caller::fault_of(
            Rule::Irql,
            format!(
                "calls {function} to lower the IRQL from {old} to {new} (IRQL_NOT_LESS_OR_EQUAL)"
            ),
        );
    }
    change(own, new);
}

/// Emulates a driver's own write to the IRQL register.
pub(crate) fn write(new: u8) {
    change(thread::own(), new.min(HIGH));
}

/// Ends the process if the thread is above the highest level at which a function may be called.
pub(crate) fn at_most(function: &str, most: u8) {
    let irql = thread::own().irql.get();
    if irql > most {
        caller::fault_of(
            Rule::Irql,
            format!(
                "calls {function} at IRQL {irql}, but the maximum is {most} (IRQL_NOT_LESS_OR_EQUAL)"
            ),
        );
    }
}

/// Changes the level. Nothing else changes it.
fn change(own: &Own, new: u8) {
    if own.irql.get() < DISPATCH && new >= DISPATCH {
        let index = here();
        PROCESSORS[index.as_usize()].lock();
        own.alone_on.set(Some(index));
        thread::enter().locate();
    } else if let Some(index) = own.alone_on.get().filter(|_| new < DISPATCH) {
        // A DPC that was queued for this processor runs before anything else runs there below DISPATCH_LEVEL.
        while own.dpcs_requested.replace(false) {
            own.irql.set(DISPATCH);
            dpc_run::all(index);
        }
        own.alone_on.set(None);
        // SAFETY: this thread locked it above, once.
        unsafe { PROCESSORS[index.as_usize()].unlock() };
        // An affinity that was set in the meantime takes effect now.
        thread::enter().locate();
    }
    own.irql.set(new);
}

/// The processor on which this thread runs. A processor that never joined counts as the first.
pub(crate) fn here() -> ProcessorIndex {
    thread::current_processor().map_or_else(first, |processor| processor.index)
}

fn first() -> ProcessorIndex {
    ProcessorIndex::new(0).expect("there is an index 0")
}
