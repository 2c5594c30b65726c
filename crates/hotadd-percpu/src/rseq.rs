//! Restartable sequences (rseq): the number of the CPU in memory of the thread, and an addition that is done on one CPU or not at all.
//!
//! The kernel keeps an area of each thread up to date. The C library registers the area, at the same distance from the thread pointer in
//! each thread, and exports the distance (`__rseq_offset`, glibc 2.35). See `rseq(2)` and "Restartable Sequences" in glibc's manual.

use std::sync::Once;
use std::sync::atomic::{AtomicIsize, Ordering};

use crate::cpu::UNKNOWN;

/// The distance of the area from the thread pointer. 0: not looked for yet, or there is none. (The thread pointer itself points to
/// something else, so 0 is never the distance.) Std's atomic also under loom: it is written once, always with the same value.
static OFFSET: AtomicIsize = AtomicIsize::new(0);

/// The part of the area that is needed: it begins with `cpu_id_start` (4 bytes), `cpu_id` (4), and `rseq_cs` (8).
const NEEDED: libc::c_uint = 16;

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
    // SAFETY: as above for x86-64. The kernel writes it while this thread does not run, so the load is volatile.
    unsafe { cpu.read_volatile() }
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
const fn read_cpu(_: isize) -> u32 {
    UNKNOWN
}

/// Adds to a word that belongs to a CPU, without an atomic instruction, if this thread is on that CPU. Returns whether it did.
///
/// It may fail on the right CPU too: when the thread was preempted or got a signal before the addition.
///
/// # How
/// The thread tells the kernel that it is inside of a sequence, checks the CPU, and adds: the addition is the last instruction of the
/// sequence. If the thread is preempted, moved or gets a signal before the addition, the kernel lets it go on at `4`, where nothing has
/// been added. So the addition is executed only on the CPU that was checked, and no other thread of this CPU comes between its load and
/// its store.
///
/// The word must be written by this function only, always with the same CPU. Then the additions of all threads are in one order, and none
/// is lost, also when a thread runs on after a migration: the sequence was over, or begins again.
///
/// The kernel's pointer to the sequence is cleared at the end. Otherwise the kernel would read it at the next preemption, when the library
/// with this code might have been unloaded.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
pub(crate) fn add(word: &std::sync::atomic::AtomicU64, cpu: u32, n: u64) -> bool {
    let Some(offset) = offset() else { return false };
    let done: u32;
    // SAFETY: the area is there, as in `read_cpu`. `rseq_cs` is 8 bytes from its beginning, and only the thread itself and the kernel write
    // it. Sequences do not nest: a signal handler ends this one before it begins. The descriptor is as the kernel wants it: version and
    // flags 0, the beginning, the length up to behind the last instruction, and where to go on, with the signature of glibc for x86-64
    // before it. The sequence calls nothing and has no stack. A reader of the word sees each addition whole or not at all: it is one store
    // of 8 aligned bytes.
    unsafe {
        std::arch::asm!(
            ".pushsection __rseq_cs, \"aw\"",
            ".balign 32",
            "3:",
            ".long 0, 0",
            ".quad 6f, 2f - 6f, 4f",
            ".popsection",
            "lea {done:r}, [rip + 3b]",
            "mov qword ptr fs:[{offset} + 8], {done:r}",
            "6:",
            "cmp dword ptr fs:[{offset} + 4], {cpu:e}",
            "jne 4f",
            "add qword ptr [{word}], {n}",
            "2:",
            "mov {done:e}, 1",
            "5:",
            "mov qword ptr fs:[{offset} + 8], 0",
            ".pushsection __rseq_failure, \"ax\"",
            // An undefined instruction whose operand is the signature, so that disassemblers keep in step.
            ".byte 0x0f, 0xb9, 0x3d",
            ".long 0x53053053",
            "4:",
            "xor {done:e}, {done:e}",
            "jmp 5b",
            ".popsection",
            done = out(reg) done,
            offset = in(reg) offset,
            cpu = in(reg) cpu,
            word = in(reg) word.as_ptr(),
            n = in(reg) n,
            options(nostack),
        );
    }
    done != 0
}

/// On other processors the callers use their atomic.
#[cfg(not(target_arch = "x86_64"))]
#[inline(always)]
pub(crate) const fn add(_: &std::sync::atomic::AtomicU64, _: u32, _: u64) -> bool {
    false
}
