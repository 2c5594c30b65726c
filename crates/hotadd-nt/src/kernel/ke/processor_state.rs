//! Saving and restoring a processor's floating-point and extended state.
//!
//! This machine's kernel keeps these registers for each thread, and no code of a driver interrupts other code on its
//! thread. So a driver may use them anyway. These functions save and restore what the documentation names.

use std::arch::asm;
use std::arch::x86_64::{__cpuid_count, _xgetbv};
use std::mem::offset_of;

use hotadd::Status;

use crate::ground::declare::nt;
use crate::ground::foreign::Out;
use crate::ground::thread::{self, Held};
use crate::ground::types::{NtStatus, nt_status};
use crate::ground::{caller, memory};
use crate::kernel::ke::irql;
use crate::kernel::rtl::buffers;

/// `XSTATE_SAVE` of x64.
#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct Save {
    previous: usize,
    thread: usize,
    level: u8,
    mask: u64,
    length: u32,
    _reserved: u32,
    /// Where the registers are, in the buffer.
    area: usize,
    buffer: usize,
}

const _: () = assert!(size_of::<Save>() == 0x38);
const _: () = assert!(offset_of!(Save, mask) == 0x18);
const _: () = assert!(offset_of!(Save, area) == 0x28);

nt! {
    /// Saves the floating-point state. On x64 a `KFLOATING_SAVE` has room for the control and status register.
    fn KeSaveFloatingPointState(save: Out<u32>) -> NtStatus {
        irql::at_most("KeSaveFloatingPointState", irql::DISPATCH);
        save.put(control());
        thread::own().acquired(Held::FloatingPoint, save.as_ptr() as usize);
        0
    }

    /// Restores the floating-point state, on the thread that saved it.
    fn KeRestoreFloatingPointState(save: Out<u32>) -> NtStatus {
        irql::at_most("KeRestoreFloatingPointState", irql::DISPATCH);
        release("KeRestoreFloatingPointState", Held::FloatingPoint, save.as_ptr() as usize);
        set_control(save.get());
        0
    }

    /// Saves the extended state of these features.
    fn KeSaveExtendedProcessorState(mask: u64, save: Out<Save>) -> NtStatus {
        irql::at_most("KeSaveExtendedProcessorState", irql::DISPATCH);
        nt_status(save_extended(mask, save))
    }

    /// Restores the extended state, on the thread that saved it.
    fn KeRestoreExtendedProcessorState(save: Out<Save>) {
        irql::at_most("KeRestoreExtendedProcessorState", irql::DISPATCH);
        restore_extended(save);
    }
}

fn release(function: &str, what: Held, address: usize) {
    if !thread::own().released(what, address) {
        caller::fault(format!(
            "calls {function} for a state that this thread did not save, or has restored already"
        ));
    }
}

/// The control and status register.
fn control() -> u32 {
    let mut value = 0_u32;
    // SAFETY: it writes the register to this variable.
    unsafe { asm!("stmxcsr [{}]", in(reg) &raw mut value, options(nostack)) };
    value
}

fn set_control(value: u32) {
    /// Other bits are reserved, and setting one is a fault.
    const DEFINED: u32 = 0xffff;
    let value = value & DEFINED;
    // SAFETY: the register was read by `control` on this thread. If the driver has changed the value, then the driver
    // could execute this instruction itself.
    unsafe { asm!("ldmxcsr [{}]", in(reg) &raw const value, options(nostack, readonly)) };
}

/// The features whose state this processor and its kernel can save, and the room for it.
fn supported() -> Option<(u64, usize)> {
    if !std::arch::is_x86_feature_detected!("xsave") {
        return None;
    }
    // SAFETY: the feature was detected, and that includes that the kernel has enabled the instruction.
    let mask = unsafe { enabled() };
    Some((mask, __cpuid_count(0xd, 0).ebx as usize))
}

/// # Safety
/// The processor has this feature, and the kernel has enabled it.
#[target_feature(enable = "xsave")]
unsafe fn enabled() -> u64 {
    // SAFETY: register 0 exists wherever the instruction does.
    unsafe { _xgetbv(0) }
}

/// An area begins at a multiple of this.
const ALIGNMENT: usize = 64;

fn save_extended(mask: u64, save: Out<Save>) -> Status {
    let Some((enabled, size)) = supported() else { return Status::NOT_SUPPORTED };
    if mask & !enabled != 0 {
        // A feature that is absent has no state to save.
        caller::breach(
            "KeSaveExtendedProcessorState: the mask names features that are not enabled",
        );
    }
    let mask = mask & enabled;
    let Some(buffer) = buffers::allocate(buffers::STATE, size + ALIGNMENT) else {
        return Status::INSUFFICIENT_RESOURCES;
    };
    let buffer = buffer as usize;
    let area = buffer.next_multiple_of(ALIGNMENT);
    #[expect(clippy::cast_possible_truncation, reason = "the instruction takes two halves")]
    let (low, high) = (mask as u32, (mask >> 32) as u32);
    // SAFETY: the area has the size that the processor names for all enabled features, and the alignment.
    unsafe {
        asm!("xsave64 [{}]", in(reg) area, in("eax") low, in("edx") high, options(nostack));
    }
    save.put(Save {
        previous: 0,
        thread: thread::own().id(),
        level: thread::own().irql.get(),
        mask,
        length: u32::try_from(size).unwrap_or(u32::MAX),
        _reserved: 0,
        area,
        buffer,
    });
    thread::own().acquired(Held::ExtendedState, save.as_ptr() as usize);
    Status::SUCCESS
}

fn restore_extended(save: Out<Save>) {
    release("KeRestoreExtendedProcessorState", Held::ExtendedState, save.as_ptr() as usize);
    let Save { mask, area, buffer, .. } = save.get();
    if area != buffer.next_multiple_of(ALIGNMENT) || area - buffer >= memory::PAGE {
        caller::fault("changed an XSTATE_SAVE between saving and restoring");
    }
    #[expect(clippy::cast_possible_truncation, reason = "the instruction takes two halves")]
    let (low, high) = (mask as u32, (mask >> 32) as u32);
    // SAFETY: `save_extended` has written the area on this thread. All registers that it may change are declared as
    // changed. If the driver has written to the area, a fault here is the driver's.
    unsafe {
        asm!(
            "xrstor64 [{}]",
            in(reg) area, in("eax") low, in("edx") high,
            out("xmm0") _, out("xmm1") _, out("xmm2") _, out("xmm3") _, out("xmm4") _, out("xmm5") _, out("xmm6") _,
            out("xmm7") _, out("xmm8") _, out("xmm9") _, out("xmm10") _, out("xmm11") _, out("xmm12") _,
            out("xmm13") _, out("xmm14") _, out("xmm15") _,
            out("st(0)") _, out("st(1)") _, out("st(2)") _, out("st(3)") _, out("st(4)") _, out("st(5)") _,
            out("st(6)") _, out("st(7)") _,
            options(nostack, readonly),
        );
    }
    buffers::free(buffer as *mut std::ffi::c_void);
}
