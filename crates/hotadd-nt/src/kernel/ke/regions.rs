//! Critical and guarded regions: in them a thread is not interrupted by APCs. There are none here, so they are counted only.

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

    /// Leaves it.
    fn KeLeaveCriticalRegion() { leave("KeLeaveCriticalRegion") }

    /// Enters a guarded region.
    fn KeEnterGuardedRegion() { enter() }

    /// Leaves it.
    fn KeLeaveGuardedRegion() { leave("KeLeaveGuardedRegion") }

    /// Whether ordinary APCs are kept off this thread.
    fn KeAreApcsDisabled() -> Boolean { Boolean::from(disabled()) }

    /// Whether all APCs are.
    fn KeAreAllApcsDisabled() -> Boolean { Boolean::from(disabled()) }

    /// Sets what a thread's priority is said to be. Returns what it was.
    fn KeSetPriorityThread(thread: Shared<Thread>, priority: i32) -> i32 {
        thread.get().priority.swap(priority, Ordering::Relaxed)
    }

    /// What it is said to be.
    fn KeQueryPriorityThread(thread: Shared<Thread>) -> i32 {
        thread.get().priority.load(Ordering::Relaxed)
    }

    /// Sets how far it is from that of its process. Returns what it was.
    fn KeSetBasePriorityThread(thread: Shared<Thread>, increment: i32) -> i32 {
        thread.get().base_priority.swap(increment, Ordering::Relaxed)
    }
}

/// Enters a region.
pub(crate) fn enter() {
    let own = thread::own();
    own.regions.set(own.regions.get() + 1);
}

/// Leaves one.
pub(crate) fn leave(function: &str) {
    let own = thread::own();
    let Some(left) = own.regions.get().checked_sub(1) else {
        caller::fault(format!("calls {function} outside of any critical or guarded region"));
    };
    own.regions.set(left);
}

/// Reports that a lock is acquired where the documentation wants APCs to be disabled. Once for each function: it is called
/// often.
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
