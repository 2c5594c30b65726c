//! The base of a driver's thread: from wherever it is, a thread can end there. Nothing is unwound on the way: the frames in
//! between are the driver's, and may be of any compiler.

use std::arch::naked_asm;
use std::cell::Cell;

/// Runs `body(argument)`. Returns when it returns, or when somebody calls [`leave`] with what is in `base`.
///
/// # Safety
/// What is left that way is never returned to, and no frame of it has anything to drop.
#[unsafe(naked)]
pub(super) unsafe extern "sysv64" fn run(
    base: &Cell<usize>,
    body: unsafe extern "sysv64" fn(usize),
    argument: usize,
) {
    naked_asm!(
        // What a function must leave as it was: these registers, and how floating-point numbers are rounded.
        "push rbp",
        "push rbx",
        "push r12",
        "push r13",
        "push r14",
        "push r15",
        "sub rsp, 8",
        "stmxcsr [rsp]",
        "fnstcw [rsp + 4]",
        "mov [rdi], rsp",
        "mov rdi, rdx",
        "call rsi",
        "jmp {back}",
        back = sym back,
    )
}

/// Goes back to where [`run`] was called with this base.
///
/// # Safety
/// On the same thread, inside of `run`.
#[unsafe(naked)]
pub(super) unsafe extern "sysv64" fn leave(base: usize) -> ! {
    naked_asm!("mov rsp, rdi", "cld", "jmp {back}", back = sym back)
}

/// The end of [`run`].
#[unsafe(naked)]
unsafe extern "sysv64" fn back() {
    naked_asm!(
        "fldcw [rsp + 4]",
        "ldmxcsr [rsp]",
        "add rsp, 8",
        "pop r15",
        "pop r14",
        "pop r13",
        "pop r12",
        "pop rbx",
        "pop rbp",
        "ret",
    )
}
