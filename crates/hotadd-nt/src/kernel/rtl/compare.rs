//! Comparing counted strings.

use std::cmp::Ordering;

use hotadd::Status;

use crate::ground::declare::nt;
use crate::ground::foreign::{In, Out};
use crate::ground::types::{AnsiString, Boolean, NtStatus, UnicodeString, nt_status};
use crate::kernel::rtl::case;

nt! {
    /// Compares two strings: negative if `a` is less, positive if `b` is, zero if they are equal.
    fn RtlCompareUnicodeString(a: In<UnicodeString>, b: In<UnicodeString>, ignore_case: Boolean) -> i32 {
        order(&folded(a, ignore_case), &folded(b, ignore_case))
    }

    /// Whether two strings are equal.
    fn RtlEqualUnicodeString(a: In<UnicodeString>, b: In<UnicodeString>, ignore_case: Boolean) -> Boolean {
        u8::from(folded(a, ignore_case) == folded(b, ignore_case))
    }

    /// Whether `b` begins with `a`.
    fn RtlPrefixUnicodeString(a: In<UnicodeString>, b: In<UnicodeString>, ignore_case: Boolean) -> Boolean {
        u8::from(folded(b, ignore_case).starts_with(&folded(a, ignore_case)))
    }

    /// Compares two strings.
    fn RtlCompareString(a: In<AnsiString>, b: In<AnsiString>, ignore_case: Boolean) -> i32 {
        order(&folded_bytes(a, ignore_case), &folded_bytes(b, ignore_case))
    }

    /// Whether two strings are equal.
    fn RtlEqualString(a: In<AnsiString>, b: In<AnsiString>, ignore_case: Boolean) -> Boolean {
        u8::from(folded_bytes(a, ignore_case) == folded_bytes(b, ignore_case))
    }

    /// Whether `b` begins with `a`.
    fn RtlPrefixString(a: In<AnsiString>, b: In<AnsiString>, ignore_case: Boolean) -> Boolean {
        u8::from(folded_bytes(b, ignore_case).starts_with(&folded_bytes(a, ignore_case)))
    }

    /// The hash of a string, by the only documented algorithm (x65599).
    fn RtlHashUnicodeString(
        string: In<UnicodeString>, ignore_case: Boolean, algorithm: u32, hash: Out<u32>,
    ) -> NtStatus {
        nt_status(hash_of(&folded(string, ignore_case), algorithm, hash))
    }
}

fn folded(string: In<UnicodeString>, ignore_case: Boolean) -> Vec<u16> {
    let mut text = string.get().units();
    if ignore_case != 0 {
        text.iter_mut().for_each(|unit| *unit = case::up(*unit));
    }
    text
}

fn folded_bytes(string: In<AnsiString>, ignore_case: Boolean) -> Vec<u8> {
    let mut text = string.get().units();
    if ignore_case != 0 {
        text.make_ascii_uppercase();
    }
    text
}

/// Compares by the first difference, or else by length.
fn order<U: Ord>(a: &[U], b: &[U]) -> i32 {
    match a.cmp(b) {
        Ordering::Less => -1,
        Ordering::Equal => 0,
        Ordering::Greater => 1,
    }
}

fn hash_of(text: &[u16], algorithm: u32, to: Out<u32>) -> Status {
    /// `HASH_STRING_ALGORITHM_X65599`; 0 is the default algorithm, which is the same.
    const X65599: u32 = 1;
    if algorithm > X65599 || to.non_null().is_none() {
        return Status::INVALID_PARAMETER;
    }
    let hash = |hash: u32, unit: &u16| hash.wrapping_mul(65599).wrapping_add(u32::from(*unit));
    to.put(text.iter().fold(0, hash));
    Status::SUCCESS
}
