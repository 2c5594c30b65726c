//! [`Spec`]: one format specification up to its type.

use crate::ground::foreign::In;
use crate::kernel::rtl::arguments::Arguments;
use crate::kernel::rtl::text::{Unit, ascii};

/// The size of an argument, or the kind of text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Size {
    /// Not specified.
    #[default]
    Plain,
    /// `hh`
    Char,
    /// `h`
    Short,
    /// `l`: 32 bits here.
    Long,
    /// `ll`, `I64`, `j`
    LongLong,
    /// `I32`
    Int32,
    /// `I`, `z`, `t`
    Pointer,
    /// `w`
    Wide,
}

/// One format specification up to its type.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Spec {
    /// `-`
    pub(super) left: bool,
    /// `+`
    pub(super) plus: bool,
    /// A blank.
    pub(super) blank: bool,
    /// `#`
    pub(super) alternate: bool,
    /// `0`
    pub(super) zero: bool,
    pub(super) width: usize,
    pub(super) precision: Option<usize>,
    pub(super) size: Size,
}

impl Spec {
    /// Reads the specification after a `%`, and takes widths from the arguments.
    pub(super) fn parse<U: Unit>(at: &mut In<U>, arguments: &mut dyn Arguments) -> Self {
        let mut spec = Self::default();
        loop {
            match ascii(at.get()) {
                b'-' => spec.left = true,
                b'+' => spec.plus = true,
                b' ' => spec.blank = true,
                b'#' => spec.alternate = true,
                b'0' => spec.zero = true,
                _ => break,
            }
            *at = at.skip(1);
        }
        let width = number(at, arguments).unwrap_or(0);
        spec.left |= width < 0;
        spec.width = width.unsigned_abs() as usize;
        if ascii(at.get()) == b'.' {
            *at = at.skip(1);
            // A negative precision counts as absent.
            spec.precision = usize::try_from(number(at, arguments).unwrap_or(0)).ok();
        }
        // With a `-`, a 0 has no effect.
        spec.zero &= !spec.left;
        spec.size = size(at);
        spec
    }
}

/// A width or a precision, if there is one.
fn number<U: Unit>(at: &mut In<U>, arguments: &mut dyn Arguments) -> Option<i32> {
    if ascii(at.get()) == b'*' {
        *at = at.skip(1);
        #[expect(clippy::cast_possible_truncation, reason = "an int; the upper half is anything")]
        return Some(arguments.integer() as i32);
    }
    let mut number = None;
    while let digit @ b'0'..=b'9' = ascii(at.get()) {
        *at = at.skip(1);
        let value: i32 = number.unwrap_or(0);
        number = Some(value.saturating_mul(10).saturating_add(i32::from(digit - b'0')));
    }
    number
}

fn size<U: Unit>(at: &mut In<U>) -> Size {
    const SIZES: [(&[u8], Size); 11] = [
        (b"I64", Size::LongLong),
        (b"I32", Size::Int32),
        (b"hh", Size::Char),
        (b"ll", Size::LongLong),
        (b"h", Size::Short),
        (b"l", Size::Long),
        (b"j", Size::LongLong),
        (b"z", Size::Pointer),
        (b"t", Size::Pointer),
        (b"I", Size::Pointer),
        (b"w", Size::Wide),
    ];
    for (prefix, size) in SIZES {
        // Compares one unit at a time, so that nothing is read beyond the end.
        if (0..prefix.len()).all(|index| ascii(at.at(index)) == prefix[index]) {
            *at = at.skip(prefix.len());
            return size;
        }
    }
    if ascii(at.get()) == b'L' {
        // A long double is a double here.
        *at = at.skip(1);
    }
    Size::Plain
}
