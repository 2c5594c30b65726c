//! [`Undisturbed`]: calls whose thread is not stopped before they return. A thread that takes too long is asked for its position, and
//! stops where it is (L3). A console or a probe may hold a lock that reporting the fault needs, so a thread that is in one stops
//! when it leaves it.

use std::cell::Cell;
use std::ffi::c_int;
use std::ops::Deref;
use std::sync::atomic::{Ordering, compiler_fence};

// A signal handler reads these. They have a constant initial value and no destructor, so they exist as long as their thread, and reading
// them allocates nothing.
thread_local! {
    /// The number of nested calls in which this thread must not be stopped.
    static CALLS: Cell<u32> = const { Cell::new(0) };
    /// Whether it was asked for its position in one of them.
    static POSTPONED: Cell<bool> = const { Cell::new(false) };
}

/// A console or a probe. While this exists, its thread is not stopped.
pub(crate) struct Undisturbed<T: ?Sized + 'static>(&'static T);

impl<T: ?Sized> Undisturbed<T> {
    pub(crate) fn new(called: &'static T) -> Self {
        CALLS.set(CALLS.get() + 1);
        // The signal handler of this thread sees the number before the call takes a lock.
        compiler_fence(Ordering::SeqCst);
        Self(called)
    }
}

impl<T: ?Sized> Deref for Undisturbed<T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.0
    }
}

impl<T: ?Sized> Drop for Undisturbed<T> {
    fn drop(&mut self) {
        // The call has released its locks before the signal handler sees the number.
        compiler_fence(Ordering::SeqCst);
        CALLS.set(CALLS.get() - 1);
        compiler_fence(Ordering::SeqCst);
        if CALLS.get() == 0 && POSTPONED.take() {
            // SAFETY: the signal has a handler: it came before. It stops this thread, or does nothing.
            unsafe { libc::raise(asking()) };
        }
    }
}

/// Whether this thread must not stop now. It is then asked again as soon as it may stop. May be called from a signal handler.
pub(crate) fn postpones() -> bool {
    let postpones = CALLS.get() > 0;
    if postpones {
        POSTPONED.set(true);
    }
    postpones
}

/// The signal that asks a thread for its position.
pub(crate) fn asking() -> c_int {
    libc::SIGRTMAX() - 3
}
