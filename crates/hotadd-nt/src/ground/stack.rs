//! Where a thread's stack lies, and the stack that its signal handlers run on.

use std::cell::Cell;
use std::mem::MaybeUninit;
use std::ptr;

use rustix::mm::{MapFlags, ProtFlags, mmap_anonymous, munmap};

use crate::ground::context::Context;

/// What the handling of faults knows of a thread on which driver code runs.
pub(crate) struct Watched {
    /// The lowest and the highest address of its stack; both 0 if that is not known.
    pub(crate) stack: Cell<(usize, usize)>,
    /// The number of the watch that it is under; 0 if none.
    pub(crate) watch: Cell<u64>,
    /// In whose name a function of ours touches a driver's memory: registers that are its caller's. Null if it does not.
    pub(crate) caught: Cell<*const Context>,
}

impl Watched {
    /// Makes this thread ready for faults.
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

    /// Touches a driver's memory in the name of whoever has these registers: a fault is theirs, and the driver may handle it.
    /// Then nothing of this is gone on with, so it must be nothing that has to be.
    pub(crate) fn catch<T>(&self, caller: &Context, touch: impl FnOnce() -> T) -> T {
        self.caught.set(caller);
        let touched = touch();
        self.caught.set(ptr::null());
        touched
    }
}

/// The stack that signal handlers of a thread run on, of so many bytes.
const SIGNAL_STACK: usize = 64 * 1024;

/// A signal stack of ours.
struct SignalStack(Cell<*mut libc::c_void>);

thread_local! {
    static SIGNALS: SignalStack = const { SignalStack(Cell::new(ptr::null_mut())) };
}

impl SignalStack {
    /// Gives this thread one if it has none that is large enough: threads that Rust has not made have none at all.
    fn get_or_insert(&self) {
        let mut old = MaybeUninit::<libc::stack_t>::uninit();
        // SAFETY: asks, into memory for the answer.
        let done = unsafe { libc::sigaltstack(ptr::null(), old.as_mut_ptr()) };
        // SAFETY: a structure of numbers and a pointer, which the kernel has filled if it could.
        let old = (done == 0).then(|| unsafe { old.assume_init() });
        let enough = |old: libc::stack_t| {
            old.ss_flags & libc::SS_DISABLE == 0 && old.ss_size >= SIGNAL_STACK
        };
        if !self.0.get().is_null() || old.is_some_and(enough) {
            return;
        }
        let flags = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: a fresh mapping.
        let Ok(start) =
            (unsafe { mmap_anonymous(ptr::null_mut(), SIGNAL_STACK, flags, MapFlags::PRIVATE) })
        else {
            return;
        };
        let new = libc::stack_t { ss_sp: start, ss_flags: 0, ss_size: SIGNAL_STACK };
        // SAFETY: mapped above, and unmapped only after it is a signal stack no more.
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
        // SAFETY: this thread is on its ordinary stack, as destructors are.
        unsafe { libc::sigaltstack(&raw const none, ptr::null_mut()) };
        // SAFETY: mapped above, and no handler uses it any more.
        let _ = unsafe { munmap(self.0.get(), SIGNAL_STACK) };
    }
}

/// Where this thread's stack lies.
fn limits() -> Option<(usize, usize)> {
    let mut attributes = MaybeUninit::<libc::pthread_attr_t>::uninit();
    // SAFETY: no conditions.
    let this = unsafe { libc::pthread_self() };
    // SAFETY: this thread's, into memory for them.
    if unsafe { libc::pthread_getattr_np(this, attributes.as_mut_ptr()) } != 0 {
        return None;
    }
    let (mut base, mut size) = (ptr::null_mut(), 0);
    // SAFETY: filled above.
    unsafe { libc::pthread_attr_getstack(attributes.as_ptr(), &raw mut base, &raw mut size) };
    // SAFETY: filled above, and used no more.
    unsafe { libc::pthread_attr_destroy(attributes.as_mut_ptr()) };
    Some((base as usize, base as usize + size))
}
