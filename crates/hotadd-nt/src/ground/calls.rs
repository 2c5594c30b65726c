//! Finds the driver's call that led to a thread's current position.

use std::arch::asm;
use std::cell::Cell;
use std::ops::Range;

use crate::ground::images::{self, Image};
use crate::ground::thread;

/// A call that a driver made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Call {
    /// The address of the call.
    pub(crate) at: usize,
    /// The function of this crate that it called, if it called through an import.
    pub(crate) callee: Option<&'static str>,
}

/// How far up its own stack a thread searches. This covers this crate's frames up to the calling driver's.
const REACH: usize = 16 * 1024;

thread_local! {
    static FUNCTION: Cell<&'static str> = const { Cell::new("") };
    static ENTERED: Cell<usize> = const { Cell::new(0) };
}

/// The driver calls this function of this crate. What lies below on the stack are frames of this crate, which may have return addresses of
/// earlier calls in them: a driver's call is searched from here.
pub(crate) fn enter(function: &'static str) {
    FUNCTION.set(function);
    let here = 0_usize;
    ENTERED.set(&raw const here as usize);
}

/// The function of this crate that a driver called last on this thread.
pub(crate) fn entered() -> &'static str {
    FUNCTION.get()
}

/// The driver's call that led here.
pub(crate) fn calling() -> Option<Call> {
    let here = 0_usize;
    let here = &raw const here as usize;
    let (low, high) = thread::own().watched.limits();
    if !(low..high).contains(&here) {
        return None;
    }
    let from = here.max(ENTERED.get()).min(high);
    // SAFETY: the range goes from this frame at most to the end of this thread's stack, and this thread is busy here.
    let newest = |of: Option<&str>| unsafe { newest_call(from, high.min(from + REACH), of) };
    // A function's own frame may have return addresses of earlier calls in it. If none fits, the function that was called
    // last has returned.
    newest(Some(entered())).or_else(|| newest(None))
}

/// The addresses in drivers to which the functions on this stack return, the newest first, at most this many. A native
/// driver has no tables to unwind it, so every address after a call counts, also one that a function left behind.
pub(crate) fn returns(most: usize) -> Vec<usize> {
    let here = 0_usize;
    let here = &raw const here as usize;
    let (low, high) = thread::own().watched.limits();
    if !(low..high).contains(&here) {
        return Vec::new();
    }
    let Range { start, end } = images::bounds();
    let from = here.max(ENTERED.get()).min(high);
    let of = entered();
    let mut found = Vec::new();
    let mut at = from.next_multiple_of(8);
    // A plain loop, as in `newest_call`: under a verifier this runs for every call that can fail.
    while at < high & !7 && found.len() < most {
        // SAFETY: this is a whole word between this frame and the end of this thread's stack, and this thread is busy here.
        let word = unsafe { word(at) };
        if start <= word
            && word <= end
            && let Some(call) = call_before(word)
        {
            // As in `calling`.
            let stale = found.is_empty() && call.callee.is_some_and(|callee| callee != of);
            if !stale {
                found.push(word);
            }
        }
        at += 8;
    }
    found
}

/// A driver's newest call on a stack between two addresses. If a function is given, calls of others do not count.
///
/// # Safety
/// The range is part of a stack whose thread is stopped, or is in this call.
pub(crate) unsafe fn newest_call(from: usize, to: usize, of: Option<&str>) -> Option<Call> {
    // A return address may be that behind the last instruction of an image.
    let Range { start, end } = images::bounds();
    let mut at = from.next_multiple_of(8);
    // A plain loop: this runs for every report and, under a verifier, for every call of a driver.
    while at < to & !7 {
        // SAFETY: this is a whole word of that stack, which is mapped as long as its thread lives.
        let word = unsafe { word(at) };
        if start <= word && word <= end {
            let fits = |call: &Call| of.is_none() || call.callee.is_none() || call.callee == of;
            if let Some(call) = call_before(word).filter(fits) {
                return Some(call);
            }
        }
        at += 8;
    }
    None
}

/// Reads a word of a stack. This is one instruction, because debug builds check each read through a pointer, and a search
/// reads thousands of words.
///
/// # Safety
/// The word is mapped.
unsafe fn word(at: usize) -> usize {
    let word;
    // SAFETY: the caller guarantees that it is mapped, and nothing is written.
    unsafe {
        asm!("mov {}, [{}]", out(reg) word, in(reg) at, options(nostack, readonly, preserves_flags));
    };
    word
}

/// The call that would return to an address. Stacks also contain pointers to a driver's functions, which are no
/// return addresses.
pub(crate) fn call_before(address: usize) -> Option<Call> {
    let image = images::at(address)?;
    let place = address - image.base;
    // A call may be the last instruction of its section, so that no code follows it.
    if !image.executes(address - 1) {
        return None;
    }
    let before = |length: usize| place.checked_sub(length);
    if let Some([0xe8, distance @ ..]) = before(5).and_then(|start| image.value::<[u8; 5]>(start)) {
        let target = address.wrapping_add_signed(i32::from_le_bytes(distance) as isize);
        if image.executes(target) {
            return Some(Call { at: address - 5, callee: jump_target(image, target) });
        }
    }
    if let Some([0xff, 0x15, distance @ ..]) =
        before(6).and_then(|start| image.value::<[u8; 6]>(start))
    {
        return Some(Call { at: address - 6, callee: slot_name(image, address, distance) });
    }
    // A call through a register or a pointer: FF /2, with the bytes that its addressing form needs.
    let length = [2, 3, 4, 6, 7].into_iter().find(|length| {
        let Some([0xff, modes]) = before(*length).and_then(|start| image.value::<[u8; 2]>(start))
        else {
            return false;
        };
        let scaled = usize::from(modes & 7 == 4);
        let whole = match modes >> 6 {
            0 if modes & 7 == 5 => 6,
            0 => 2 + scaled,
            1 => 3 + scaled,
            2 => 6 + scaled,
            _ => 2,
        };
        modes >> 3 & 7 == 2 && whole == *length
    })?;
    Some(Call { at: address - length, callee: None })
}

/// The function of this crate that a jump in a driver leads to: linkers place such jumps between a call and an
/// import.
fn jump_target(image: &Image, at: usize) -> Option<&'static str> {
    let mut place = at.checked_sub(image.base)?;
    if image.value::<[u8; 4]>(place) == Some([0xf3, 0x0f, 0x1e, 0xfa]) {
        place += 4;
    }
    // REX, or the prefix of a checked branch, has no effect here.
    if matches!(image.value::<u8>(place), Some(0x48 | 0xf2)) {
        place += 1;
    }
    match image.value::<[u8; 6]>(place) {
        Some([0xff, 0x25, distance @ ..]) => slot_name(image, image.base + place + 6, distance),
        _ => None,
    }
}

/// The name of the export in an import slot at this distance.
fn slot_name(image: &Image, from: usize, distance: [u8; 4]) -> Option<&'static str> {
    let slot = from.wrapping_add_signed(i32::from_le_bytes(distance) as isize);
    let address = image.value::<u64>(slot.checked_sub(image.base)?)?;
    let address = address as usize;
    (image.services.name_at)(address)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ground::abi::Abi;
    use crate::ground::images::{Missing, Span};
    use crate::kernel::exports::{self, SERVICES};

    #[test]
    fn a_call_before_a_return_address_is_recognised() {
        // This code is never executed. 0x20 is the callee, 0x30 a slot.
        let mut code = vec![0x90_u8; 64];
        code[..5].copy_from_slice(&[0xe8, 0x1b, 0, 0, 0]);
        code[5..11].copy_from_slice(&[0xff, 0x15, 0x25, 0, 0, 0]);
        code[11..13].copy_from_slice(&[0xff, 0xd0]);
        code[13..16].copy_from_slice(&[0x41, 0xff, 0xd2]);
        code[16..20].copy_from_slice(&[0xff, 0x54, 0x24, 0x08]);
        code[20..22].copy_from_slice(&[0xff, 0xe0]);
        // jmp [0x30]
        code[0x20..0x26].copy_from_slice(&[0xff, 0x25, 0x0a, 0, 0, 0]);
        let function = exports::find_for("KeRegisterProcessorChangeCallback", Abi::Win64).unwrap();
        let address = function.address(Abi::Win64) as u64;
        code[0x30..0x38].copy_from_slice(&address.to_le_bytes());
        let code: &'static [u8] = code.leak();
        let base = code.as_ptr().expose_provenance();
        let all = Span { range: 0..64, writable: false, executable: true };
        let image =
            Image::native("calls.so".into(), base, 64, vec![all], Missing::default(), &SERVICES);
        let image = images::enter(image).unwrap();
        let found =
            |place: usize| call_before(base + place).map(|call| (call.at - base, call.callee));
        let name = Some(function.name);
        assert_eq!(found(5), Some((0, name)), "call +distance, to a jump through a slot");
        assert_eq!(found(11), Some((5, name)), "call through a slot");
        assert_eq!(found(13), Some((11, None)), "call rax");
        assert_eq!(found(16), Some((14, None)), "call r10, without its prefix");
        assert_eq!(found(20), Some((16, None)), "call [rsp+8]");
        assert_eq!(found(22), None, "jmp rax does not return");
        assert_eq!(found(40), None, "after a jump");
        assert_eq!(found(0), None, "there is no code before the image");
        images::leave(image);
    }
}
