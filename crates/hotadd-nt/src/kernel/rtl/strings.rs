//! The C library's functions of terminated text, as drivers import them.

use std::ffi::c_int;

use crate::ground::export::nt;
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
    /// Compares, whatever the case.
    fn _stricmp(a: In<u8>, b: In<u8>) -> c_int { chars::compare(a, b, ALL, low) }

    /// Compares so much, whatever the case.
    fn _strnicmp(a: In<u8>, b: In<u8>, count: usize) -> c_int { chars::compare(a, b, count, low) }

    /// Lower case.
    fn _strlwr(text: Out<u8>) -> *mut u8 { chars::change(text, low) }

    /// Upper case.
    fn _strupr(text: Out<u8>) -> *mut u8 { chars::change(text, up) }

    /// Compares, whatever the case.
    fn _wcsicmp(a: In<u16>, b: In<u16>) -> c_int { chars::compare(a, b, ALL, case::down) }

    /// Compares so much, whatever the case.
    fn _wcsnicmp(a: In<u16>, b: In<u16>, count: usize) -> c_int { chars::compare(a, b, count, case::down) }

    /// Lower case.
    fn _wcslwr(text: Out<u16>) -> *mut u16 { chars::change(text, case::down) }

    /// Upper case.
    fn _wcsupr(text: Out<u16>) -> *mut u16 { chars::change(text, case::up) }
}

/// Under names that the C library of this system has too.
pub(super) mod plain {
    use std::ffi::c_int;

    use super::{ALL, low, same, up};
    use crate::ground::export::crt;
    use crate::ground::foreign::{In, Out};
    use crate::kernel::rtl::text::Unit;
    use crate::kernel::rtl::{case, chars};

    crt! {
        /// How long.
        fn strlen(text: In<u8>) -> usize { text.length() }

        /// How long, up to so much.
        fn strnlen(text: In<u8>, count: usize) -> usize { text.length_within(count) }

        /// Which comes first.
        fn strcmp(a: In<u8>, b: In<u8>) -> c_int { chars::compare(a, b, ALL, same) }

        /// Which comes first, up to so much.
        fn strncmp(a: In<u8>, b: In<u8>, count: usize) -> c_int { chars::compare(a, b, count, same) }

        /// Copies.
        fn strcpy(to: Out<u8>, from: In<u8>) -> *mut u8 { chars::copy(to, from) }

        /// Copies so much.
        fn strncpy(to: Out<u8>, from: In<u8>, count: usize) -> *mut u8 { chars::copy_within(to, from, count) }

        /// Appends.
        fn strcat(to: Out<u8>, from: In<u8>) -> *mut u8 { chars::append(to, from) }

        /// Appends so much.
        fn strncat(to: Out<u8>, from: In<u8>, count: usize) -> *mut u8 { chars::append_within(to, from, count) }

        /// Where a byte is.
        fn strchr(text: In<u8>, byte: c_int) -> *const u8 { chars::find(text, unit(byte)) }

        /// Where a byte is last.
        fn strrchr(text: In<u8>, byte: c_int) -> *const u8 { chars::find_last(text, unit(byte)) }

        /// Where a text is.
        fn strstr(text: In<u8>, part: In<u8>) -> *const u8 { chars::find_text(text, part) }

        /// The number that a text begins with.
        fn atoi(text: In<u8>) -> c_int { chars::number(text) }

        /// The number that a text begins with: 32 bits, as all of them here.
        fn atol(text: In<u8>) -> c_int { chars::number(text) }

        /// Upper case.
        fn toupper(byte: c_int) -> c_int { u8::try_from(byte).map_or(byte, |byte| c_int::from(up(byte))) }

        /// Lower case.
        fn tolower(byte: c_int) -> c_int { u8::try_from(byte).map_or(byte, |byte| c_int::from(low(byte))) }

        /// How long.
        fn wcslen(text: In<u16>) -> usize { text.length() }

        /// How long, up to so much.
        fn wcsnlen(text: In<u16>, count: usize) -> usize { text.length_within(count) }

        /// Which comes first.
        fn wcscmp(a: In<u16>, b: In<u16>) -> c_int { chars::compare(a, b, ALL, same) }

        /// Which comes first, up to so much.
        fn wcsncmp(a: In<u16>, b: In<u16>, count: usize) -> c_int { chars::compare(a, b, count, same) }

        /// Copies.
        fn wcscpy(to: Out<u16>, from: In<u16>) -> *mut u16 { chars::copy(to, from) }

        /// Copies so much.
        fn wcsncpy(to: Out<u16>, from: In<u16>, count: usize) -> *mut u16 { chars::copy_within(to, from, count) }

        /// Appends.
        fn wcscat(to: Out<u16>, from: In<u16>) -> *mut u16 { chars::append(to, from) }

        /// Appends so much.
        fn wcsncat(to: Out<u16>, from: In<u16>, count: usize) -> *mut u16 { chars::append_within(to, from, count) }

        /// Where a unit is.
        fn wcschr(text: In<u16>, unit: u16) -> *const u16 { chars::find(text, unit) }

        /// Where a unit is last.
        fn wcsrchr(text: In<u16>, unit: u16) -> *const u16 { chars::find_last(text, unit) }

        /// Where a text is.
        fn wcsstr(text: In<u16>, part: In<u16>) -> *const u16 { chars::find_text(text, part) }

        /// Upper case.
        fn towupper(unit: u16) -> u16 { case::up(unit) }

        /// Lower case.
        fn towlower(unit: u16) -> u16 { case::down(unit) }
    }

    /// A byte that came as an `int`.
    fn unit(byte: c_int) -> u8 {
        u8::of(u64::from(byte.cast_unsigned()))
    }
}
