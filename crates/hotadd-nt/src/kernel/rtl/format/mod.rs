//! The common formatter: Microsoft's format specification, for bytes and 16-bit units.
//!
//! `%[flags][width][.precision][size]type`. `%n` is refused, as on Windows, and so is `%a`.

mod number;
mod sink;
mod spec;
#[cfg(test)]
mod tests;

use crate::ground::foreign::In;
use crate::ground::types::Counted;
use crate::kernel::rtl::arguments::{Arguments, pointer};
use crate::kernel::rtl::text::{Unit, ascii};

pub(crate) use sink::Sink;
use spec::{Size, Spec};

/// The features that a format has used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Used {
    /// 16-bit text.
    pub(crate) unicode: bool,
    /// Floating-point numbers.
    pub(crate) float: bool,
}

/// A format specification that is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Refused(pub(crate) char);

/// Formats into a sink.
pub(crate) fn format<U: Unit>(
    format: In<U>,
    arguments: &mut dyn Arguments,
    to: &mut Sink<U>,
) -> Result<Used, Refused> {
    let mut used = Used::default();
    let mut at = format;
    loop {
        let unit = at.get();
        if unit == U::default() {
            return Ok(used);
        }
        at = at.skip(1);
        if ascii(unit) != b'%' {
            to.put(unit);
            continue;
        }
        let spec = Spec::parse(&mut at, arguments);
        let kind = at.get();
        if kind == U::default() {
            // The format ends inside a specification.
            return Ok(used);
        }
        at = at.skip(1);
        convert(kind, &spec, arguments, to, &mut used)?;
    }
}

fn convert<U: Unit>(
    kind: U,
    spec: &Spec,
    arguments: &mut dyn Arguments,
    to: &mut Sink<U>,
    used: &mut Used,
) -> Result<(), Refused> {
    // `%S` and `%C` mean the other kind of text than the function's own. A size overrides this.
    let wide = |other: bool| match spec.size {
        Size::Short | Size::Char => false,
        Size::Long | Size::Wide | Size::LongLong => true,
        _ => U::WIDE != other,
    };
    match ascii(kind) {
        b'd' | b'i' => number::signed(spec, arguments.integer(), to),
        letter @ (b'u' | b'o' | b'x' | b'X') => {
            number::unsigned(spec, arguments.integer(), letter, to);
        }
        b'p' => number::pointer(spec, arguments.integer(), to),
        letter @ (b'e' | b'E' | b'f' | b'F' | b'g' | b'G') => {
            used.float = true;
            number::float(spec, arguments.double(), letter, to);
        }
        letter @ (b'c' | b'C') => {
            let argument = arguments.integer();
            let text = if wide(letter == b'C') {
                used.unicode |= !U::WIDE;
                U::from_wide(&[u16::of(argument)])
            } else {
                U::from_bytes(&[u8::of(argument)])
            };
            padded(spec, &text, to);
        }
        letter @ (b's' | b'S') => {
            let wide = wide(letter == b'S');
            used.unicode |= wide && !U::WIDE;
            let text = if wide {
                terminated(spec, pointer(arguments)).map(|text| U::from_wide(&text))
            } else {
                terminated(spec, pointer(arguments)).map(|text| U::from_bytes(&text))
            };
            text_or_null(spec, text, to);
        }
        b'Z' => {
            // Independent of the function's own kind of text: ANSI_STRING, or with `w` or `l`
            // UNICODE_STRING.
            let wide = matches!(spec.size, Size::Wide | Size::Long);
            used.unicode |= wide && !U::WIDE;
            let text = if wide {
                counted(spec, pointer(arguments)).map(|text| U::from_wide(&text))
            } else {
                counted(spec, pointer(arguments)).map(|text| U::from_bytes(&text))
            };
            text_or_null(spec, text, to);
        }
        letter @ (b'n' | b'a' | b'A') => return Err(Refused(char::from(letter))),
        // An unknown type stands for itself, as in `%%`.
        _ => to.put(kind),
    }
    Ok(())
}

/// The text up to its zero or the precision. Nothing after that is read.
fn terminated<T: Unit>(spec: &Spec, text: In<T>) -> Option<Vec<T>> {
    let text = text.non_null()?;
    Some(text.to_vec(text.length_within(spec.precision.unwrap_or(usize::MAX))))
}

/// A counted string's text, up to the precision.
fn counted<T: Unit>(spec: &Spec, string: In<Counted<T>>) -> Option<Vec<T>> {
    let string = string.non_null()?.get();
    // SAFETY: it is the buffer of the driver's string.
    let buffer = unsafe { In::new(string.buffer.cast_const()) }.non_null()?;
    let length = usize::from(string.length) / size_of::<T>();
    Some(buffer.to_vec(spec.precision.unwrap_or(length).min(length)))
}

fn text_or_null<U: Unit>(spec: &Spec, text: Option<Vec<U>>, to: &mut Sink<U>) {
    let text = text.unwrap_or_else(|| {
        let null = b"(null)";
        U::from_bytes(&null[..spec.precision.unwrap_or(null.len()).min(null.len())])
    });
    padded(spec, &text, to);
}

fn padded<U: Unit>(spec: &Spec, text: &[U], to: &mut Sink<U>) {
    let gap = spec.width.saturating_sub(text.len());
    if spec.left {
        to.put_all(text);
        to.pad(U::ascii(b' '), gap);
    } else {
        to.pad(U::ascii(if spec.zero { b'0' } else { b' ' }), gap);
        to.put_all(text);
    }
}
