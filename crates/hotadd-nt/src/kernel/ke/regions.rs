//! Critical and guarded regions, in which APCs do not interrupt a thread. There are no APCs here, so regions are only
//! counted.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;

use parking_lot::Mutex;

use crate::ground::export::nt;
use crate::ground::foreign::Shared;
use crate::ground::objects::Thread;
use crate::ground::types::Boolean;
use crate::ground::{caller, thread};
use crate::kernel::ke::irql;

nt! {
    /// Enters a critical region.
    fn KeEnterCriticalRegion() { enter() }

    /// Leaves a critical region.
    fn KeLeaveCriticalRegion() { leave("KeLeaveCriticalRegion") }

    /// Enters a guarded region.
    fn KeEnterGuardedRegion() { enter() }

    /// Leaves a guarded region.
    fn KeLeaveGuardedRegion() { leave("KeLeaveGuardedRegion") }

    /// Whether normal APCs are disabled on this thread.
    fn KeAreApcsDisabled() -> Boolean { Boolean::from(disabled()) }

    /// Whether all APCs are disabled on this thread.
    fn KeAreAllApcsDisabled() -> Boolean { Boolean::from(disabled()) }

    /// Sets a thread's priority, which has no effect here. Returns the previous priority.
    fn KeSetPriorityThread(thread: Shared<Thread>, priority: i32) -> i32 {
        thread.get().priority.swap(priority, Ordering::Relaxed)
    }

    /// The priority that was set.
    fn KeQueryPriorityThread(thread: Shared<Thread>) -> i32 {
        thread.get().priority.load(Ordering::Relaxed)
    }

    /// Sets a thread's base priority relative to its process. Returns the previous value.
    fn KeSetBasePriorityThread(thread: Shared<Thread>, increment: i32) -> i32 {
        thread.get().base_priority.swap(increment, Ordering::Relaxed)
    }
}

/// Enters a region.
pub(crate) fn enter() {
    let own = thread::own();
    own.regions.set(own.regions.get() + 1);
}

/// Leaves a region.
pub(crate) fn leave(function: &str) {
    let own = thread::own();
    let Some(left) = own.regions.get().checked_sub(1) else {
        caller::fault(format!("calls {function} outside of any critical or guarded region"));
    };
    own.regions.set(left);
}

/// Reports that a lock is acquired where the documentation requires disabled APCs. It is reported once for each
/// function, because such functions are called often.
pub(crate) fn expect(function: &'static str) {
    static SAID: Mutex<BTreeSet<&str>> = Mutex::new(BTreeSet::new());
    if !disabled() && SAID.lock().insert(function) {
        caller::breach(&format!("calls {function} outside of any critical or guarded region"));
    }
}

fn disabled() -> bool {
    let own = thread::own();
    own.regions.get() != 0 || own.irql.get() >= irql::APC
}
