//! Memory: filling, moving, comparing. The C library's own do it, whose `memmove` forgives what `memcpy` must not be given.

use std::ffi::c_void;

use crate::ground::export::nt;
use crate::ground::foreign::In;

nt! {
    /// Fills with zeros.
    fn RtlZeroMemory(to: *mut c_void, length: usize) {
        // SAFETY: writable, by the driver's word.
        unsafe { libc::memset(to, 0, length) };
    }

    /// Fills.
    fn RtlFillMemory(to: *mut c_void, length: usize, fill: u8) {
        // SAFETY: writable, by the driver's word.
        unsafe { libc::memset(to, i32::from(fill), length) };
    }

    /// Copies; the two may overlap.
    fn RtlMoveMemory(to: *mut c_void, from: *const c_void, length: usize) {
        // SAFETY: readable and writable, by the driver's word.
        unsafe { libc::memmove(to, from, length) };
    }

    /// Copies.
    fn RtlCopyMemory(to: *mut c_void, from: *const c_void, length: usize) {
        // SAFETY: readable and writable, by the driver's word; memmove forgives what overlaps.
        unsafe { libc::memmove(to, from, length) };
    }

    /// Copies.
    fn RtlCopyMemoryNonTemporal(to: *mut c_void, from: *const c_void, length: usize) {
        // SAFETY: readable and writable, by the driver's word; memmove forgives what overlaps.
        unsafe { libc::memmove(to, from, length) };
    }

    /// How many bytes are equal before the first that is not.
    fn RtlCompareMemory(a: In<u8>, b: In<u8>, length: usize) -> usize {
        (0..length).find(|index| a.at(*index) != b.at(*index)).unwrap_or(length)
    }

    /// How many bytes are this pattern's before the first of another.
    fn RtlCompareMemoryUlong(at: In<u32>, length: usize, pattern: u32) -> usize {
        (0..length / 4).find(|index| at.at(*index) != pattern).unwrap_or(length / 4) * 4
    }
}

/// Under the C library's names.
pub(super) mod plain {
    use std::ffi::{c_int, c_void};

    use crate::ground::export::crt;

    crt! {
        /// Fills.
        fn memset(to: *mut c_void, fill: c_int, length: usize) -> *mut c_void {
            // SAFETY: writable, by the driver's word.
            unsafe { libc::memset(to, fill, length) }
        }

        /// Copies.
        fn memcpy(to: *mut c_void, from: *const c_void, length: usize) -> *mut c_void {
            // SAFETY: readable and writable, by the driver's word.
            unsafe { libc::memmove(to, from, length) }
        }

        /// Copies; the two may overlap.
        fn memmove(to: *mut c_void, from: *const c_void, length: usize) -> *mut c_void {
            // SAFETY: readable and writable, by the driver's word; memmove forgives what overlaps.
            unsafe { libc::memmove(to, from, length) }
        }

        /// Which comes first.
        fn memcmp(a: *const c_void, b: *const c_void, length: usize) -> c_int {
            // SAFETY: readable, by the driver's word.
            unsafe { libc::memcmp(a, b, length) }
        }

        /// Where a byte is.
        fn memchr(at: *const c_void, byte: c_int, length: usize) -> *mut c_void {
            // SAFETY: readable, by the driver's word.
            unsafe { libc::memchr(at, byte, length) }
        }
    }
}
