//! The C library's `sched_getcpu`, which reads the kernel's rseq area where that is registered.

/// The processor that the thread is on. It may be on another one at once.
#[inline]
pub(crate) fn processor() -> usize {
    // SAFETY: the function takes nothing, and only reads.
    let processor = unsafe { libc::sched_getcpu() };
    // It fails only on kernels without the call.
    usize::try_from(processor).unwrap_or(0)
}
