//! Printing and formatting in a native driver, through C's variadic calls.

#![cfg(all(target_os = "linux", target_arch = "x86_64"))]
#![expect(unsafe_code, reason = "drivers' functions are C functions")]

mod common;

use std::ffi::c_char;
use std::ptr;
use std::sync::{Arc, Mutex, MutexGuard};

use hotadd::Partition;
use hotadd::hardware::Simulated;

/// A `va_list` of System V as a compiler fills it in.
#[repr(C)]
struct VaList {
    integers: u32,
    floats: u32,
    overflow: *const u64,
    saved: *const u64,
}

unsafe extern "C" {
    fn DbgPrint(format: *const c_char, ...) -> i32;
    fn DbgPrintEx(component: u32, level: u32, format: *const c_char, ...) -> i32;
    fn vDbgPrintExWithPrefix(
        prefix: *const c_char,
        component: u32,
        level: u32,
        format: *const c_char,
        list: *mut VaList,
    ) -> i32;
    fn hotadd_sprintf(to: *mut u8, format: *const c_char, ...) -> i32;
    fn _snprintf(to: *mut u8, count: usize, format: *const c_char, ...) -> i32;
    fn sprintf_s(to: *mut u8, size: usize, format: *const c_char, ...) -> i32;
    fn _snprintf_s(to: *mut u8, size: usize, count: usize, format: *const c_char, ...) -> i32;
    fn _snwprintf(to: *mut u16, count: usize, format: *const u16, ...) -> i32;
}

fn said() -> (Arc<common::Said>, MutexGuard<'static, ()>) {
    static ONE: Mutex<()> = Mutex::new(());
    let guard = ONE.lock().unwrap();
    let make = || Partition::simulated(&Simulated::new(1, 0).unwrap()).unwrap();
    let said = common::world(false, make).1;
    said.printed();
    said.breaches();
    (said, guard)
}

#[test]
fn printed_text_reaches_the_console() {
    let (said, _one) = said();
    // SAFETY: the format asks for these.
    unsafe { DbgPrint(c"one %d, two %s\n".as_ptr(), 1, c"2".as_ptr()) };
    // SAFETY: the format asks for this.
    unsafe { DbgPrintEx(77, 3, c"0x%x\nand more".as_ptr(), 255) };
    assert_eq!(said.printed(), ["one 1, two 2\n", "0xff\nand more"]);
    assert_eq!(said.breaches(), [""; 0]);
}

#[test]
fn a_va_list_is_read_from_its_current_position() {
    let (said, _one) = said();
    let (saved, overflow) = ([0, 0, 0, 0, 11, 12], [13, 14]);
    let mut list =
        VaList { integers: 32, floats: 176, overflow: overflow.as_ptr(), saved: saved.as_ptr() };
    let format = c"%d %d %d".as_ptr();
    // SAFETY: the list has that many.
    unsafe { vDbgPrintExWithPrefix(c"driver: ".as_ptr(), 77, 3, format, &mut list) };
    assert_eq!(said.printed(), ["driver: 11 12 13"]);
    // SAFETY: one more to read.
    let next = unsafe { *list.overflow };
    assert_eq!(
        (list.integers, next),
        (48, 14),
        "the caller continues after the arguments that were read"
    );
}

#[test]
fn a_message_is_cut_to_512_bytes() {
    let (said, _one) = said();
    // SAFETY: the format asks for this.
    unsafe { DbgPrint(c"%600d".as_ptr(), 1) };
    assert_eq!(said.printed(), [" ".repeat(512)]);
}

#[test]
fn unsupported_formats_of_windows_are_printed_and_reported() {
    let (said, _one) = said();
    // SAFETY: the format asks for this.
    unsafe { DbgPrint(c"%f".as_ptr(), 0.5) };
    assert_eq!(said.printed(), ["0.500000"]);
    let breaches = said.breaches();
    assert!(breaches.len() == 1 && breaches[0].contains("floating-point"), "{breaches:?}");
    let mut target = 0;
    // SAFETY: the format asks for this.
    unsafe { DbgPrint(c"abc%ndef".as_ptr(), &raw mut target) };
    assert_eq!((said.printed(), target), (vec!["abc".to_owned()], 0));
    assert_eq!(said.breaches(), ["DbgPrint: %n is not supported"]);
}

#[test]
fn arguments_are_found_in_both_kinds_of_registers_and_on_the_stack() {
    let mut to = [0_u8; 256];
    let format = c"%d %d %d %d %d %d|%g %g %g %g %g %g %g %g %g|%d".as_ptr();
    let (f, l) = (0.5, 9.5);
    // SAFETY: room enough, and the format asks for these.
    let length = unsafe {
        hotadd_sprintf(
            to.as_mut_ptr(),
            format,
            1,
            2,
            3,
            4,
            5,
            6,
            f,
            1.5,
            2.5,
            3.5,
            4.5,
            5.5,
            6.5,
            7.5,
            l,
            7,
        )
    };
    let expected = "1 2 3 4 5 6|0.5 1.5 2.5 3.5 4.5 5.5 6.5 7.5 9.5|7";
    assert_eq!(std::str::from_utf8(&to[..expected.len() + 1]).unwrap(), format!("{expected}\0"));
    assert_eq!(length, expected.len() as i32);
}

#[test]
fn counted_formatting_has_microsofts_results() {
    let format = c"%s".as_ptr();
    let text = c"abcd".as_ptr();
    let run = |count: usize| {
        let mut to = [b'.'; 8];
        // SAFETY: room enough, and the format asks for this.
        let length = unsafe { _snprintf(to.as_mut_ptr(), count, format, text) };
        (length, to)
    };
    assert_eq!(run(8), (4, *b"abcd\0..."));
    assert_eq!(run(5), (4, *b"abcd\0..."));
    assert_eq!(run(4), (4, *b"abcd...."), "it fits without the terminator");
    assert_eq!(run(3), (-1, *b"abc....."), "it does not fit and is not terminated");
    assert_eq!(run(0), (-1, *b"........"));
    // SAFETY: nothing is written.
    assert_eq!(unsafe { _snprintf(ptr::null_mut(), 0, format, text) }, 4, "the required length");
}

#[test]
fn secure_formatting_always_terminates_the_text() {
    let format = c"%s".as_ptr();
    let text = c"abcd".as_ptr();
    let fitting = |size: usize| {
        let mut to = [b'.'; 8];
        // SAFETY: room enough, and the format asks for this.
        let length = unsafe { sprintf_s(to.as_mut_ptr(), size, format, text) };
        (length, to)
    };
    assert_eq!(fitting(5), (4, *b"abcd\0..."));
    assert_eq!(fitting(4), (-1, *b"\0......."), "all or nothing");
    assert_eq!(fitting(0), (-1, *b"........"));
    let cut = |size: usize, count: usize| {
        let mut to = [b'.'; 8];
        // SAFETY: room enough, and the format asks for this.
        let length = unsafe { _snprintf_s(to.as_mut_ptr(), size, count, format, text) };
        (length, to)
    };
    assert_eq!(cut(5, usize::MAX), (4, *b"abcd\0..."));
    assert_eq!(cut(4, usize::MAX), (-1, *b"abc\0...."), "_TRUNCATE");
    assert_eq!(cut(8, 2), (-1, *b"ab\0....."), "count");
    assert_eq!(cut(8, 4), (4, *b"abcd\0..."));
    assert_eq!(cut(3, 4), (-1, *b"\0......."), "count does not fit");
}

#[test]
fn wide_formatting_has_16_bit_units() {
    let format: Vec<u16> = "%s/%hs/%u\0".encode_utf16().collect();
    let text: Vec<u16> = "wide\0".encode_utf16().collect();
    let mut to = [0_u16; 32];
    // SAFETY: room enough, and the format asks for these.
    let length = unsafe {
        _snwprintf(to.as_mut_ptr(), 32, format.as_ptr(), text.as_ptr(), c"narrow".as_ptr(), 5)
    };
    assert_eq!(String::from_utf16_lossy(&to[..13]), "wide/narrow/5");
    assert_eq!((length, to[13]), (13, 0));
}
