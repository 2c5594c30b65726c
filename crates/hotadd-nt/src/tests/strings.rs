//! Counted strings, conversions and numbers in text.

use std::ptr;
use std::sync::Mutex;

use crate::ground::types::{AnsiString, Counted, UnicodeString};
use crate::kernel::ex::pool;
use crate::tests::{BOTH, call, scene};

const BUFFER_TOO_SMALL: i32 = 0xC000_0023_u32.cast_signed();
const BUFFER_OVERFLOW: i32 = 0x8000_0005_u32.cast_signed();
const INVALID_PARAMETER: i32 = 0xC000_000D_u32.cast_signed();
const SOME_NOT_MAPPED: i32 = 0x107;

/// The tests count strings in pool, so only one at a time allocates some.
static ONE: Mutex<()> = Mutex::new(());

fn wide(text: &str) -> Vec<u16> {
    text.encode_utf16().chain([0]).collect()
}

/// A counted string over these units, which are all its text.
fn whole(units: &mut [u16]) -> UnicodeString {
    let length = u16::try_from(size_of_val(units)).unwrap();
    Counted { length, maximum_length: length, buffer: units.as_mut_ptr() }
}

fn text(string: UnicodeString) -> String {
    String::from_utf16(&string.units()).unwrap()
}

#[test]
fn a_counted_string_is_made_of_terminated_text() {
    for abi in BOTH {
        let mut units = wide("abc");
        let mut string = UnicodeString::EMPTY;
        call!(abi, RtlInitUnicodeString(&raw mut string => *mut UnicodeString, units.as_mut_ptr() => *mut u16));
        assert_eq!((string.length, string.maximum_length), (6, 8), "the zero is room, not text");
        assert_eq!(string.buffer, units.as_mut_ptr());
        call!(abi, RtlInitUnicodeString(&raw mut string => *mut UnicodeString, ptr::null_mut() => *mut u16));
        assert_eq!((string.length, string.maximum_length, string.buffer), (0, 0, ptr::null_mut()));
        let mut bytes = *b"ab\0";
        let mut string = AnsiString::EMPTY;
        call!(abi, RtlInitAnsiString(&raw mut string => *mut AnsiString, bytes.as_mut_ptr() => *mut u8));
        assert_eq!((string.length, string.maximum_length), (2, 3));
    }
}

#[test]
fn a_text_too_long_for_a_counted_string_is_refused_or_cut() {
    let mut units = vec![u16::from(b'x'); 40_000];
    units.push(0);
    for abi in BOTH {
        let mut string = UnicodeString::EMPTY;
        let status = call!(abi, RtlInitUnicodeStringEx(
            &raw mut string => *mut UnicodeString, units.as_mut_ptr() => *mut u16,
        ) -> i32);
        assert_eq!(status, 0xC000_0106_u32.cast_signed(), "STATUS_NAME_TOO_LONG");
        assert_eq!((string.length, string.maximum_length), (0xfffc, 0xfffe));
    }
}

#[test]
fn copying_takes_what_fits_and_appending_takes_all_or_nothing() {
    for abi in BOTH {
        let mut from = wide("abcdef");
        let source = whole(&mut from[..6]);
        let mut room = [0x7777_u16; 8];
        let mut to = Counted { length: 0, maximum_length: 8, buffer: room.as_mut_ptr() };
        call!(abi, RtlCopyUnicodeString(&raw mut to => *mut UnicodeString, &raw const source => *const UnicodeString));
        assert_eq!(text(to), "abcd");
        assert_eq!(room[4], 0x7777, "nothing is written beyond the room");
        let mut to = Counted { length: 2, maximum_length: 14, buffer: room.as_mut_ptr() };
        let status = call!(abi, RtlAppendUnicodeToString(
            &raw mut to => *mut UnicodeString, from.as_ptr() => *const u16,
        ) -> i32);
        assert_eq!((status, text(to).as_str()), (0, "aabcdef"));
        let status = call!(abi, RtlAppendUnicodeStringToString(
            &raw mut to => *mut UnicodeString, &raw const source => *const UnicodeString,
        ) -> i32);
        assert_eq!((status, text(to).as_str()), (BUFFER_TOO_SMALL, "aabcdef"));
        call!(abi, RtlCopyUnicodeString(&raw mut to => *mut UnicodeString, ptr::null() => *const UnicodeString));
        assert_eq!(to.length, 0, "of nothing there is nothing");
    }
}

#[test]
fn comparing_may_ignore_case_also_beyond_ascii() {
    let (mut a, mut b) = (wide("Grün"), wide("gRÜNer"));
    let (a, b) = (whole(&mut a[..4]), whole(&mut b[..6]));
    for abi in BOTH {
        let compare = |ignore: u8| {
            call!(abi, RtlCompareUnicodeString(
                &raw const a => *const UnicodeString, &raw const b => *const UnicodeString, ignore => u8,
            ) -> i32)
        };
        assert!(compare(0) < 0, "G comes before g");
        assert!(compare(1) < 0, "the shorter one comes first");
        let prefix = |ignore: u8| {
            call!(abi, RtlPrefixUnicodeString(
                &raw const a => *const UnicodeString, &raw const b => *const UnicodeString, ignore => u8,
            ) -> u8)
        };
        assert_eq!((prefix(0), prefix(1)), (0, 1));
        let equal = |one: &UnicodeString, ignore: u8| {
            call!(abi, RtlEqualUnicodeString(
                &raw const a => *const UnicodeString, one => *const UnicodeString, ignore => u8,
            ) -> u8)
        };
        assert_eq!((equal(&a, 0), equal(&b, 1)), (1, 0));
        assert_eq!(call!(abi, RtlUpcaseUnicodeChar(0xff => u16) -> u16), 0x178, "ÿ, Ÿ");
        assert_eq!(
            call!(abi, RtlUpcaseUnicodeChar(0xdf => u16) -> u16),
            0xdf,
            "ß is not one unit in upper case"
        );
        assert_eq!(
            call!(abi, RtlDowncaseUnicodeChar(0xd800 => u16) -> u16),
            0xd800,
            "no character"
        );
    }
}

#[test]
fn conversions_allocate_pool_and_free_it() {
    let _one = ONE.lock().unwrap();
    scene();
    for abi in BOTH {
        let mut bytes = *b"na\xc3\xafve";
        let from = Counted { length: 6, maximum_length: 6, buffer: bytes.as_mut_ptr() };
        let mut string = UnicodeString::EMPTY;
        let status = call!(abi, RtlAnsiStringToUnicodeString(
            &raw mut string => *mut UnicodeString, &raw const from => *const AnsiString, 1 => u8,
        ) -> i32);
        assert_eq!((status, text(string).as_str()), (0, "naïve"), "the code page is UTF-8");
        assert_eq!((string.length, string.maximum_length), (10, 12), "with a terminator");
        let mut back = AnsiString::EMPTY;
        let status = call!(abi, RtlUnicodeStringToAnsiString(
            &raw mut back => *mut AnsiString, &raw const string => *const UnicodeString, 1 => u8,
        ) -> i32);
        assert_eq!((status, back.units()), (0, b"na\xc3\xafve".to_vec()));
        call!(abi, RtlFreeUnicodeString(&raw mut string => *mut UnicodeString));
        assert_eq!(string.buffer, ptr::null_mut(), "freeing it twice does nothing");
        call!(abi, RtlFreeUnicodeString(&raw mut string => *mut UnicodeString));
        // Drivers also free such buffers as plain pool.
        call!(abi, ExFreePool(back.buffer as usize => usize));
        let mut room = [0_u16; 5];
        let mut small = Counted { length: 0, maximum_length: 10, buffer: room.as_mut_ptr() };
        let status = call!(abi, RtlAnsiStringToUnicodeString(
            &raw mut small => *mut UnicodeString, &raw const from => *const AnsiString, 0 => u8,
        ) -> i32);
        assert_eq!(status, BUFFER_OVERFLOW, "there is no room for the zero");
    }
    let mut tags = pool::accounting().tags.into_iter();
    let strings = tags.find(|(tag, _)| tag.to_string() == "Strg").unwrap().1;
    assert_eq!(strings.blocks, 0, "nothing is left");
}

#[test]
fn utf8_is_converted_in_whole_characters() {
    for abi in BOTH {
        let source = wide("aß𝄞");
        let source = &source[..4];
        let (mut room, mut written) = ([0xee_u8; 8], 77_u32);
        let mut convert = |to: *mut u8, size: u32, from: &[u16]| {
            let status = call!(abi, RtlUnicodeToUTF8N(
                to => *mut u8, size => u32, &raw mut written => *mut u32, from.as_ptr() => *const u16,
                u32::try_from(size_of_val(from)).unwrap() => u32,
            ) -> i32);
            (status, written)
        };
        assert_eq!(convert(ptr::null_mut(), 0, source), (0, 7), "how much is needed");
        assert_eq!(convert(room.as_mut_ptr(), 7, source), (0, 7));
        assert_eq!(&room, b"a\xc3\x9f\xf0\x9d\x84\x9e\xee");
        assert_eq!(
            convert(room.as_mut_ptr(), 6, source),
            (BUFFER_TOO_SMALL, 3),
            "no half characters"
        );
        assert_eq!(convert(room.as_mut_ptr(), 8, &[0xd834, 0x61]), (SOME_NOT_MAPPED, 4));
        assert_eq!(&room[..4], "\u{fffd}a".as_bytes(), "an incomplete character is replaced");
        let mut units = [0_u16; 8];
        let status = call!(abi, RtlUTF8ToUnicodeN(
            units.as_mut_ptr() => *mut u16, 16 => u32, &raw mut written => *mut u32,
            b"a\xff\xc3\x9f".as_ptr() => *const u8, 4 => u32,
        ) -> i32);
        assert_eq!((status, written, &units[..3]), (SOME_NOT_MAPPED, 6, &[0x61, 0xfffd, 0xdf][..]));
    }
}

/// The table in the documentation of `RtlUnicodeStringToInteger`, and its rules on prefixes.
#[test]
fn numbers_are_read_as_documented() {
    let cases = [
        ("123", 10, 123_i64),
        ("  -345", 10, -345),
        ("xyz", 10, 0),
        ("   +678abc", 10, 678),
        ("   +678abc", 16, 6_785_724),
        ("007", 10, 7),
        ("789", 8, 7),
        ("FGH", 16, 15),
        ("      ", 10, 0),
        ("0x1F", 0, 31),
        ("0o17", 0, 15),
        ("0b101", 0, 5),
        ("017", 0, 17),
        ("4294967295", 0, -1),
    ];
    for abi in BOTH {
        let parse = |source: &str, base: u32| {
            let mut units = wide(source);
            let length = units.len() - 1;
            let (string, mut value) = (whole(&mut units[..length]), 0xcccc_cccc_u32);
            let status = call!(abi, RtlUnicodeStringToInteger(
                &raw const string => *const UnicodeString, base => u32, &raw mut value => *mut u32,
            ) -> i32);
            (status, value.cast_signed())
        };
        for (source, base, expected) in cases {
            let expected = i32::try_from(expected).unwrap();
            assert_eq!(parse(source, base), (0, expected), "{source:?} in base {base}");
        }
        assert_eq!(parse("", 10).0, INVALID_PARAMETER, "an empty string has no number");
        assert_eq!(parse("1", 7).0, INVALID_PARAMETER);
    }
}

#[test]
fn numbers_are_written_if_there_is_room() {
    for abi in BOTH {
        let print = |value: u32, base: u32, room: u16| {
            let mut units = [0x7777_u16; 40];
            let mut string =
                Counted { length: 0, maximum_length: room, buffer: units.as_mut_ptr() };
            let status = call!(abi, RtlIntegerToUnicodeString(
                value => u32, base => u32, &raw mut string => *mut UnicodeString,
            ) -> i32);
            (status, text(string))
        };
        assert_eq!(print(0xbeef, 16, 80), (0, "BEEF".to_owned()));
        assert_eq!(print(10, 0, 80), (0, "10".to_owned()));
        assert_eq!(print(5, 2, 80), (0, "101".to_owned()));
        assert_eq!(print(8, 8, 80), (0, "10".to_owned()));
        assert_eq!(print(100, 10, 4), (BUFFER_OVERFLOW, String::new()));
        assert_eq!(print(100, 3, 80).0, INVALID_PARAMETER);
    }
}

#[test]
fn guids_convert_to_text_and_back() {
    let _one = ONE.lock().unwrap();
    scene();
    let guid = *b"\x40\xfc\x29\x6b\x47\xca\x67\x10\xb3\x1d\x00\xdd\x01\x06\x62\xda";
    for abi in BOTH {
        let mut string = UnicodeString::EMPTY;
        let status = call!(abi, RtlStringFromGUID(
            guid.as_ptr() => *const u8, &raw mut string => *mut UnicodeString,
        ) -> i32);
        assert_eq!((status, text(string).as_str()), (0, "{6B29FC40-CA47-1067-B31D-00DD010662DA}"));
        let mut back = [0_u8; 16];
        let parse = |string: &UnicodeString, to: *mut u8| call!(abi, RtlGUIDFromString(string => *const UnicodeString, to => *mut u8) -> i32);
        assert_eq!((parse(&string, back.as_mut_ptr()), back), (0, guid));
        let short = Counted { length: string.length - 2, ..string };
        assert_eq!(parse(&short, back.as_mut_ptr()), INVALID_PARAMETER);
        call!(abi, RtlFreeUnicodeString(&raw mut string => *mut UnicodeString));
        let mut new = [0_u8; 16];
        let created = call!(abi, ExUuidCreate(new.as_mut_ptr() => *mut u8) -> i32);
        assert_eq!(created, 0x4002_0056, "RPC_NT_UUID_LOCAL_ONLY: there is no network adapter");
        assert_eq!((new[7] >> 4, new[8] >> 6), (1, 2), "made from the time and a network adapter");
        assert_eq!(new[10] & 1, 1, "the adapter's address is a random one");
        let (first, mut second) = (new, [0_u8; 16]);
        call!(abi, ExUuidCreate(second.as_mut_ptr() => *mut u8) -> i32);
        assert_ne!(first, second, "every call creates another one");
    }
}
