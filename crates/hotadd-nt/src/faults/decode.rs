//! Decodes the instruction that faulted: only instructions that the kernel of a real machine may execute and a
//! program may not, loads, and divisions. Everything else is [`Instruction::Other`].

use crate::ground::context::Context;

/// An instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Instruction {
    /// From the IRQL register to this general register.
    ReadIrql {
        register: usize,
    },
    /// From this general register to the IRQL register.
    WriteIrql {
        register: usize,
    },
    /// `cli` or `sti`.
    Interrupts,
    /// `int N`.
    Interrupt(u8),
    /// The instruction's name in the manuals.
    Privileged(&'static str),
    /// A division by a register.
    Divide(Operand),
    /// From memory to a register. The address is that of the fault.
    Load(Load),
    Other,
}

/// The divisor of a division.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Operand {
    /// A register's value, or an address.
    pub(super) value: u64,
    pub(super) in_memory: bool,
    /// How many bytes of the value are used.
    pub(super) width: usize,
}

/// A load.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Load {
    pub(super) register: usize,
    /// How many bytes are read.
    pub(super) from: usize,
    /// How many bytes of the register are written. If it is four, the load also clears the upper four.
    pub(super) to: usize,
}

/// The bytes of an instruction, in order. No byte beyond its end is requested.
pub(super) struct Bytes<F> {
    next: F,
    taken: u64,
}

impl<F: FnMut(u64) -> u8> Bytes<F> {
    pub(super) fn new(next: F) -> Self {
        Self { next, taken: 0 }
    }

    fn byte(&mut self) -> u8 {
        let byte = (self.next)(self.taken);
        self.taken += 1;
        byte
    }

    fn signed(&mut self, width: u32) -> i64 {
        let value = (0..width).fold(0, |value, at| value | i64::from(self.byte()) << (8 * at));
        let unused = 64 - 8 * width;
        value << unused >> unused
    }
}

/// The prefixes of an instruction.
#[derive(Clone, Copy, Default)]
struct Prefixes {
    /// The operand size is 16 bits.
    short: bool,
    /// A segment override, which changes the address.
    segment: bool,
    rex: u8,
}

impl Prefixes {
    /// A register number: three bits, and the fourth from this bit of REX.
    fn register(self, bits: u8, place: u8) -> usize {
        usize::from(bits & 7 | (self.rex >> place & 1) << 3)
    }

    fn width(self) -> usize {
        match self {
            Self { rex, .. } if rex & 8 != 0 => 8,
            Self { short: true, .. } => 2,
            _ => 4,
        }
    }
}

/// Decodes the instruction that faulted with these registers. Also returns its length.
pub(super) fn decode<F: FnMut(u64) -> u8>(
    mut bytes: Bytes<F>,
    context: &Context,
) -> (Instruction, u64) {
    let mut prefixes = Prefixes::default();
    // No instruction has more than 15 bytes, prefixes included.
    let code = loop {
        if bytes.taken == 14 {
            return (Instruction::Other, bytes.taken);
        }
        match bytes.byte() {
            0x66 => prefixes.short = true,
            0x64 | 0x65 => prefixes.segment = true,
            0x26 | 0x2e | 0x36 | 0x3e | 0xf0 | 0xf2 | 0xf3 => {}
            rex @ 0x40..=0x4f => {
                // REX has an effect only directly before the opcode.
                prefixes.rex = rex;
                break bytes.byte();
            }
            code => break code,
        }
    };
    let instruction = match code {
        0x0f => two_bytes(&mut bytes, prefixes, context),
        0xcd => Instruction::Interrupt(bytes.byte()),
        0xfa | 0xfb => Instruction::Interrupts,
        0xf4 => Instruction::Privileged("hlt"),
        0xe4 | 0xe5 | 0xec | 0xed | 0x6c | 0x6d => Instruction::Privileged("in"),
        0xe6 | 0xe7 | 0xee | 0xef | 0x6e | 0x6f => Instruction::Privileged("out"),
        0xf6 | 0xf7 => {
            let width = if code == 0xf6 { 1 } else { prefixes.width() };
            let (group, value, in_memory) = operand(&mut bytes, prefixes, context);
            match group & 7 {
                // For one-byte operands without REX, 4 to 7 mean the second bytes of the first four registers. This
                // is rare and not supported.
                6 | 7 if width > 1 || in_memory => {
                    Instruction::Divide(Operand { value, in_memory, width })
                }
                _ => Instruction::Other,
            }
        }
        0x8b => {
            let (register, _, in_memory) = operand(&mut bytes, prefixes, context);
            let width = prefixes.width();
            if in_memory {
                Instruction::Load(Load { register, from: width, to: width })
            } else {
                Instruction::Other
            }
        }
        0xa1 => {
            bytes.signed(8);
            let width = prefixes.width();
            Instruction::Load(Load { register: 0, from: width, to: width })
        }
        _ => Instruction::Other,
    };
    (instruction, bytes.taken)
}

fn two_bytes<F: FnMut(u64) -> u8>(
    bytes: &mut Bytes<F>,
    prefixes: Prefixes,
    context: &Context,
) -> Instruction {
    match bytes.byte() {
        code @ (0x20 | 0x22) => {
            let modes = bytes.byte();
            let control = prefixes.register(modes >> 3, 2);
            let register = prefixes.register(modes, 0);
            match (code, control) {
                (0x20, 8) => Instruction::ReadIrql { register },
                (0x22, 8) => Instruction::WriteIrql { register },
                (0x20, _) => Instruction::Privileged("mov from a control register"),
                _ => Instruction::Privileged("mov to a control register"),
            }
        }
        0x21 => Instruction::Privileged("mov from a debug register"),
        0x23 => Instruction::Privileged("mov to a debug register"),
        0x30 => Instruction::Privileged("wrmsr"),
        0x32 => Instruction::Privileged("rdmsr"),
        0x33 => Instruction::Privileged("rdpmc"),
        0x31 => Instruction::Privileged("rdtsc"),
        0x06 => Instruction::Privileged("clts"),
        0x07 => Instruction::Privileged("sysret"),
        0x08 => Instruction::Privileged("invd"),
        0x09 => Instruction::Privileged("wbinvd"),
        0x35 => Instruction::Privileged("sysexit"),
        0x00 => match bytes.byte() >> 3 & 7 {
            2 => Instruction::Privileged("lldt"),
            3 => Instruction::Privileged("ltr"),
            _ => Instruction::Other,
        },
        0x01 => {
            let modes = bytes.byte();
            match (modes, modes >> 3 & 7, modes >> 6) {
                (0xf8, ..) => Instruction::Privileged("swapgs"),
                (0xd1, ..) => Instruction::Privileged("xsetbv"),
                (0xc1..=0xc4, ..) => Instruction::Privileged("a virtualization instruction"),
                (0xd8..=0xdf, ..) => Instruction::Privileged("a virtualization instruction"),
                (_, 2, 0..=2) => Instruction::Privileged("lgdt"),
                (_, 3, 0..=2) => Instruction::Privileged("lidt"),
                (_, 6, _) => Instruction::Privileged("lmsw"),
                (_, 7, 0..=2) => Instruction::Privileged("invlpg"),
                _ => Instruction::Other,
            }
        }
        code @ (0xb6 | 0xb7) => {
            let from = if code == 0xb6 { 1 } else { 2 };
            let (register, _, in_memory) = operand(bytes, prefixes, context);
            let to = prefixes.width();
            if in_memory {
                Instruction::Load(Load { register, from, to })
            } else {
                Instruction::Other
            }
        }
        _ => Instruction::Other,
    }
}

/// The two operands that most instructions have: a register, and another register's value or an address.
fn operand<F: FnMut(u64) -> u8>(
    bytes: &mut Bytes<F>,
    prefixes: Prefixes,
    context: &Context,
) -> (usize, u64, bool) {
    let modes = bytes.byte();
    let register = prefixes.register(modes >> 3, 2);
    let value = |number: usize| context.general[number];
    let (mode, low) = (modes >> 6, modes & 7);
    if mode == 3 {
        return (register, value(prefixes.register(low, 0)), false);
    }
    let mut address = 0u64;
    let mut relative = false;
    let mut displacement = match mode {
        1 => 1,
        2 => 4,
        _ => 0,
    };
    if low == 4 {
        let scaled = bytes.byte();
        let index = prefixes.register(scaled >> 3, 1);
        if index != 4 {
            address = value(index) << (scaled >> 6);
        }
        if scaled & 7 == 5 && mode == 0 {
            displacement = 4;
        } else {
            address = address.wrapping_add(value(prefixes.register(scaled, 0)));
        }
    } else if low == 5 && mode == 0 {
        (displacement, relative) = (4, true);
    } else {
        address = value(prefixes.register(low, 0));
    }
    address = address.wrapping_add_signed(bytes.signed_or_none(displacement));
    if relative {
        // Relative to the instruction's end, which is here for the instructions that are decoded.
        address = address.wrapping_add(context.rip).wrapping_add(bytes.taken);
    }
    (register, address, true)
}

impl<F: FnMut(u64) -> u8> Bytes<F> {
    fn signed_or_none(&mut self, width: u32) -> i64 {
        if width == 0 { 0 } else { self.signed(width) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ground::context::{RAX, RCX};

    fn decoded(bytes: &[u8]) -> (Instruction, u64) {
        let mut context = Context::zero();
        context.general[RAX] = 0x1000;
        context.general[RCX] = 0x10;
        context.rip = 0x40_0000;
        decode(Bytes::new(|at| bytes[usize::try_from(at).unwrap()]), &context)
    }

    #[test]
    fn moves_of_the_irql_register_are_distinguished_from_other_control_registers() {
        use Instruction::{Privileged, ReadIrql, WriteIrql};
        assert_eq!(
            decoded(&[0x44, 0x0f, 0x20, 0xc0]),
            (ReadIrql { register: 0 }, 4),
            "mov rax, cr8"
        );
        assert_eq!(
            decoded(&[0x45, 0x0f, 0x20, 0xc2]),
            (ReadIrql { register: 10 }, 4),
            "mov r10, cr8"
        );
        assert_eq!(
            decoded(&[0x44, 0x0f, 0x22, 0xc1]),
            (WriteIrql { register: 1 }, 4),
            "mov cr8, rcx"
        );
        let other = Privileged("mov to a control register");
        assert_eq!(decoded(&[0x0f, 0x22, 0xd8]), (other, 3), "mov cr3, rax");
    }

    #[test]
    fn decoding_reads_no_byte_after_the_instruction() {
        // Each slice ends with its instruction, so that reading too many bytes panics.
        let loads: &[(&[u8], usize, usize, usize)] = &[
            (&[0x8b, 0x00], 0, 4, 4),
            (&[0x48, 0x8b, 0x40, 0x08], 0, 8, 8),
            (&[0x4c, 0x8b, 0x84, 0x88, 1, 0, 0, 0], 8, 8, 8),
            (&[0x8b, 0x04, 0x25, 0, 0, 0, 0], 0, 4, 4),
            (&[0x48, 0x8b, 0x0d, 1, 0, 0, 0], 1, 8, 8),
            (&[0x0f, 0xb6, 0x10], 2, 1, 4),
            (&[0x66, 0x8b, 0x08], 1, 2, 2),
            (&[0x48, 0xa1, 0, 0, 0, 0, 0x80, 0xf7, 0xff, 0xff], 0, 8, 8),
        ];
        for (bytes, register, from, to) in loads {
            let load = Load { register: *register, from: *from, to: *to };
            assert_eq!(decoded(bytes), (Instruction::Load(load), bytes.len() as u64), "{bytes:x?}");
        }
    }

    #[test]
    fn a_division_is_decoded_with_its_divisor() {
        let divide = |bytes: &[u8]| match decoded(bytes) {
            (Instruction::Divide(operand), _) => (operand.value, operand.in_memory, operand.width),
            other => panic!("{other:?} is not a division"),
        };
        assert_eq!(divide(&[0x48, 0xf7, 0xf1]), (0x10, false, 8), "div rcx");
        assert_eq!(
            divide(&[0xf7, 0x7c, 0x48, 0xfc]),
            (0x101c, true, 4),
            "idiv dword [rax+rcx*2-4]"
        );
        assert_eq!(divide(&[0xf7, 0x3d, 2, 0, 0, 0]), (0x40_0008, true, 4), "idiv dword [rip+2]");
    }

    #[test]
    fn privileged_instructions_are_named() {
        let cases: &[(&[u8], &str)] = &[
            (&[0x0f, 0x30], "wrmsr"),
            (&[0x0f, 0x32], "rdmsr"),
            (&[0x0f, 0x01, 0xf8], "swapgs"),
            (&[0x0f, 0x01, 0x3b], "invlpg"),
            (&[0xf4], "hlt"),
            (&[0xec], "in"),
            (&[0x66, 0xef], "out"),
        ];
        for (bytes, name) in cases {
            assert_eq!(decoded(bytes), (Instruction::Privileged(name), bytes.len() as u64));
        }
        assert_eq!(decoded(&[0xcd, 0x29]), (Instruction::Interrupt(0x29), 2));
        assert_eq!(decoded(&[0x90]), (Instruction::Other, 1));
        assert_eq!(decoded(&[0x66; 16]).0, Instruction::Other, "only prefixes");
    }
}
