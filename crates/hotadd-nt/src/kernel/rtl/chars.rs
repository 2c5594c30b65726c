//! Zero-terminated text: the C library's functions, implemented once for bytes and 16-bit units.

use std::cmp::Ordering;
use std::ptr;

use crate::ground::foreign::{In, Out};
use crate::kernel::rtl::text::{Unit, ascii};

/// Copies a text, including the zero.
pub(super) fn copy<U: Unit>(to: Out<U>, from: In<U>) -> *mut U {
    let text = from.terminated();
    to.put_all(&text);
    to.skip(text.len()).put(U::default());
    to.as_ptr()
}

/// Copies `count` units. After the zero it writes zeros. If there is no zero within `count` units, it writes
/// none.
pub(super) fn copy_within<U: Unit>(to: Out<U>, from: In<U>, count: usize) -> *mut U {
    let mut text = from.to_vec(from.length_within(count));
    text.resize(count, U::default());
    to.put_all(&text);
    to.as_ptr()
}

pub(super) fn append<U: Unit>(to: Out<U>, from: In<U>) -> *mut U {
    copy(to.skip(to.readable().length()), from);
    to.as_ptr()
}

/// Appends at most `count` units, and a zero.
pub(super) fn append_within<U: Unit>(to: Out<U>, from: In<U>, count: usize) -> *mut U {
    let mut text = from.to_vec(from.length_within(count));
    text.push(U::default());
    to.skip(to.readable().length()).put_all(&text);
    to.as_ptr()
}

/// Compares at most `count` units, each converted by `fold`.
pub(super) fn compare<U: Unit>(a: In<U>, b: In<U>, count: usize, fold: fn(U) -> U) -> i32 {
    for index in 0..count {
        let (one, other) = (fold(a.at(index)).into(), fold(b.at(index)).into());
        match one.cmp(&other) {
            Ordering::Less => return -1,
            Ordering::Greater => return 1,
            Ordering::Equal if one == 0 => return 0,
            Ordering::Equal => {}
        }
    }
    0
}

/// The first occurrence of a unit. The terminating zero can be found too.
pub(super) fn find<U: Unit>(text: In<U>, unit: U) -> *const U {
    let mut at = text;
    loop {
        match at.get() {
            found if found == unit => return at.as_ptr(),
            end if end == U::default() => return ptr::null(),
            _ => at = at.skip(1),
        }
    }
}

/// The last occurrence of a unit. The terminating zero can be found too.
pub(super) fn find_last<U: Unit>(text: In<U>, unit: U) -> *const U {
    let mut found = ptr::null();
    let mut at = text;
    loop {
        let here = at.get();
        if here == unit {
            found = at.as_ptr();
        }
        if here == U::default() {
            return found;
        }
        at = at.skip(1);
    }
}

/// The first occurrence of a text.
pub(super) fn find_text<U: Unit>(text: In<U>, part: In<U>) -> *const U {
    let (whole, part) = (text.terminated(), part.terminated());
    let starts = 0..(whole.len() + 1).saturating_sub(part.len());
    let mut found = starts.filter(|at| whole[*at..].starts_with(&part));
    found.next().map_or(ptr::null(), |at| text.skip(at).as_ptr())
}

/// Converts every unit.
pub(super) fn change<U: Unit>(text: Out<U>, fold: fn(U) -> U) -> *mut U {
    let changed: Vec<U> = text.readable().terminated().into_iter().map(fold).collect();
    text.put_all(&changed);
    text.as_ptr()
}

/// The decimal number at the beginning of a text. A number that is too large wraps.
pub(super) fn number<U: Unit>(text: In<U>) -> i32 {
    let mut at = text;
    while matches!(ascii(at.get()), b' ' | b'\t'..=b'\r') {
        at = at.skip(1);
    }
    let negative = ascii(at.get()) == b'-';
    if negative || ascii(at.get()) == b'+' {
        at = at.skip(1);
    }
    let mut value = 0_i32;
    while let digit @ b'0'..=b'9' = ascii(at.get()) {
        value = value.wrapping_mul(10).wrapping_add(i32::from(digit - b'0'));
        at = at.skip(1);
    }
    if negative { value.wrapping_neg() } else { value }
}
