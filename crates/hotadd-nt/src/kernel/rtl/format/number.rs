//! Numbers as text.

use super::sink::Sink;
use super::spec::{Size, Spec};
use crate::kernel::rtl::text::Unit;

/// `%d`
pub(super) fn signed<U: Unit>(spec: &Spec, argument: u64, to: &mut Sink<U>) {
    let value = cut(spec.size, argument, true).cast_signed();
    integer(spec, sign(spec, value < 0), &digits(spec, value.unsigned_abs(), 10, false), to);
}

/// `%u`, `%o`, `%x`, `%X`
pub(super) fn unsigned<U: Unit>(spec: &Spec, argument: u64, letter: u8, to: &mut Sink<U>) {
    let value = cut(spec.size, argument, false);
    let base = match letter {
        b'u' => 10,
        b'o' => 8,
        _ => 16,
    };
    let mut digits = digits(spec, value, base, letter == b'X');
    let prefix = match letter {
        b'x' if spec.alternate && value != 0 => "0x",
        b'X' if spec.alternate && value != 0 => "0X",
        _ => "",
    };
    let zeros = missing(spec, &digits);
    if letter == b'o' && spec.alternate && zeros == 0 && !digits.starts_with('0') {
        digits.insert(0, '0');
    }
    integer(spec, prefix, &digits, to);
}

/// `%p`: all digits, without a leading `0x`.
pub(super) fn pointer<U: Unit>(spec: &Spec, argument: u64, to: &mut Sink<U>) {
    number(spec, "", 0, &format!("{argument:016X}"), false, to);
}

/// `%e`, `%f`, `%g`
pub(super) fn float<U: Unit>(spec: &Spec, value: f64, letter: u8, to: &mut Sink<U>) {
    let sign = sign(spec, value.is_sign_negative());
    let magnitude = value.abs();
    let text = if magnitude.is_finite() {
        match letter.to_ascii_lowercase() {
            b'f' => fixed(spec, magnitude, spec.precision.unwrap_or(6)),
            b'e' => exponential(spec, magnitude, spec.precision.unwrap_or(6)),
            _ => general(spec, magnitude),
        }
    } else if magnitude.is_nan() {
        "nan".to_owned()
    } else {
        "inf".to_owned()
    };
    let text = if letter.is_ascii_uppercase() { text.to_ascii_uppercase() } else { text };
    number(spec, sign, 0, &text, magnitude.is_finite(), to);
}

/// The significant part of an argument, extended to 64 bits.
fn cut(size: Size, argument: u64, signed: bool) -> u64 {
    let bits = match size {
        Size::Char => 8,
        Size::Short => 16,
        Size::LongLong | Size::Pointer => 64,
        Size::Plain | Size::Long | Size::Int32 | Size::Wide => 32,
    };
    let shifted = argument << (64 - bits);
    if signed {
        (shifted.cast_signed() >> (64 - bits)).cast_unsigned()
    } else {
        shifted >> (64 - bits)
    }
}

fn sign(spec: &Spec, negative: bool) -> &'static str {
    match (negative, spec.plus, spec.blank) {
        (true, ..) => "-",
        (_, true, _) => "+",
        (_, _, true) => " ",
        _ => "",
    }
}

/// A value's digits. With precision 0, zero has none.
fn digits(spec: &Spec, value: u64, base: u32, upper: bool) -> String {
    match (base, upper) {
        _ if value == 0 && spec.precision == Some(0) => String::new(),
        (8, _) => format!("{value:o}"),
        (16, false) => format!("{value:x}"),
        (16, true) => format!("{value:X}"),
        _ => value.to_string(),
    }
}

/// How many leading zeros the precision requires.
fn missing(spec: &Spec, digits: &str) -> usize {
    spec.precision.unwrap_or(1).saturating_sub(digits.len())
}

fn integer<U: Unit>(spec: &Spec, prefix: &str, digits: &str, to: &mut Sink<U>) {
    number(spec, prefix, missing(spec, digits), digits, spec.precision.is_none(), to);
}

/// Writes a sign or prefix, zeros, the digits, and the padding to the width.
fn number<U: Unit>(
    spec: &Spec,
    prefix: &str,
    zeros: usize,
    digits: &str,
    may_fill_with_zeros: bool,
    to: &mut Sink<U>,
) {
    let gap = spec.width.saturating_sub(prefix.len()).saturating_sub(digits.len());
    let gap = gap.saturating_sub(zeros);
    let fill_with_zeros = may_fill_with_zeros && spec.zero;
    if !fill_with_zeros && !spec.left {
        to.pad(U::ascii(b' '), gap);
    }
    to.put_all(&U::from_bytes(prefix.as_bytes()));
    to.pad(U::ascii(b'0'), zeros + if fill_with_zeros { gap } else { 0 });
    to.put_all(&U::from_bytes(digits.as_bytes()));
    if spec.left {
        to.pad(U::ascii(b' '), gap);
    }
}

/// The maximum number of decimal places of a `double`.
const MOST_DIGITS: usize = 1074;

fn point(spec: &Spec, precision: usize) -> &'static str {
    if spec.alternate && precision == 0 { "." } else { "" }
}

fn fixed(spec: &Spec, value: f64, precision: usize) -> String {
    let shown = precision.min(MOST_DIGITS);
    format!("{value:.shown$}{}{}", point(spec, precision), "0".repeat(more(precision)))
}

fn exponential(spec: &Spec, value: f64, precision: usize) -> String {
    let shown = precision.min(MOST_DIGITS);
    let text = format!("{value:.shown$e}");
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let (sign, exponent) = match exponent.strip_prefix('-') {
        Some(exponent) => ('-', exponent),
        None => ('+', exponent),
    };
    let (point, more) = (point(spec, precision), "0".repeat(more(precision)));
    format!("{mantissa}{point}{more}e{sign}{exponent:0>2}")
}

/// The number of zeros after the digits, with an upper limit.
fn more(precision: usize) -> usize {
    precision.saturating_sub(MOST_DIGITS).min(1 << 16)
}

/// The `%e` or `%f` form, selected by the exponent that `%e` would have.
fn general(spec: &Spec, value: f64) -> String {
    let significant = spec.precision.unwrap_or(6).clamp(1, MOST_DIGITS);
    let rounded = format!("{value:.*e}", significant - 1);
    let exponent: i32 = rounded.rsplit('e').next().and_then(|e| e.parse().ok()).unwrap_or(0);
    let behind = i32::try_from(significant).unwrap_or(i32::MAX) - 1 - exponent;
    let text = match usize::try_from(behind) {
        Ok(behind) if exponent >= -4 => fixed(spec, value, behind),
        _ => exponential(spec, value, significant - 1),
    };
    if spec.alternate {
        return text;
    }
    let (mantissa, exponent) = match text.split_once('e') {
        Some((mantissa, exponent)) => (mantissa, format!("e{exponent}")),
        None => (text.as_str(), String::new()),
    };
    let mantissa = match mantissa.contains('.') {
        true => mantissa.trim_end_matches('0').trim_end_matches('.'),
        false => mantissa,
    };
    format!("{mantissa}{exponent}")
}
