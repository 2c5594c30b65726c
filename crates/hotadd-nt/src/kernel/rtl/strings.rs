//! The C library's functions for zero-terminated text, as drivers import them.

use std::ffi::c_int;

use crate::ground::declare::nt;
use crate::ground::foreign::{In, Out};
use crate::kernel::rtl::{case, chars};

const ALL: usize = usize::MAX;

fn same<U>(unit: U) -> U {
    unit
}

fn low(byte: u8) -> u8 {
    byte.to_ascii_lowercase()
}

fn up(byte: u8) -> u8 {
    byte.to_ascii_uppercase()
}

nt! {
    /// Compares two texts, ignoring case.
    fn _stricmp(a: In<u8>, b: In<u8>) -> c_int { chars::compare(a, b, ALL, low) }

    /// Compares at most `count` bytes, ignoring case.
    fn _strnicmp(a: In<u8>, b: In<u8>, count: usize) -> c_int { chars::compare(a, b, count, low) }

    /// Converts a text to lower case.
    fn _strlwr(text: Out<u8>) -> *mut u8 { chars::change(text, low) }

    /// Converts a text to upper case.
    fn _strupr(text: Out<u8>) -> *mut u8 { chars::change(text, up) }

    /// Compares two texts, ignoring case.
    fn _wcsicmp(a: In<u16>, b: In<u16>) -> c_int { chars::compare(a, b, ALL, case::down) }

    /// Compares at most `count` units, ignoring case.
    fn _wcsnicmp(a: In<u16>, b: In<u16>, count: usize) -> c_int { chars::compare(a, b, count, case::down) }

    /// Converts a text to lower case.
    fn _wcslwr(text: Out<u16>) -> *mut u16 { chars::change(text, case::down) }

    /// Converts a text to upper case.
    fn _wcsupr(text: Out<u16>) -> *mut u16 { chars::change(text, case::up) }
}

/// The functions whose names this system's C library has too.
pub(super) mod plain {
    use std::ffi::c_int;

    use super::{ALL, low, same, up};
    use crate::ground::declare::crt;
    use crate::ground::foreign::{In, Out};
    use crate::kernel::rtl::text::Unit;
    use crate::kernel::rtl::{case, chars};

    crt! {
        /// The length of a text.
        fn strlen(text: In<u8>) -> usize { text.length() }

        /// The length of a text, at most `count`.
        fn strnlen(text: In<u8>, count: usize) -> usize { text.length_within(count) }

        /// Compares two texts.
        fn strcmp(a: In<u8>, b: In<u8>) -> c_int { chars::compare(a, b, ALL, same) }

        /// Compares at most `count` bytes.
        fn strncmp(a: In<u8>, b: In<u8>, count: usize) -> c_int { chars::compare(a, b, count, same) }

        /// Copies a text.
        fn strcpy(to: Out<u8>, from: In<u8>) -> *mut u8 { chars::copy(to, from) }

        /// Copies `count` bytes.
        fn strncpy(to: Out<u8>, from: In<u8>, count: usize) -> *mut u8 { chars::copy_within(to, from, count) }

        /// Appends a text.
        fn strcat(to: Out<u8>, from: In<u8>) -> *mut u8 { chars::append(to, from) }

        /// Appends at most `count` bytes.
        fn strncat(to: Out<u8>, from: In<u8>, count: usize) -> *mut u8 { chars::append_within(to, from, count) }

        /// The first occurrence of a byte.
        fn strchr(text: In<u8>, byte: c_int) -> *const u8 { chars::find(text, unit(byte)) }

        /// The last occurrence of a byte.
        fn strrchr(text: In<u8>, byte: c_int) -> *const u8 { chars::find_last(text, unit(byte)) }

        /// The first occurrence of a text.
        fn strstr(text: In<u8>, part: In<u8>) -> *const u8 { chars::find_text(text, part) }

        /// The number at the beginning of a text.
        fn atoi(text: In<u8>) -> c_int { chars::number(text) }

        /// The number at the beginning of a text, in 32 bits, as `long` has here.
        fn atol(text: In<u8>) -> c_int { chars::number(text) }

        /// The upper-case form of a byte.
        fn toupper(byte: c_int) -> c_int { u8::try_from(byte).map_or(byte, |byte| c_int::from(up(byte))) }

        /// The lower-case form of a byte.
        fn tolower(byte: c_int) -> c_int { u8::try_from(byte).map_or(byte, |byte| c_int::from(low(byte))) }

        /// The length of a text.
        fn wcslen(text: In<u16>) -> usize { text.length() }

        /// The length of a text, at most `count`.
        fn wcsnlen(text: In<u16>, count: usize) -> usize { text.length_within(count) }

        /// Compares two texts.
        fn wcscmp(a: In<u16>, b: In<u16>) -> c_int { chars::compare(a, b, ALL, same) }

        /// Compares at most `count` units.
        fn wcsncmp(a: In<u16>, b: In<u16>, count: usize) -> c_int { chars::compare(a, b, count, same) }

        /// Copies a text.
        fn wcscpy(to: Out<u16>, from: In<u16>) -> *mut u16 { chars::copy(to, from) }

        /// Copies `count` units.
        fn wcsncpy(to: Out<u16>, from: In<u16>, count: usize) -> *mut u16 { chars::copy_within(to, from, count) }

        /// Appends a text.
        fn wcscat(to: Out<u16>, from: In<u16>) -> *mut u16 { chars::append(to, from) }

        /// Appends at most `count` units.
        fn wcsncat(to: Out<u16>, from: In<u16>, count: usize) -> *mut u16 { chars::append_within(to, from, count) }

        /// The first occurrence of a unit.
        fn wcschr(text: In<u16>, unit: u16) -> *const u16 { chars::find(text, unit) }

        /// The last occurrence of a unit.
        fn wcsrchr(text: In<u16>, unit: u16) -> *const u16 { chars::find_last(text, unit) }

        /// The first occurrence of a text.
        fn wcsstr(text: In<u16>, part: In<u16>) -> *const u16 { chars::find_text(text, part) }

        /// The upper-case form of a unit.
        fn towupper(unit: u16) -> u16 { case::up(unit) }

        /// The lower-case form of a unit.
        fn towlower(unit: u16) -> u16 { case::down(unit) }
    }

    /// A byte that was passed as an `int`.
    fn unit(byte: c_int) -> u8 {
        u8::of(u64::from(byte.cast_unsigned()))
    }
}
