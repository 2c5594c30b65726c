//! Memory, bitmaps, sorting, versions, and the C library's text functions.

use std::ffi::c_void;
use std::ptr;

use windows_sys::Wdk::System::SystemServices::RTL_BITMAP as Bitmap;

use crate::ground::abi::Abi;
use crate::tests::{BOTH, address, call, scene};

const NONE: u32 = u32::MAX;

fn wide(text: &str) -> Vec<u16> {
    text.encode_utf16().chain([0]).collect()
}

#[test]
fn bitmaps_are_counted_changed_and_searched() {
    for abi in BOTH {
        let mut words = [0_u32; 4];
        let mut map = Bitmap::default();
        let m = &raw mut map;
        call!(abi, RtlInitializeBitMap(m => *mut Bitmap, words.as_mut_ptr() => *mut u32, 100 => u32));
        call!(abi, RtlSetAllBits(m => *mut Bitmap));
        let set = || call!(abi, RtlNumberOfSetBits(m => *mut Bitmap) -> u32);
        assert_eq!(set(), 100, "no bit beyond the end");
        call!(abi, RtlClearBits(m => *mut Bitmap, 30 => u32, 5 => u32));
        call!(abi, RtlClearBits(m => *mut Bitmap, 90 => u32, 4 => u32));
        call!(abi, RtlClearBit(m => *mut Bitmap, 2 => u32));
        assert_eq!(set(), 90);
        assert_eq!(call!(abi, RtlNumberOfClearBits(m => *mut Bitmap) -> u32), 10);
        let find = |length: u32, hint: u32| call!(abi, RtlFindClearBits(m => *mut Bitmap, length => u32, hint => u32) -> u32);
        assert_eq!(
            [find(1, 0), find(2, 0), find(4, 35), find(5, 35), find(6, 0)],
            [2, 30, 90, 30, NONE]
        );
        let clear = |start: u32, length: u32| call!(abi, RtlAreBitsClear(m => *mut Bitmap, start => u32, length => u32) -> u8);
        assert_eq!([clear(30, 5), clear(29, 2), clear(90, 0), clear(99, 2)], [1, 0, 0, 0]);
        let mut start = 0;
        let longest =
            call!(abi, RtlFindLongestRunClear(m => *mut Bitmap, &raw mut start => *mut u32) -> u32);
        assert_eq!((longest, start), (5, 30));
        let next = call!(abi, RtlFindNextForwardRunClear(
            m => *mut Bitmap, 32 => u32, &raw mut start => *mut u32,
        ) -> u32);
        assert_eq!((next, start), (3, 32), "the run is measured from the given index");
        let mut runs = [[0_u32; 2]; 2];
        let count = call!(abi, RtlFindClearRuns(
            m => *mut Bitmap, runs.as_mut_ptr() => *mut [u32; 2], 2 => u32, 1 => u8,
        ) -> u32);
        assert_eq!((count, runs), (2, [[30, 5], [90, 4]]), "the longest runs come first");
        let taken = call!(abi, RtlFindClearBitsAndSet(m => *mut Bitmap, 5 => u32, 0 => u32) -> u32);
        assert_eq!((taken, set()), (30, 95));
        let test = |bit: u32| call!(abi, RtlTestBit(m => *mut Bitmap, bit => u32) -> u8);
        assert_eq!([test(1), test(2), test(30)], [1, 0, 1]);
    }
}

/// "The sum (StartingIndex + NumberToClear) must not exceed the SizeOfBitMap parameter value." "RtlAreBitsClear returns
/// FALSE if the given range is not a proper subset of the bitmap."
#[test]
fn nothing_behind_the_end_of_a_bitmap_is_read_changed_or_counted() {
    let scene = scene();
    for abi in BOTH {
        let mut words = [u32::MAX; 2];
        let at = words.as_mut_ptr();
        let mut map = Bitmap::default();
        let m = &raw mut map;
        call!(abi, RtlInitializeBitMap(m => *mut Bitmap, at => *mut u32, 40 => u32));
        call!(abi, RtlClearBits(m => *mut Bitmap, 38 => u32, 10 => u32));
        call!(abi, RtlClearBit(m => *mut Bitmap, 40 => u32));
        call!(abi, RtlClearBits(m => *mut Bitmap, 100 => u32, 0 => u32));
        call!(abi, RtlClearBits(m => *mut Bitmap, u32::MAX => u32, 2 => u32));
        // SAFETY: the second word of the map.
        let second = unsafe { at.wrapping_add(1).read() };
        assert_eq!(second, 0xffff_ff3f, "only the two bits that exist");
        let range = |start: u32, length: u32| {
            let set = call!(abi, RtlNumberOfSetBitsInRange(m => *mut Bitmap, start => u32, length => u32) -> u32);
            let clear = call!(abi, RtlNumberOfClearBitsInRange(m => *mut Bitmap, start => u32, length => u32) -> u32);
            (set, clear)
        };
        assert_eq!(
            [range(36, 100), range(38, u32::MAX), range(40, 5), range(99, 5)],
            [(2, 2), (0, 2), (0, 0), (0, 0)]
        );
        let are = |start: u32, length: u32| call!(abi, RtlAreBitsClear(m => *mut Bitmap, start => u32, length => u32) -> u8);
        assert_eq!([are(38, 2), are(38, 3), are(40, 1), are(39, u32::MAX)], [1, 0, 0, 0]);
        let test = |bit: u32| call!(abi, RtlTestBit(m => *mut Bitmap, bit => u32) -> u8);
        assert_eq!([test(37), test(38), test(40), test(u32::MAX)], [1, 0, 0, 0]);
        let mut start = 77;
        let next = call!(abi, RtlFindNextForwardRunClear(m => *mut Bitmap, 50 => u32, &raw mut start => *mut u32) -> u32);
        assert_eq!(next, 0, "zero if it cannot find a run");
        let find = call!(abi, RtlFindClearBits(m => *mut Bitmap, 3 => u32, 38 => u32) -> u32);
        assert_eq!(find, NONE, "no range of that size within the bitmap");
        let mut last = |from: u32| {
            let length = call!(abi, RtlFindLastBackwardRunClear(m => *mut Bitmap, from => u32, &raw mut start => *mut u32) -> u32);
            (length, start)
        };
        assert_eq!([last(39), last(38), last(500)], [(2, 38), (1, 38), (2, 38)]);
        assert_eq!(last(37).0, 0, "zero if there is none before it");
        let breaches = scene.breaches("exceed the bitmap of 40 bits");
        assert_eq!(
            breaches.len(),
            5,
            "two ranges, a bit, and two bits that are tested: {breaches:?}"
        );
    }
}

#[test]
fn bits_of_numbers_are_found_and_counted() {
    for abi in BOTH {
        let most = |n: u64| call!(abi, RtlFindMostSignificantBit(n => u64) -> i8);
        let least = |n: u64| call!(abi, RtlFindLeastSignificantBit(n => u64) -> i8);
        assert_eq!([most(0), most(1), most(u64::MAX)], [-1, 0, 63]);
        assert_eq!([least(0), least(1), least(1 << 63)], [-1, 0, 63]);
        assert_eq!(call!(abi, RtlNumberOfSetBitsUlongPtr(0xff0f => u64) -> u32), 12);
    }
}

#[test]
fn wide_text_has_16_bit_units_in_both_conventions() {
    let (text, other) = (wide("Straße"), wide("STRASSE"));
    for abi in BOTH {
        let t = text.as_ptr();
        assert_eq!(call!(abi, wcslen(t => *const u16) -> usize), 6);
        let find = |unit: u16| call!(abi, wcschr(t => *const u16, unit => u16) -> *const u16);
        assert_eq!(find(u16::from(b'a')), &raw const text[3]);
        assert_eq!(find(0), &raw const text[6], "the terminator can be found");
        assert_eq!(find(u16::from(b'x')), ptr::null());
        let part = wide("aß");
        let found = call!(abi, wcsstr(t => *const u16, part.as_ptr() => *const u16) -> *const u16);
        assert_eq!(found, &raw const text[3]);
        let compare = |count: usize| call!(abi, _wcsnicmp(t => *const u16, other.as_ptr() => *const u16, count => usize) -> i32);
        assert_eq!(compare(4), 0);
        assert!(compare(5) > 0, "ß is greater than s");
        let mut room = [0x7777_u16; 9];
        call!(abi, wcsncpy(room.as_mut_ptr() => *mut u16, t => *const u16, 8 => usize) -> *mut u16);
        assert_eq!(
            room,
            [0x53, 0x74, 0x72, 0x61, 0xdf, 0x65, 0, 0, 0x7777],
            "filled up with zeros"
        );
        call!(abi, _wcsupr(room.as_mut_ptr() => *mut u16) -> *mut u16);
        assert_eq!(&room[..6], &[0x53, 0x54, 0x52, 0x41, 0xdf, 0x45]);
    }
}

#[test]
fn narrow_text_functions_behave_as_in_the_c_library() {
    for abi in BOTH {
        let compare = |a: &[u8], b: &[u8]| call!(abi, strcmp(a.as_ptr() => *const u8, b.as_ptr() => *const u8) -> i32);
        assert!(compare(b"abc\0", b"abd\0") < 0 && compare(b"b\0", b"abc\0") > 0);
        assert!(compare(b"\xff\0", b"a\0") > 0, "bytes are unsigned");
        let insensitive = call!(abi, _stricmp(c"HeLLo".as_ptr() => *const i8, c"hEllO".as_ptr() => *const i8) -> i32);
        assert_eq!(insensitive, 0);
        let mut room = *b"ab\0.......";
        call!(abi, strncat(room.as_mut_ptr() => *mut u8, c"cdef".as_ptr() => *const i8, 2 => usize) -> *mut u8);
        assert_eq!(&room, b"abcd\0.....");
        let last =
            call!(abi, strrchr(room.as_ptr() => *const u8, i32::from(b'c') => i32) -> *const u8);
        assert_eq!(last, &raw const room[2]);
        let number = |text: &[u8]| call!(abi, atoi(text.as_ptr() => *const u8) -> i32);
        assert_eq!([number(b" \t-42x\0"), number(b"+7\0"), number(b"x\0")], [-42, 7, 0]);
    }
}

#[test]
fn memory_is_moved_filled_and_compared() {
    for abi in BOTH {
        let mut bytes = *b"0123456789";
        let at = bytes.as_mut_ptr();
        call!(abi, memmove(at.wrapping_add(2) => *mut u8, at => *const u8, 5 => usize) -> *mut u8);
        assert_eq!(&bytes, b"0101234789");
        call!(abi, RtlFillMemory(at => *mut u8, 3 => usize, b'x' => u8));
        assert_eq!(&bytes, b"xxx1234789");
        let equal = call!(abi, RtlCompareMemory(at => *const u8, b"xxx12x".as_ptr() => *const u8, 6 => usize) -> usize);
        assert_eq!(equal, 5, "the number of equal bytes, not an order");
        call!(abi, RtlZeroMemory(at => *mut u8, 10 => usize));
        assert_eq!(bytes, [0; 10]);
    }
}

extern "C" fn ascending(a: *const u32, b: *const u32) -> i32 {
    // SAFETY: two of what is sorted.
    let a = unsafe { a.read_unaligned() };
    // SAFETY: two of what is sorted; this is the second.
    let b = unsafe { b.read_unaligned() };
    i32::from(a > b) - i32::from(a < b)
}

#[test]
fn sorting_and_searching_call_the_drivers_comparison() {
    let scrambled: Vec<u32> = (0..500).map(|n: u32| n.wrapping_mul(2_654_435_761) % 300).collect();
    scene();
    for abi in BOTH {
        let mut sorted = scrambled.clone();
        call!(abi, qsort(
            sorted.as_mut_ptr() => *mut u32, 500 => usize, 4 => usize, ascending as *const c_void => *const c_void,
        ));
        let mut expected = scrambled.clone();
        expected.sort_unstable();
        assert_eq!(sorted, expected);
        let find = |key: u32| {
            call!(abi, bsearch(
                &raw const key => *const u32, sorted.as_ptr() => *const u32, 500 => usize, 4 => usize,
                ascending as *const c_void => *const c_void,
            ) -> *const u32)
        };
        let some = sorted[123];
        // SAFETY: one of the sorted, as is asserted by its value.
        assert_eq!(unsafe { find(some).read() }, some);
        assert_eq!(find(1000), ptr::null());
    }
}

#[test]
fn the_version_is_that_of_windows_10_and_can_be_compared() {
    for abi in BOTH {
        let mut info = [0_u32; 71]; // RTL_OSVERSIONINFOEXW
        info[0] = 276;
        info[69] = 0x7777_7777;
        assert_eq!(call!(abi, RtlGetVersion(info.as_mut_ptr() => *mut u32) -> i32), 0);
        assert_eq!(info[1..5], [10, 0, 19045, 2]);
        assert_eq!(info[69], 0x7777_7777, "the shorter structure ends there");
        info[0] = 284;
        call!(abi, RtlGetVersion(info.as_mut_ptr() => *mut u32) -> i32);
        assert_eq!(info[69..], [0, 0x0001_0000], "a workstation");
        let verify = |major: u32, minor: u32, condition: u8| {
            let mut wanted = [0_u32; 71];
            (wanted[0], wanted[1], wanted[2]) = (284, major, minor);
            let conditions =
                call!(abi, VerSetConditionMask(0 => u64, 3 => u32, condition => u8) -> u64);
            call!(abi, RtlVerifyVersionInfo(
                wanted.as_ptr() => *const u32, 3 => u32, conditions => u64,
            ) -> i32)
        };
        let (equal, greater_or_equal, less) = (1, 3, 4);
        let mismatch = 0xC000_0059_u32.cast_signed();
        assert_eq!(verify(6, 3, greater_or_equal), 0, "10.0 is more than 6.3");
        assert_eq!(verify(10, 0, equal), 0);
        assert_eq!(verify(10, 0, less), mismatch);
        assert_eq!(verify(11, 0, greater_or_equal), mismatch);
    }
}

#[test]
fn the_same_seed_gives_the_same_numbers() {
    for abi in BOTH {
        let numbers = |mut seed: u32| -> Vec<u32> {
            let mut next = || call!(abi, RtlRandomEx(&raw mut seed => *mut u32) -> u32);
            (0..100).map(|_| next()).collect()
        };
        let (first, again, other) = (numbers(1), numbers(1), numbers(2));
        assert_eq!(first, again);
        assert_ne!(first, other);
        assert!(first.iter().all(|number| *number < 0x7fff_ffff), "below MAXLONG");
    }
}

#[test]
fn exports_do_not_replace_this_programs_c_library() {
    let ours = address(Abi::SysV, "memcpy");
    assert_ne!(ours, libc::memcpy as *const c_void, "this program's memcpy is a different one");
    assert_ne!(address(Abi::SysV, "strlen"), libc::strlen as *const c_void);
}
