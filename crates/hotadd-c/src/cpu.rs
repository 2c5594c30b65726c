//! The processor that a thread is on.

/// Linux's number of the processor that this thread is on, at this moment. `None` if the kernel does not tell.
pub(crate) fn current() -> Option<u32> {
    // The C library's function, and not the kernel's through rustix: it reads memory that the kernel keeps up to date (rseq), and
    // it works under valgrind. SAFETY: it has no arguments, and only returns a number.
    u32::try_from(unsafe { libc::sched_getcpu() }).ok()
}
