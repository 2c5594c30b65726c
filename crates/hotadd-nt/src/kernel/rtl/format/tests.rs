//! The behaviour of the formatter: Microsoft's own rules one by one, and the C library's results for the rules that
//! both share.

use std::ffi::{CString, c_char, c_void};

use proptest::prelude::*;

use super::{Refused, Sink, Used, format};
use crate::ground::foreign::In;
use crate::ground::types::{AnsiString, UnicodeString};
use crate::kernel::rtl::arguments::{List, Win64};
use crate::kernel::rtl::text::Unit;

fn slots(arguments: &[u64]) -> Win64 {
    // SAFETY: the test does not request more arguments than there are.
    unsafe { In::new(arguments.as_ptr()) }.reader()
}

fn run<U: Unit>(text: &[U], arguments: &[u64]) -> (Vec<U>, Result<Used, Refused>) {
    let text: Vec<U> = text.iter().copied().chain([U::default()]).collect();
    let mut sink = Sink::new(usize::MAX);
    // SAFETY: it is a zero-terminated text.
    let result = format(unsafe { In::new(text.as_ptr()) }, &mut slots(arguments), &mut sink);
    (sink.kept().to_vec(), result)
}

fn narrow(text: &str, arguments: &[u64]) -> String {
    let (text, result) = run(text.as_bytes(), arguments);
    assert!(result.is_ok(), "{result:?}");
    String::from_utf8(text).unwrap()
}

fn wide(text: &str, arguments: &[u64]) -> String {
    let units: Vec<u16> = text.encode_utf16().collect();
    let (text, result) = run(&units, arguments);
    assert!(result.is_ok(), "{result:?}");
    String::from_utf16(&text).unwrap()
}

fn units(text: &str) -> Vec<u16> {
    text.encode_utf16().chain([0]).collect()
}

#[test]
fn size_prefixes_have_microsofts_meaning() {
    let minus = -2_i64 as u64;
    let cases = [
        ("%d", "-2"),
        ("%ld", "-2"),
        ("%lu", "4294967294"),
        ("%I32x", "fffffffe"),
        ("%llx", "fffffffffffffffe"),
        ("%I64d", "-2"),
        ("%I64X", "FFFFFFFFFFFFFFFE"),
        ("%Iu", "18446744073709551614"),
        ("%zu", "18446744073709551614"),
        ("%td", "-2"),
        ("%jd", "-2"),
        ("%hd", "-2"),
        ("%hu", "65534"),
        ("%hhu", "254"),
        ("%wd", "-2"),
    ];
    for (text, expected) in cases {
        assert_eq!(narrow(text, &[minus]), expected, "{text}");
        assert_eq!(wide(text, &[minus]), expected, "{text}, wide");
    }
    assert_eq!(narrow("%d", &[0xdead_beef_0000_0005]), "5", "the upper half is ignored");
}

#[test]
fn pointers_are_printed_with_all_digits() {
    assert_eq!(narrow("%p", &[0xfffff800deadbeef]), "FFFFF800DEADBEEF");
    assert_eq!(narrow("[%20p] [%-18p]", &[1, 2]), "[    0000000000000001] [0000000000000002  ]");
}

#[test]
fn narrow_and_wide_text_can_be_formatted_into_either() {
    let bytes = CString::new("grün").unwrap();
    let wide_text = units("blåu");
    let (b, w) = (bytes.as_ptr() as u64, wide_text.as_ptr() as u64);
    assert_eq!(narrow("%s %hs", &[b, b]), "grün grün");
    assert_eq!(narrow("%S %ls %ws", &[w, w, w]), "blåu blåu blåu");
    assert_eq!(wide("%s %ls %ws", &[w, w, w]), "blåu blåu blåu");
    assert_eq!(wide("%S %hs", &[b, b]), "grün grün");
    assert_eq!(narrow("%c%C%wc%lc%hc", &[0x41, 0xe5, 0xe5, 0xe5, 0x42]), "AåååB");
    assert_eq!(wide("%c%C%hc", &[0xe5, 0x41, 0x42]), "åAB");
}

#[test]
fn counted_strings_end_at_their_length() {
    let mut bytes = *b"counted, and more";
    let ansi = AnsiString { length: 7, maximum_length: 17, buffer: bytes.as_mut_ptr() };
    let mut text = units("counted, and more");
    let unicode = UnicodeString { length: 14, maximum_length: 34, buffer: text.as_mut_ptr() };
    let empty = UnicodeString { length: 0, maximum_length: 0, buffer: std::ptr::null_mut() };
    let (a, u, e) = (&raw const ansi as u64, &raw const unicode as u64, &raw const empty as u64);
    assert_eq!(narrow("%Z|%hZ|%wZ|%lZ", &[a, a, u, u]), "counted|counted|counted|counted");
    assert_eq!(wide("%wZ|%Z", &[u, a]), "counted|counted");
    assert_eq!(narrow("[%10wZ][%-9Z][%.3wZ]", &[u, a, u]), "[   counted][counted  ][cou]");
    assert_eq!(narrow("[%wZ][%Z]", &[e, 0]), "[(null)][(null)]");
}

#[test]
fn null_is_printed_as_such_and_text_beyond_the_precision_is_not_read() {
    assert_eq!(narrow("%s %S %ws", &[0, 0, 0]), "(null) (null) (null)");
    assert_eq!(narrow("[%8s]", &[0]), "[  (null)]");
    let unterminated = *b"abc";
    assert_eq!(narrow("%.3s", &[unterminated.as_ptr() as u64]), "abc");
    assert_eq!(narrow("%.*s", &[2, unterminated.as_ptr() as u64]), "ab");
}

#[test]
fn widths_that_are_arguments_may_be_negative() {
    assert_eq!(narrow("[%*d][%*d]", &[4, 1, -4_i64 as u64, 2]), "[   1][2   ]");
    assert_eq!(narrow("[%.*d][%.*d]", &[3, 1, -1_i64 as u64, 2]), "[001][2]");
}

#[test]
fn unknown_specifications_are_printed_literally() {
    assert_eq!(narrow("100%% %y %-5k|%", &[]), "100% y k|");
}

#[test]
fn writing_through_a_format_is_refused() {
    let mut target = 7_u64;
    let (text, result) = run(b"ab%ncd", &[&raw mut target as u64]);
    assert_eq!(result, Err(Refused('n')));
    assert_eq!((text.as_slice(), target), (&b"ab"[..], 7), "nothing is written");
}

#[test]
fn a_huge_width_allocates_no_memory() {
    let mut sink = Sink::<u8>::new(8);
    let text = c"%2147483647d%.2147483647d";
    // SAFETY: it is a zero-terminated text.
    let text = unsafe { In::new(text.as_ptr().cast::<u8>()) };
    format(text, &mut slots(&[1, 1]), &mut sink).unwrap();
    assert_eq!(sink.length(), 2 * 2_147_483_647);
    assert_eq!(sink.kept(), b"        ");
}

#[test]
fn the_kinds_of_arguments_used_are_reported() {
    assert_eq!(run(b"%d %s", &[1, 0]).1.unwrap(), Used::default());
    assert_eq!(run(b"%ws", &[0]).1.unwrap(), Used { unicode: true, float: false });
    assert_eq!(run(b"%f", &[0]).1.unwrap(), Used { unicode: false, float: true });
    assert_eq!(
        run(&units("%s")[..2], &[0]).1.unwrap(),
        Used::default(),
        "wide text into wide text"
    );
}

/// The C library's result for one argument.
fn libc_says(format: &str, argument: &Argument) -> Vec<u8> {
    let format = CString::new(format).unwrap();
    let mut buffer = vec![0_u8; 4096];
    let (to, size) = (buffer.as_mut_ptr().cast::<c_char>(), buffer.len());
    let length = match argument {
        // SAFETY: the buffer has that size, and the format requires this one argument.
        Argument::Integer(value) => unsafe { libc::snprintf(to, size, format.as_ptr(), *value) },
        // SAFETY: the buffer has that size, and the format requires one floating-point number.
        Argument::Double(value) => unsafe { libc::snprintf(to, size, format.as_ptr(), *value) },
        Argument::Text(text) => {
            let text: *const c_void = text.as_ptr().cast();
            // SAFETY: the buffer has that size, and the format requires one text, which ends with a zero.
            unsafe { libc::snprintf(to, size, format.as_ptr(), text) }
        }
    };
    buffer.truncate(usize::try_from(length).unwrap());
    buffer
}

#[derive(Clone, Debug)]
enum Argument {
    Integer(u64),
    Double(f64),
    Text(CString),
}

impl Argument {
    fn slot(&self) -> u64 {
        match self {
            Self::Integer(value) => *value,
            Self::Double(value) => value.to_bits(),
            Self::Text(text) => text.as_ptr() as u64,
        }
    }
}

/// A specification with the same meaning in both: without `l`, which is 64 bits in the C library, and without what
/// the C standard leaves open.
fn conversions() -> impl Strategy<Value = (String, Argument)> {
    let width = prop_oneof![Just(String::new()), (1..40_u32).prop_map(|w| w.to_string())];
    let precision = prop_oneof![
        Just(String::new()),
        Just(".".to_owned()),
        (0..30_u32).prop_map(|p| format!(".{p}"))
    ];
    let size = prop::sample::select(vec!["", "hh", "h", "ll", "j", "z", "t"]);
    let interesting = prop_oneof![
        any::<u64>(),
        0..100_u64,
        any::<i32>().prop_map(|value| i64::from(value) as u64),
        Just(0),
        Just(1 << 63)
    ];
    let doubles = prop_oneof![
        any::<f64>().prop_filter("glibc says more of a NaN's sign", |value| !value.is_nan()),
        -1e6..1e6,
        -1.0..1.0,
        (-30..30_i32).prop_map(|power| 10_f64.powi(power)),
        (0..1000_u32).prop_map(|half| f64::from(half) + 0.5),
        Just(0.0),
        Just(-0.0),
        Just(f64::INFINITY)
    ];
    let integers = (prop::sample::select(vec!["d", "i"]), "[-+ 0]{0,3}", interesting.clone());
    let unsigned = (prop::sample::select(vec!["o", "x", "X"]), "[-#0]{0,3}", interesting.clone());
    let decimal = (Just("u"), "[-0]{0,2}", interesting);
    let whole = prop_oneof![integers, unsigned, decimal];
    let floats = (prop::sample::select(vec!["e", "E", "f", "g", "G"]), "[-+ #0]{0,3}", doubles);
    let text = ("-?", "[ -~]{0,30}");
    prop_oneof![
        (whole, width.clone(), precision.clone(), size).prop_map(|((t, f, v), w, p, s)| {
            (format!("%{f}{w}{p}{s}{t}"), Argument::Integer(v))
        }),
        (floats, width.clone(), precision.clone())
            .prop_map(|((t, f, v), w, p)| (format!("%{f}{w}{p}{t}"), Argument::Double(v))),
        (text, width.clone(), precision).prop_map(|((f, v), w, p)| {
            (format!("%{f}{w}{p}s"), Argument::Text(CString::new(v).unwrap()))
        }),
        ("-?", width, 1..127_u64).prop_map(|(f, w, v)| (format!("%{f}{w}c"), Argument::Integer(v))),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn shared_formats_give_the_c_librarys_result((spec, argument) in conversions()) {
        let (ours, result) = run(spec.as_bytes(), &[argument.slot()]);
        prop_assert!(result.is_ok());
        let theirs = libc_says(&spec, &argument);
        prop_assert_eq!(
            String::from_utf8_lossy(&ours), String::from_utf8_lossy(&theirs), "{} of {:?}", spec, argument
        );
    }

    #[test]
    fn any_format_gives_the_same_result_in_narrow_and_wide_text(text in "(%[-+ #0]{0,2}[0-9]{0,2}(\\.[0-9]{0,2})?(hh|h|ll|l|I64|I32|I|w|z|L)?[duxXopcfeg%yk]|[ -~&&[^%]]){0,12}") {
        let arguments = [65_u64; 16];
        let wide: Vec<u16> = text.encode_utf16().collect();
        let narrow = String::from_utf8(run(text.as_bytes(), &arguments).0).unwrap();
        let wide = String::from_utf16(&run(&wide, &arguments).0).unwrap();
        prop_assert_eq!(narrow, wide, "{}", text);
    }
}
