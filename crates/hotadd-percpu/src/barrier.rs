//! The two halves of an asymmetric memory barrier: a light one for readers, and a heavy one for the thread that frees.
//!
//! The heavy one is the system call membarrier. It makes every CPU that runs a thread of this process execute a full barrier; a thread
//! that does not run passed one when it was descheduled. So of two accesses of a reader with the light barrier between them, which only
//! keeps the compiler from exchanging them, it never looks to the caller of the heavy one as if only the second had happened.

#[cfg(not(hotadd_loom))]
use std::sync::OnceLock;

/// The reader's half. It costs nothing.
#[cfg(not(hotadd_loom))]
#[inline(always)]
pub(crate) fn light() {
    std::sync::atomic::compiler_fence(std::sync::atomic::Ordering::SeqCst);
}

/// Whether this process can use the heavy half. Decided once.
///
/// It cannot on a kernel before 4.14, and where a filter of system calls forbids membarrier, as in some containers. Then each reader
/// executes a full barrier itself.
#[cfg(not(hotadd_loom))]
pub(crate) fn is_asymmetric() -> bool {
    static REGISTERED: OnceLock<bool> = OnceLock::new();
    *REGISTERED.get_or_init(|| membarrier(libc::MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED))
}

/// The other half. False if it failed; then nothing is known about the readers.
#[cfg(not(hotadd_loom))]
pub(crate) fn heavy() -> bool {
    // For readers that execute a full barrier themselves, and for what this thread did before: membarrier promises both, but the
    // promise is not part of Rust's memory model.
    std::sync::atomic::fence(std::sync::atomic::Ordering::SeqCst);
    if !is_asymmetric() {
        return true;
    }
    let done = membarrier(libc::MEMBARRIER_CMD_PRIVATE_EXPEDITED);
    std::sync::atomic::fence(std::sync::atomic::Ordering::SeqCst);
    done
}

#[cfg(not(hotadd_loom))]
fn membarrier(command: libc::c_int) -> bool {
    // SAFETY: membarrier takes three integers and accesses no memory of this process.
    unsafe { libc::syscall(libc::SYS_membarrier, command, 0, 0) == 0 }
}

/// Loom has no membarrier. A full fence on both sides stands in for it: it orders the same pairs of accesses.
#[cfg(hotadd_loom)]
pub(crate) fn light() {
    loom::sync::atomic::fence(loom::sync::atomic::Ordering::SeqCst);
}

#[cfg(hotadd_loom)]
pub(crate) fn heavy() -> bool {
    loom::sync::atomic::fence(loom::sync::atomic::Ordering::SeqCst);
    true
}

#[cfg(hotadd_loom)]
pub(crate) fn is_asymmetric() -> bool {
    true
}
