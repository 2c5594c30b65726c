//! Critical and guarded regions, in which APCs do not interrupt a thread. There are no APCs here, so regions are only
//! counted.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::sync::atomic::Ordering;

use parking_lot::Mutex;

use crate::ground::declare::nt;
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
    fn KeEnterGuardedRegion() { enter_guarded() }

    /// Leaves a guarded region.
    fn KeLeaveGuardedRegion() { leave_guarded("KeLeaveGuardedRegion") }

    /// Whether normal APCs are disabled on this thread, by a critical or a guarded region.
    fn KeAreApcsDisabled() -> Boolean {
        Boolean::from(thread::own().critical.get() != 0 || thread::own().guarded.get() != 0)
    }

    /// Whether all APCs are disabled on this thread, by a guarded region or by its level.
    fn KeAreAllApcsDisabled() -> Boolean {
        Boolean::from(thread::own().guarded.get() != 0 || thread::own().irql.get() >= irql::APC)
    }

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

/// Enters a critical region.
pub(crate) fn enter() {
    let critical = &thread::own().critical;
    critical.set(critical.get().saturating_add(1));
}

/// Enters a guarded region.
pub(crate) fn enter_guarded() {
    let guarded = &thread::own().guarded;
    guarded.set(guarded.get().saturating_add(1));
}

/// Leaves a critical region.
pub(crate) fn leave(function: &str) {
    leave_one(&thread::own().critical, function, "critical");
}

/// Leaves a guarded region.
pub(crate) fn leave_guarded(function: &str) {
    leave_one(&thread::own().guarded, function, "guarded");
}

fn leave_one(regions: &Cell<u32>, function: &str, kind: &str) {
    let Some(left) = regions.get().checked_sub(1) else {
        caller::fault(format!("calls {function} outside of any {kind} region"));
    };
    regions.set(left);
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
    own.critical.get() != 0 || own.guarded.get() != 0 || own.irql.get() >= irql::APC
}
