//! Which CPU this thread is on.

use std::fs;
use std::sync::OnceLock;

use crate::rseq;

/// Where the number of the CPU comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Source {
    /// The kernel writes it into memory of each thread (rseq). Reading it is one load.
    Rseq,
    /// The C library's `sched_getcpu`, which takes about ten times as long.
    ///
    /// Used where the C library has not registered rseq for this thread: it is not glibc 2.35 or later, the program is linked statically,
    /// the kernel is older than 4.18 or a filter forbids the call, the tunable `glibc.pthread.rseq` is 0, or the thread was not started by
    /// the C library. Also on processors other than x86-64 and arm64, whose thread pointer this crate does not read.
    Getcpu,
}

/// The CPU that this thread is on. `None` if neither the C library nor the kernel tells.
///
/// The thread may be moved at any time, also before this returns.
#[must_use]
#[inline]
pub fn current() -> Option<u32> {
    match fast() {
        UNKNOWN.. => slow(),
        cpu => Some(cpu),
    }
}

/// Where [`current`] takes the number from on this thread.
#[must_use]
pub fn source() -> Source {
    rseq::find();
    if fast() >= UNKNOWN { Source::Getcpu } else { Source::Rseq }
}

/// The smallest number that is not the number of a CPU.
pub(crate) const UNKNOWN: u32 = i32::MAX as u32 + 1;

/// The CPU in the fastest way, or [`UNKNOWN`] or more.
#[inline(always)]
pub(crate) fn fast() -> u32 {
    rseq::cpu()
}

/// The first time, or without rseq.
#[cold]
#[inline(never)]
fn slow() -> Option<u32> {
    rseq::find();
    match fast() {
        // SAFETY: sched_getcpu takes nothing and returns a number, or -1 if the kernel does not have the call.
        UNKNOWN.. => u32::try_from(unsafe { libc::sched_getcpu() }).ok(),
        cpu => Some(cpu),
    }
}

/// One more than the highest number that a CPU of this machine can ever have.
#[must_use]
pub fn possible() -> usize {
    /// If the kernel does not tell: Linux is built for 8,192 CPUs at most.
    const MOST: usize = 8192;
    static POSSIBLE: OnceLock<usize> = OnceLock::new();
    *POSSIBLE.get_or_init(|| {
        let list = fs::read_to_string("/sys/devices/system/cpu/possible").ok();
        list.and_then(|list| after_last(&list)).unwrap_or(MOST).min(MOST)
    })
}

/// One more than the last number of a list of ascending ranges, such as `0-3,8`.
fn after_last(list: &str) -> Option<usize> {
    list.trim().rsplit(['-', ',']).next()?.parse::<usize>().ok()?.checked_add(1)
}

#[cfg(all(test, not(hotadd_loom)))]
mod tests {
    use super::*;

    #[test]
    fn the_last_possible_cpu_is_counted() {
        assert_eq!(after_last("0-3,8\n"), Some(9));
        assert_eq!(after_last("0\n"), Some(1));
        assert_eq!(after_last("0-127"), Some(128));
        assert_eq!(after_last("\n"), None);
        assert_eq!(after_last("0-18446744073709551615"), None);
    }

    #[test]
    fn rseq_and_the_c_library_agree_on_a_pinned_thread() {
        let allowed: Vec<u32> = (0..1024).filter(|cpu| pin(*cpu)).collect();
        assert!(!allowed.is_empty(), "the thread can be pinned to no CPU");
        for cpu in allowed {
            assert!(pin(cpu));
            assert_eq!(current(), Some(cpu), "source: {:?}", source());
            // SAFETY: it takes no argument, and only returns a number.
            assert_eq!(u32::try_from(unsafe { libc::sched_getcpu() }), Ok(cpu));
            assert!((cpu as usize) < possible());
        }
    }

    fn pin(cpu: u32) -> bool {
        let mut mask = [0_u64; 16];
        mask[cpu as usize / 64] |= 1 << (cpu % 64);
        // SAFETY: the kernel reads a mask of this size; 0 is this thread.
        unsafe {
            libc::syscall(libc::SYS_sched_setaffinity, 0, size_of_val(&mask), mask.as_ptr()) == 0
        }
    }
}
