//! Memory: filling, moving, comparing. The C library's functions do the work. Its `memmove` allows overlaps, which
//! `memcpy` does not.

use std::ffi::c_void;

use crate::ground::declare::nt;
use crate::ground::foreign::In;

nt! {
    /// Fills with zeros.
    fn RtlZeroMemory(to: *mut c_void, length: usize) {
        // SAFETY: the driver guarantees that it is writable.
        unsafe { libc::memset(to, 0, length) };
    }

    /// Fills memory.
    fn RtlFillMemory(to: *mut c_void, length: usize, fill: u8) {
        // SAFETY: the driver guarantees that it is writable.
        unsafe { libc::memset(to, i32::from(fill), length) };
    }

    /// Copies memory; the ranges may overlap.
    fn RtlMoveMemory(to: *mut c_void, from: *const c_void, length: usize) {
        // SAFETY: the driver guarantees that the ranges are readable and writable.
        unsafe { libc::memmove(to, from, length) };
    }

    /// Copies memory.
    fn RtlCopyMemory(to: *mut c_void, from: *const c_void, length: usize) {
        // SAFETY: the driver guarantees that the ranges are readable and writable; memmove allows overlaps.
        unsafe { libc::memmove(to, from, length) };
    }

    /// Copies memory.
    fn RtlCopyMemoryNonTemporal(to: *mut c_void, from: *const c_void, length: usize) {
        // SAFETY: the driver guarantees that the ranges are readable and writable; memmove allows overlaps.
        unsafe { libc::memmove(to, from, length) };
    }

    /// How many bytes are equal before the first difference.
    fn RtlCompareMemory(a: In<u8>, b: In<u8>, length: usize) -> usize {
        (0..length).find(|index| a.at(*index) != b.at(*index)).unwrap_or(length)
    }

    /// How many bytes match this pattern before the first mismatch.
    fn RtlCompareMemoryUlong(at: In<u32>, length: usize, pattern: u32) -> usize {
        (0..length / 4).find(|index| at.at(*index) != pattern).unwrap_or(length / 4) * 4
    }
}

/// The functions with the C library's names.
pub(super) mod plain {
    use std::ffi::{c_int, c_void};

    use crate::ground::declare::crt;

    crt! {
        /// Fills memory.
        fn memset(to: *mut c_void, fill: c_int, length: usize) -> *mut c_void {
            // SAFETY: the driver guarantees that it is writable.
            unsafe { libc::memset(to, fill, length) }
        }

        /// Copies memory.
        fn memcpy(to: *mut c_void, from: *const c_void, length: usize) -> *mut c_void {
            // SAFETY: the driver guarantees that the ranges are readable and writable.
            unsafe { libc::memmove(to, from, length) }
        }

        /// Copies memory; the ranges may overlap.
        fn memmove(to: *mut c_void, from: *const c_void, length: usize) -> *mut c_void {
            // SAFETY: the driver guarantees that the ranges are readable and writable; memmove allows overlaps.
            unsafe { libc::memmove(to, from, length) }
        }

        /// Compares memory.
        fn memcmp(a: *const c_void, b: *const c_void, length: usize) -> c_int {
            // SAFETY: the driver guarantees that both ranges are readable.
            unsafe { libc::memcmp(a, b, length) }
        }

        /// Finds a byte.
        fn memchr(at: *const c_void, byte: c_int, length: usize) -> *mut c_void {
            // SAFETY: the driver guarantees that it is readable.
            unsafe { libc::memchr(at, byte, length) }
        }
    }
}
