//! [`Context`] and [`Record`]: a processor's registers and a description of an exception, in the form in which
//! drivers read them (`CONTEXT` and `EXCEPTION_RECORD` of the public headers).

use std::arch::naked_asm;
use std::mem::{offset_of, size_of};

/// The registers, `CONTEXT`.
#[repr(C, align(16))]
#[derive(Clone, Copy, Debug)]
pub(crate) struct Context {
    _homes: [u64; 6],
    /// Which of the parts below are valid.
    pub(crate) parts: u32,
    pub(crate) mxcsr: u32,
    _segments: [u16; 6],
    pub(crate) flags: u32,
    _debug: [u64; 6],
    /// In the order in which instructions number them.
    pub(crate) general: [u64; 16],
    pub(crate) rip: u64,
    _float: [u8; 0xa0],
    pub(crate) xmm: [u128; 16],
    _rest: [u8; 0x4d0 - 0x2a0],
}

const _: () = assert!(offset_of!(Context, parts) == 0x30);
const _: () = assert!(offset_of!(Context, mxcsr) == 0x34);
const _: () = assert!(offset_of!(Context, flags) == 0x44);
const _: () = assert!(offset_of!(Context, general) == 0x78);
const _: () = assert!(offset_of!(Context, rip) == 0xf8);
const _: () = assert!(offset_of!(Context, xmm) == 0x1a0);
const _: () = assert!(size_of::<Context>() == 0x4d0);

/// Numbers of general registers.
pub(crate) const RAX: usize = 0;
pub(crate) const RCX: usize = 1;
pub(crate) const RSP: usize = 4;
pub(crate) const RDI: usize = 7;

/// `CONTEXT_CONTROL`, `_INTEGER` and `_FLOATING_POINT` of x64.
const PARTS: u32 = 0x0010_000b;

/// The kernel's indices of the general registers, in instructions' order.
const GENERAL: [libc::c_int; 16] = [
    libc::REG_RAX,
    libc::REG_RCX,
    libc::REG_RDX,
    libc::REG_RBX,
    libc::REG_RSP,
    libc::REG_RBP,
    libc::REG_RSI,
    libc::REG_RDI,
    libc::REG_R8,
    libc::REG_R9,
    libc::REG_R10,
    libc::REG_R11,
    libc::REG_R12,
    libc::REG_R13,
    libc::REG_R14,
    libc::REG_R15,
];

impl Context {
    /// Registers that are all zero.
    pub(crate) const fn zero() -> Self {
        Self {
            _homes: [0; _],
            parts: PARTS,
            mxcsr: 0x1f80,
            _segments: [0x33, 0x2b, 0x2b, 0x2b, 0x2b, 0x2b],
            flags: 0x202,
            _debug: [0; _],
            general: [0; _],
            rip: 0,
            _float: [0; _],
            xmm: [0; _],
            _rest: [0; _],
        }
    }

    /// The registers that a signal interrupted. May be called from its handler.
    pub(crate) fn interrupted(frame: &libc::ucontext_t) -> Self {
        let mut this = Self::zero();
        let registers = &frame.uc_mcontext.gregs;
        for (value, number) in this.general.iter_mut().zip(GENERAL) {
            *value = registers[number as usize].cast_unsigned();
        }
        this.rip = registers[libc::REG_RIP as usize].cast_unsigned();
        this.flags = registers[libc::REG_EFL as usize] as u32;
        // SAFETY: the pointer is null, or points to the part of the same frame in which the kernel saved these
        // registers.
        if let Some(floating) = unsafe { frame.uc_mcontext.fpregs.as_ref() } {
            this.mxcsr = floating.mxcsr;
            for (value, register) in this.xmm.iter_mut().zip(&floating._xmm) {
                let [a, b, c, d] = register.element.map(u128::from);
                *value = a | b << 32 | c << 64 | d << 96;
            }
        }
        this
    }

    /// Makes the signal's handler return to these registers; only the general ones.
    pub(crate) fn resume(&self, frame: &mut libc::ucontext_t) {
        let registers = &mut frame.uc_mcontext.gregs;
        for (value, number) in self.general.iter().zip(GENERAL) {
            registers[number as usize] = value.cast_signed();
        }
        registers[libc::REG_RIP as usize] = self.rip.cast_signed();
        registers[libc::REG_EFL as usize] = i64::from(self.flags);
    }

    pub(crate) fn rsp(&self) -> usize {
        self.general[RSP] as usize
    }
}

/// The description of an exception, `EXCEPTION_RECORD`.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub(crate) struct Record {
    /// An NTSTATUS.
    pub(crate) code: u32,
    pub(crate) flags: u32,
    pub(crate) nested: *const Self,
    pub(crate) address: usize,
    pub(crate) count: u32,
    pub(crate) information: [usize; 15],
}

const _: () = assert!(offset_of!(Record, address) == 0x10);
const _: () = assert!(offset_of!(Record, information) == 0x20);
const _: () = assert!(size_of::<Record>() == 0x98);

impl Record {
    pub(crate) const fn new(code: u32, address: usize) -> Self {
        let nested = std::ptr::null();
        Self { code, flags: 0, nested, address, count: 0, information: [0; _] }
    }

    /// Adds details: for an access violation, how (0 reading, 1 writing, 8 executing) and where.
    pub(crate) const fn with(mut self, how: usize, at: usize) -> Self {
        self.count = 2;
        self.information[0] = how;
        self.information[1] = at;
        self
    }
}

/// Continues with these registers.
///
/// # Safety
/// The code at `rip` can continue with them, and nothing needs the abandoned frames.
#[unsafe(naked)]
pub(crate) unsafe extern "sysv64" fn restore(context: *const Context) -> ! {
    naked_asm!(
        "movups xmm0, [rdi + 0x1a0]",
        "movups xmm1, [rdi + 0x1b0]",
        "movups xmm2, [rdi + 0x1c0]",
        "movups xmm3, [rdi + 0x1d0]",
        "movups xmm4, [rdi + 0x1e0]",
        "movups xmm5, [rdi + 0x1f0]",
        "movups xmm6, [rdi + 0x200]",
        "movups xmm7, [rdi + 0x210]",
        "movups xmm8, [rdi + 0x220]",
        "movups xmm9, [rdi + 0x230]",
        "movups xmm10, [rdi + 0x240]",
        "movups xmm11, [rdi + 0x250]",
        "movups xmm12, [rdi + 0x260]",
        "movups xmm13, [rdi + 0x270]",
        "movups xmm14, [rdi + 0x280]",
        "movups xmm15, [rdi + 0x290]",
        "ldmxcsr [rdi + 0x34]",
        // A return from an interrupt that did not happen. Only `iretq` loads the last three registers at once, so
        // that a driver which single-steps itself gets to its next instruction.
        "xor eax, eax",
        "mov ax, ss",
        "push rax",
        "push [rdi + 0x98]",
        "mov ecx, [rdi + 0x44]",
        "push rcx",
        "mov ax, cs",
        "push rax",
        "push [rdi + 0xf8]",
        "mov rax, [rdi + 0x78]",
        "mov rcx, [rdi + 0x80]",
        "mov rdx, [rdi + 0x88]",
        "mov rbx, [rdi + 0x90]",
        "mov rbp, [rdi + 0xa0]",
        "mov rsi, [rdi + 0xa8]",
        "mov r8, [rdi + 0xb8]",
        "mov r9, [rdi + 0xc0]",
        "mov r10, [rdi + 0xc8]",
        "mov r11, [rdi + 0xd0]",
        "mov r12, [rdi + 0xd8]",
        "mov r13, [rdi + 0xe0]",
        "mov r14, [rdi + 0xe8]",
        "mov r15, [rdi + 0xf0]",
        "mov rdi, [rdi + 0xb0]",
        "iretq",
    )
}
