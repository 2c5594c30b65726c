//! Captures the caller's registers, which only assembly can do.

/// Declares functions for a `.sys` that receive the registers that their caller will have when they return. Each
/// calls a target whose first argument is these registers. The other arguments are the caller's first four.
macro_rules! caught {
    ($($(#[$meta:meta])* fn $name:ident = $leads_to:path;)*) => {$(
        $(#[$meta])*
        #[unsafe(naked)]
        #[allow(non_snake_case, reason = "the documentation's name")]
        pub(super) unsafe extern "win64" fn $name() {
            std::arch::naked_asm!(
                // Room for a Context, and for the alignment of the stack.
                "sub rsp, 0x4d8",
                "mov [rsp + 0x78], rax", "mov [rsp + 0x80], rcx", "mov [rsp + 0x88], rdx", "mov [rsp + 0x90], rbx",
                "mov [rsp + 0xa0], rbp", "mov [rsp + 0xa8], rsi", "mov [rsp + 0xb0], rdi", "mov [rsp + 0xb8], r8",
                "mov [rsp + 0xc0], r9", "mov [rsp + 0xc8], r10", "mov [rsp + 0xd0], r11", "mov [rsp + 0xd8], r12",
                "mov [rsp + 0xe0], r13", "mov [rsp + 0xe8], r14", "mov [rsp + 0xf0], r15",
                "lea rax, [rsp + 0x4e0]", "mov [rsp + 0x98], rax",
                "mov rax, [rsp + 0x4d8]", "mov [rsp + 0xf8], rax",
                "pushfq", "pop rax", "mov [rsp + 0x44], eax",
                "stmxcsr [rsp + 0x34]", "mov dword ptr [rsp + 0x30], 0x10000b",
                "movaps [rsp + 0x1a0], xmm0", "movaps [rsp + 0x1b0], xmm1", "movaps [rsp + 0x1c0], xmm2",
                "movaps [rsp + 0x1d0], xmm3", "movaps [rsp + 0x1e0], xmm4", "movaps [rsp + 0x1f0], xmm5",
                "movaps [rsp + 0x200], xmm6", "movaps [rsp + 0x210], xmm7", "movaps [rsp + 0x220], xmm8",
                "movaps [rsp + 0x230], xmm9", "movaps [rsp + 0x240], xmm10", "movaps [rsp + 0x250], xmm11",
                "movaps [rsp + 0x260], xmm12", "movaps [rsp + 0x270], xmm13", "movaps [rsp + 0x280], xmm14",
                "movaps [rsp + 0x290], xmm15",
                // Moves the arguments from this convention's registers to the other's.
                "mov rdi, rsp", "mov rsi, rcx", "mov rcx, r8", "mov r8, r9",
                "call {leads_to}",
                // Restores the registers that the other convention does not preserve.
                "mov rsi, [rsp + 0xa8]", "mov rdi, [rsp + 0xb0]",
                "movaps xmm6, [rsp + 0x200]", "movaps xmm7, [rsp + 0x210]", "movaps xmm8, [rsp + 0x220]",
                "movaps xmm9, [rsp + 0x230]", "movaps xmm10, [rsp + 0x240]", "movaps xmm11, [rsp + 0x250]",
                "movaps xmm12, [rsp + 0x260]", "movaps xmm13, [rsp + 0x270]", "movaps xmm14, [rsp + 0x280]",
                "movaps xmm15, [rsp + 0x290]",
                "add rsp, 0x4d8",
                "ret",
                leads_to = sym $leads_to,
            )
        }
    )*};
}
pub(super) use caught;
