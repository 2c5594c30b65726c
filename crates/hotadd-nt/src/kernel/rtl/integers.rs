//! Converts numbers to strings and back.

use hotadd::Status;

use crate::ground::declare::nt;
use crate::ground::foreign::{In, Out};
use crate::ground::types::{NtStatus, UnicodeString, nt_status};
use crate::kernel::rtl::text::{Unit, ascii};

nt! {
    /// The number at the beginning of a string, or 0 if there is none.
    fn RtlUnicodeStringToInteger(string: In<UnicodeString>, base: u32, value: Out<u32>) -> NtStatus {
        nt_status(parse(&string.get().units(), base, value))
    }

    /// The number at the beginning of a zero-terminated text.
    fn RtlCharToInteger(text: In<u8>, base: u32, value: Out<u32>) -> NtStatus {
        nt_status(parse(&text.terminated(), base, value))
    }

    /// Converts a number to digits.
    fn RtlIntegerToUnicodeString(value: u32, base: u32, to: Out<UnicodeString>) -> NtStatus {
        nt_status(print(u64::from(value), base, to))
    }

    /// Converts a number to digits.
    fn RtlInt64ToUnicodeString(value: u64, base: u32, to: Out<UnicodeString>) -> NtStatus {
        nt_status(print(value, base, to))
    }
}

fn parse<U: Unit>(text: &[U], base: u32, to: Out<u32>) -> Status {
    if !matches!(base, 0 | 2 | 8 | 10 | 16) || text.is_empty() {
        return Status::INVALID_PARAMETER;
    }
    let text: Vec<u8> = text.iter().map(|unit| ascii(*unit)).collect();
    // All characters up to the blank count as white space.
    let text = text.iter().position(|byte| *byte > b' ').map_or(&[][..], |at| &text[at..]);
    let (negative, text) = match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        rest => (false, rest),
    };
    let (base, digits) = match (base, text) {
        (0, [b'0', b'x', rest @ ..]) => (16, rest),
        (0, [b'0', b'o', rest @ ..]) => (8, rest),
        (0, [b'0', b'b', rest @ ..]) => (2, rest),
        (0, rest) => (10, rest),
        (base, rest) => (base, rest),
    };
    let digits = digits.iter().map_while(|digit| char::from(*digit).to_digit(base));
    let add = |value: u32, digit| value.wrapping_mul(base).wrapping_add(digit);
    let value = digits.fold(0_u32, add);
    to.put(if negative { value.wrapping_neg() } else { value });
    Status::SUCCESS
}

fn print(value: u64, base: u32, to: Out<UnicodeString>) -> Status {
    let digits = match base {
        0 | 10 => value.to_string(),
        2 => format!("{value:b}"),
        8 => format!("{value:o}"),
        16 => format!("{value:X}"),
        _ => return Status::INVALID_PARAMETER,
    };
    let digits = u16::from_bytes(digits.as_bytes());
    let mut string = to.get();
    if size_of_val(&*digits) > usize::from(string.maximum_length) {
        return Status::BUFFER_OVERFLOW;
    }
    string.write(0, &digits);
    to.put(string);
    Status::SUCCESS
}
