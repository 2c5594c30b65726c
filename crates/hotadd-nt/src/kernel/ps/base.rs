//! The base of a driver's thread, at which a thread can end from any depth. Nothing is unwound on the way: the frames
//! in between are the driver's, and may be from any compiler.

use std::arch::naked_asm;
use std::cell::Cell;

/// Runs `body(argument)`. Returns when it returns, or when [`leave`] is called with the value in `base`.
///
/// # Safety
/// The abandoned frames are never returned to, and have nothing to drop.
#[unsafe(naked)]
pub(super) unsafe extern "sysv64" fn run(
    base: &Cell<usize>,
    body: unsafe extern "sysv64" fn(usize),
    argument: usize,
) {
    naked_asm!(
        // The state that a function must preserve: these registers, and the floating-point rounding mode.
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

/// Returns to the call of [`run`] with this base.
///
/// # Safety
/// Must run on the same thread, inside `run`.
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
