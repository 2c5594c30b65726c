//! Upper and lower case. As on Windows, each unit becomes one unit, so a character that Unicode converts to
//! two remains unchanged.

use hotadd::Status;

use crate::ground::declare::nt;
use crate::ground::foreign::{In, Out};
use crate::ground::types::{Boolean, Counted, NtStatus, UnicodeString, nt_status};
use crate::kernel::rtl::buffers;

nt! {
    /// The upper-case form of a unit.
    fn RtlUpcaseUnicodeChar(unit: u16) -> u16 {
        up(unit)
    }

    /// The lower-case form of a unit.
    fn RtlDowncaseUnicodeChar(unit: u16) -> u16 {
        down(unit)
    }

    /// The upper-case form of a byte.
    fn RtlUpperChar(byte: u8) -> u8 {
        byte.to_ascii_uppercase()
    }

    /// Converts a string to upper case.
    fn RtlUpcaseUnicodeString(to: Out<UnicodeString>, from: In<UnicodeString>, allocate: Boolean) -> NtStatus {
        nt_status(convert(to, from, allocate != 0, up))
    }

    /// Converts a string to lower case.
    fn RtlDowncaseUnicodeString(to: Out<UnicodeString>, from: In<UnicodeString>, allocate: Boolean) -> NtStatus {
        nt_status(convert(to, from, allocate != 0, down))
    }
}

/// The converted unit. Where Unicode's full conversion gives two characters, its simple conversion applies, which gives
/// one or leaves the character as it is.
fn one_for_one<I: Iterator<Item = char>>(
    unit: u16,
    change: impl Fn(char) -> I,
    simple: fn(u16) -> u16,
) -> u16 {
    let Some(character) = char::from_u32(u32::from(unit)) else { return unit };
    let mut changed = change(character);
    match (changed.next(), changed.next()) {
        (Some(one), None) => u16::try_from(u32::from(one)).unwrap_or(unit),
        _ => simple(unit),
    }
}

/// The simple upper-case form of units whose full one has several characters: Greek letters with an iota below.
const fn simple_up(unit: u16) -> u16 {
    match unit {
        0x1f80..=0x1f87 | 0x1f90..=0x1f97 | 0x1fa0..=0x1fa7 => unit + 8,
        0x1fb3 | 0x1fc3 | 0x1ff3 => unit + 9,
        _ => unit,
    }
}

/// The simple lower-case form of the only unit whose full one has two characters: a capital I with a dot.
const fn simple_down(unit: u16) -> u16 {
    if unit == 0x130 { 0x69 } else { unit }
}

pub(crate) fn up(unit: u16) -> u16 {
    one_for_one(unit, char::to_uppercase, simple_up)
}

pub(crate) fn down(unit: u16) -> u16 {
    one_for_one(unit, char::to_lowercase, simple_down)
}

fn convert(
    to: Out<UnicodeString>,
    from: In<UnicodeString>,
    allocate: bool,
    change: fn(u16) -> u16,
) -> Status {
    let from = from.get();
    let text: Vec<u16> = from.units().into_iter().map(change).collect();
    let mut string = to.get();
    if allocate {
        let Some(buffer) = buffers::allocate(buffers::STRING, usize::from(from.length)) else {
            return Status::NO_MEMORY;
        };
        string = Counted { length: 0, maximum_length: from.length, buffer: buffer.cast() };
    } else if from.length > string.maximum_length {
        return Status::BUFFER_OVERFLOW;
    }
    string.write(0, &text);
    to.put(string);
    Status::SUCCESS
}
