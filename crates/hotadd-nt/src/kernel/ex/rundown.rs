//! Rundown protection: many threads use an object, until the thread that ends its use waits for
//! them.

use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::{Condvar, Mutex};

use crate::ground::declare::nt;
use crate::ground::foreign::Shared;
use crate::ground::types::Boolean;
use crate::ground::{caller, thread};
use crate::kernel::ke::irql;

/// The end has begun. The bits above count the users.
const ENDING: usize = 1;
/// One user.
const USER: usize = 2;

nt! {
    /// Initialises protection without users.
    fn ExInitializeRundownProtection(reference: Shared<AtomicUsize>) {
        reference.get().store(0, Ordering::Release);
    }

    /// Begins a use. Returns whether it is allowed.
    fn ExAcquireRundownProtection(reference: Shared<AtomicUsize>) -> Boolean {
        Boolean::from(acquire(reference.get(), 1))
    }

    /// Begins this many uses.
    fn ExAcquireRundownProtectionEx(reference: Shared<AtomicUsize>, count: u32) -> Boolean {
        Boolean::from(acquire(reference.get(), count))
    }

    /// Ends a use.
    fn ExReleaseRundownProtection(reference: Shared<AtomicUsize>) {
        release("ExReleaseRundownProtection", reference.get(), 1);
    }

    /// Ends this many uses.
    fn ExReleaseRundownProtectionEx(reference: Shared<AtomicUsize>, count: u32) {
        release("ExReleaseRundownProtectionEx", reference.get(), count);
    }

    /// Allows no new uses, and waits until all have ended.
    fn ExWaitForRundownProtectionRelease(reference: Shared<AtomicUsize>) {
        end("ExWaitForRundownProtectionRelease", reference.get());
    }

    /// Marks the rundown as complete.
    fn ExRundownCompleted(reference: Shared<AtomicUsize>) {
        reference.get().store(ENDING, Ordering::Release);
    }

    /// Allows uses again.
    fn ExReInitializeRundownProtection(reference: Shared<AtomicUsize>) {
        reference.get().store(0, Ordering::Release);
    }
}

/// Where threads wait for the end of uses. There is one for all objects, because it is rarely used.
static WAITING: (Mutex<()>, Condvar) = (Mutex::new(()), Condvar::new());

fn acquire(reference: &AtomicUsize, count: u32) -> bool {
    let more = |seen: usize| (seen & ENDING == 0).then(|| seen + count as usize * USER);
    reference.fetch_update(Ordering::Acquire, Ordering::Relaxed, more).is_ok()
}

fn release(function: &str, reference: &AtomicUsize, count: u32) {
    let less = |seen: usize| {
        let users = (seen / USER).checked_sub(count as usize)?;
        Some((users * USER) | (seen & ENDING))
    };
    let Ok(before) = reference.fetch_update(Ordering::AcqRel, Ordering::Relaxed, less) else {
        caller::fault(format!("calls {function} more often than it was acquired"));
    };
    // From here on its memory may be freed.
    if before == (count as usize * USER) | ENDING {
        drop(WAITING.0.lock());
        WAITING.1.notify_all();
    }
}

fn end(function: &'static str, reference: &AtomicUsize) {
    irql::at_most(function, irql::APC);
    let mut waiting = WAITING.0.lock();
    reference.fetch_or(ENDING, Ordering::AcqRel);
    thread::waiting(function, || {
        while reference.load(Ordering::Acquire) != ENDING {
            WAITING.1.wait(&mut waiting);
        }
    });
}
