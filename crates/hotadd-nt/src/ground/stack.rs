//! The limits of a thread's stack, and the stack for its signal handlers.

use std::cell::Cell;
use std::mem::MaybeUninit;
use std::ptr;

use rustix::mm::{MapFlags, ProtFlags, mmap_anonymous, munmap};

use crate::ground::context::Context;

/// What fault handling knows about a thread that runs driver code.
pub(crate) struct Watched {
    /// The lowest and the highest address of its stack; both 0 if unknown.
    pub(crate) stack: Cell<(usize, usize)>,
    /// The number of the watch that covers it; 0 if none.
    pub(crate) watch: Cell<u64>,
    /// The registers of the caller for which a function of this crate accesses a driver's memory. Null at other
    /// times.
    pub(crate) caught: Cell<*const Context>,
}

impl Watched {
    /// Prepares this thread for faults.
    pub(crate) fn begin() -> Self {
        SIGNALS.with(SignalStack::get_or_insert);
        Self {
            stack: Cell::new(limits().unwrap_or_default()),
            watch: Cell::new(0),
            caught: Cell::new(ptr::null()),
        }
    }

    /// The lowest and the highest address of its stack.
    pub(crate) fn limits(&self) -> (usize, usize) {
        self.stack.get()
    }

    /// Accesses a driver's memory on behalf of the caller with these registers: a fault is the caller's, and the
    /// driver may handle it. After a fault, execution does not return here, so the closure must need no cleanup.
    pub(crate) fn catch<T>(&self, caller: &Context, touch: impl FnOnce() -> T) -> T {
        self.caught.set(caller);
        let touched = touch();
        self.caught.set(ptr::null());
        touched
    }
}

/// The size in bytes of a thread's stack for signal handlers.
const SIGNAL_STACK: usize = 64 * 1024;

/// A signal stack that this crate allocates.
struct SignalStack(Cell<*mut libc::c_void>);

thread_local! {
    static SIGNALS: SignalStack = const { SignalStack(Cell::new(ptr::null_mut())) };
}

impl SignalStack {
    /// Gives this thread a signal stack if it has none that is large enough. Threads that Rust has not created have
    /// none.
    fn get_or_insert(&self) {
        let mut old = MaybeUninit::<libc::stack_t>::uninit();
        // SAFETY: this only queries, into memory for the answer.
        let done = unsafe { libc::sigaltstack(ptr::null(), old.as_mut_ptr()) };
        // SAFETY: it is a structure of numbers and a pointer, and the kernel has filled it if the call succeeded.
        let old = (done == 0).then(|| unsafe { old.assume_init() });
        let enough = |old: libc::stack_t| {
            old.ss_flags & libc::SS_DISABLE == 0 && old.ss_size >= SIGNAL_STACK
        };
        if !self.0.get().is_null() || old.is_some_and(enough) {
            return;
        }
        let flags = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: this makes a new mapping.
        let Ok(start) =
            (unsafe { mmap_anonymous(ptr::null_mut(), SIGNAL_STACK, flags, MapFlags::PRIVATE) })
        else {
            return;
        };
        let new = libc::stack_t { ss_sp: start, ss_flags: 0, ss_size: SIGNAL_STACK };
        // SAFETY: it was mapped above, and is unmapped only when it is no longer a signal stack.
        unsafe { libc::sigaltstack(&raw const new, ptr::null_mut()) };
        self.0.set(start);
    }
}

impl Drop for SignalStack {
    fn drop(&mut self) {
        if self.0.get().is_null() {
            return;
        }
        let none = libc::stack_t { ss_sp: ptr::null_mut(), ss_flags: libc::SS_DISABLE, ss_size: 0 };
        // SAFETY: destructors run on the thread's ordinary stack.
        unsafe { libc::sigaltstack(&raw const none, ptr::null_mut()) };
        // SAFETY: it was mapped above, and no handler uses it any more.
        let _ = unsafe { munmap(self.0.get(), SIGNAL_STACK) };
    }
}

/// The limits of this thread's stack.
fn limits() -> Option<(usize, usize)> {
    let mut attributes = MaybeUninit::<libc::pthread_attr_t>::uninit();
    // SAFETY: no conditions.
    let this = unsafe { libc::pthread_self() };
    // SAFETY: it is this thread, and `attributes` is memory for the result.
    if unsafe { libc::pthread_getattr_np(this, attributes.as_mut_ptr()) } != 0 {
        return None;
    }
    let (mut base, mut size) = (ptr::null_mut(), 0);
    // SAFETY: the attributes were filled above.
    unsafe { libc::pthread_attr_getstack(attributes.as_ptr(), &raw mut base, &raw mut size) };
    // SAFETY: the attributes were filled above, and are not used any more.
    unsafe { libc::pthread_attr_destroy(attributes.as_mut_ptr()) };
    Some((base as usize, base as usize + size))
}
