//! Restartable sequences (rseq): the number of the CPU in memory of the thread.
//!
//! The kernel keeps an area of each thread up to date. The C library registers the area, at the same distance from the thread pointer in
//! each thread, and exports the distance (`__rseq_offset`, glibc 2.35). See `rseq(2)` and "Restartable Sequences" in glibc's manual.
//!
//! The sequences themselves are not used. An addition without an atomic instruction, as the last instruction of a sequence, was measured
//! against an atomic one to a cache line of the CPU's own (AMD EPYC, Zen 3): 2.2 to 2.9 ns against 2.4 to 2.5 ns. That is not worth
//! assembly for each architecture, a second word for threads without rseq, and additions that fail under a debugger.

use std::sync::Once;
use std::sync::atomic::{AtomicIsize, Ordering};

use crate::cpu::UNKNOWN;

/// The distance of the area from the thread pointer. 0: not looked for yet, or there is none. (The thread pointer itself points to
/// something else, so 0 is never the distance.) Std's atomic also under loom: it is written once, always with the same value.
static OFFSET: AtomicIsize = AtomicIsize::new(0);

/// The part of the area that is needed: it begins with `cpu_id_start` and `cpu_id`, of 4 bytes each.
const NEEDED: libc::c_uint = 8;

/// Looks for the area, once.
pub(crate) fn find() {
    static FOUND: Once = Once::new();
    FOUND.call_once(|| {
        if !cfg!(any(target_arch = "x86_64", target_arch = "aarch64")) {
            return;
        }
        let size = symbol::<libc::c_uint>(c"__rseq_size");
        let offset = symbol::<isize>(c"__rseq_offset");
        // The size is 0 if the kernel or a tunable refused the registration.
        if let (Some(size), Some(offset)) = (size, offset)
            && size >= NEEDED
        {
            // Relaxed: the area of this thread was registered before the thread began to run.
            OFFSET.store(offset, Ordering::Relaxed);
        }
    });
}

/// The value of a variable of the C library. `None` if the library does not have it.
fn symbol<T: Copy>(name: &std::ffi::CStr) -> Option<T> {
    // SAFETY: the name ends with a null byte.
    let address = unsafe { libc::dlsym(libc::RTLD_DEFAULT, name.as_ptr()) };
    // SAFETY: glibc documents these two variables as constants of these types: `unsigned int` and `ptrdiff_t`.
    std::ptr::NonNull::new(address.cast::<T>()).map(|value| unsafe { value.read() })
}

#[inline(always)]
fn offset() -> Option<isize> {
    match OFFSET.load(Ordering::Relaxed) {
        0 => None,
        offset => Some(offset),
    }
}

/// The CPU, or [`UNKNOWN`] or more. The kernel writes -1 or -2 for a thread that is not registered.
#[inline(always)]
pub(crate) fn cpu() -> u32 {
    offset().map_or(UNKNOWN, read_cpu)
}

#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn read_cpu(offset: isize) -> u32 {
    let cpu;
    // SAFETY: the C library keeps an area at this distance from the thread pointer in each thread for as long as the thread runs. `cpu_id`
    // is 4 bytes from its beginning.
    unsafe {
        std::arch::asm!(
            "mov {cpu:e}, dword ptr fs:[{offset} + 4]",
            offset = in(reg) offset,
            cpu = lateout(reg) cpu,
            options(nostack, readonly, preserves_flags),
        );
    }
    cpu
}

#[cfg(target_arch = "aarch64")]
#[inline(always)]
fn read_cpu(offset: isize) -> u32 {
    let thread: *const u8;
    // SAFETY: reads the thread pointer, which is a register.
    unsafe {
        std::arch::asm!("mrs {}, tpidr_el0", out(reg) thread, options(nostack, nomem, preserves_flags))
    };
    let cpu = thread.wrapping_offset(offset + 4).cast::<u32>();
    // SAFETY: the caller got the offset from the C library, which registered a structure of this thread there, and it lives as long as the
    // thread. The kernel writes the word while this thread does not run, so the load is volatile.
    unsafe { cpu.read_volatile() }
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
const fn read_cpu(_: isize) -> u32 {
    UNKNOWN
}
