//! Calls as a Windows compiler makes them: the callee preserves the required registers and finds its arguments.

use std::arch::naked_asm;
use std::ffi::c_void;
use std::mem::offset_of;

use crate::ground::abi::Abi;
use crate::tests::{address, scene};

/// A call with eight arguments, four of them on the stack.
#[repr(C)]
struct Call {
    function: *const c_void,
    arguments: [usize; 8],
    returned: u64,
}

const _: () = assert!(offset_of!(Call, returned) == 72);

/// The registers that a function of this convention must preserve, in the order of the bits of [`lost`].
const KEPT: [&str; 18] = [
    "rbx", "rbp", "rdi", "rsi", "r12", "r13", "r14", "r15", "xmm6", "xmm7", "xmm8", "xmm9",
    "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15",
];

/// Makes the call with a sentinel in each of these registers, and with garbage in the stack space reserved
/// for the callee's first four arguments. Returns the lost sentinels, one bit for each.
///
/// # Safety
/// The function takes these arguments.
#[unsafe(naked)]
unsafe extern "win64" fn lost(call: *mut Call) -> u64 {
    naked_asm!(
        ".irp r, rbx, rbp, rdi, rsi, r12, r13, r14, r15",
        "push \\r",
        ".endr",
        // 0x20 for the callee, four arguments, ten vector registers, the call.
        "sub rsp, 0xe8",
        ".set HOTADD_AT, 0x40",
        ".irp n, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15",
        "movaps xmmword ptr [rsp + HOTADD_AT], xmm\\n",
        ".set HOTADD_AT, HOTADD_AT + 16",
        ".endr",
        "mov [rsp + 0xe0], rcx",
        "mov r10, rcx",
        "mov rax, -1",
        ".irp at, 0, 8, 16, 24",
        "mov [rsp + \\at], rax",
        ".endr",
        ".irp at, 0, 8, 16, 24",
        "mov rax, [r10 + 40 + \\at]",
        "mov [rsp + 0x20 + \\at], rax",
        ".endr",
        ".irp r, rbx, rbp, rdi, rsi, r12, r13, r14, r15",
        "mov \\r, 0x5a5a1234",
        ".endr",
        ".irp n, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15",
        "movq xmm\\n, rbx",
        "punpcklqdq xmm\\n, xmm\\n",
        ".endr",
        "mov rcx, [r10 + 8]",
        "mov rdx, [r10 + 16]",
        "mov r8, [r10 + 24]",
        "mov r9, [r10 + 32]",
        "call [r10]",
        "mov r10, [rsp + 0xe0]",
        "mov [r10 + 72], rax",
        "xor r10d, r10d",
        "xor ecx, ecx",
        ".irp r, rbx, rbp, rdi, rsi, r12, r13, r14, r15",
        "xor eax, eax",
        "cmp \\r, 0x5a5a1234",
        "setne al",
        "shl rax, cl",
        "or r10, rax",
        "inc ecx",
        ".endr",
        "mov edx, 0x5a5a1234",
        ".irp n, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15",
        "xor eax, eax",
        "movq r8, xmm\\n",
        "cmp r8, rdx",
        "setne al",
        "punpckhqdq xmm\\n, xmm\\n",
        "movq r8, xmm\\n",
        "cmp r8, rdx",
        "setne r9b",
        "or al, r9b",
        "shl rax, cl",
        "or r10, rax",
        "inc ecx",
        ".endr",
        "mov rax, r10",
        ".set HOTADD_AT, 0x40",
        ".irp n, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15",
        "movaps xmm\\n, xmmword ptr [rsp + HOTADD_AT]",
        ".set HOTADD_AT, HOTADD_AT + 16",
        ".endr",
        "add rsp, 0xe8",
        ".irp r, r15, r14, r13, r12, rsi, rdi, rbp, rbx",
        "pop \\r",
        ".endr",
        "ret",
    )
}

/// Calls a function as Windows does. Returns its result.
fn keeps_all(name: &str, arguments: [usize; 8]) -> u64 {
    let mut call = Call { function: address(Abi::Win64, name), arguments, returned: 0 };
    // SAFETY: the arguments are those of the function; it does not look at more than it has.
    let lost = unsafe { lost(&raw mut call) };
    let names: Vec<_> =
        (0..KEPT.len()).filter(|bit| lost >> bit & 1 != 0).map(|bit| KEPT[bit]).collect();
    assert!(names.is_empty(), "{name} does not preserve {names:?}");
    call.returned
}

#[test]
fn every_kind_of_function_preserves_the_registers_of_microsofts_convention() {
    let scene = scene();
    // The printed values use three registers and four stack slots.
    let format = c"convention %d %s %llx %u %c %lx %ld\n".as_ptr() as usize;
    let text = c"text".as_ptr() as usize;
    keeps_all("DbgPrint", [format, 1, text, 0xFEDC_BA98_7654_3210, 4, 0x35, 6, -7_isize as usize]);
    let heard = scene.heard.0.lock().unwrap();
    assert!(
        heard.iter().any(|line| line == "convention 1 text fedcba9876543210 4 5 6 -7\n"),
        "arguments are found in registers and on the stack: {heard:?}"
    );
    drop(heard);

    let count = keeps_all("KeQueryActiveProcessorCountEx", [0xFFFF, 0, 0, 0, 0, 0, 0, 0]);
    assert!(count as u32 >= 70, "the result is returned: {count}");
    let block = keeps_all("ExAllocatePool2", [0x40, 100, 0x6E76_6E43, 0, 0, 0, 0, 0]) as usize;
    assert!(block != 0 && block.is_multiple_of(16), "a pointer of 64 bits: {block:#x}");
    keeps_all("memset", [block, 0x77, 100, 0, 0, 0, 0, 0]);
    let last = (block + 99) as *const u8;
    // SAFETY: the last byte of a block of 100.
    let last = unsafe { last.read() };
    assert_eq!(last, 0x77, "written by our memset");
    keeps_all("ExFreePoolWithTag", [block, 0x6E76_6E43, 0, 0, 0, 0, 0, 0]);
}
