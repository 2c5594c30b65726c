//! `qsort` and `bsearch`, with the driver's comparison function in the driver's convention.

use std::ffi::c_void;
use std::ptr;

use crate::ground::declare::crt;
use crate::ground::foreign::Out;
use crate::ground::routine::Routine;

crt! {
    /// Sorts an array.
    fn qsort(base: Out<u8>, count: usize, size: usize, compare: *const c_void) {
        sort(base, count, size, compare);
    }

    /// Searches a sorted array.
    fn bsearch(
        key: *const c_void, base: Out<u8>, count: usize, size: usize, compare: *const c_void,
    ) -> *mut u8 {
        search(key, base, count, size, compare)
    }
}

/// Calls the driver's comparison.
fn ask(compare: Routine, a: *const c_void, b: *const c_void) -> i32 {
    // SAFETY: the driver guarantees that it is a comparison function for these elements.
    let order = unsafe { compare.call([a as usize, b as usize, 0, 0]) };
    #[expect(clippy::cast_possible_truncation, reason = "an int; the upper half is anything")]
    let order = order as i32;
    order
}

/// Heap sort, in place. It uses no memory of its own and no recursion, and it terminates for any
/// results of the comparison.
fn sort(base: Out<u8>, count: usize, size: usize, compare: *const c_void) {
    let Some(compare) = Routine::new(compare) else { return };
    if size == 0 {
        return;
    }
    let at = |index: usize| base.skip(index * size);
    let before =
        |a: usize, b: usize| ask(compare, at(a).as_ptr().cast(), at(b).as_ptr().cast()) < 0;
    let swap = |a: usize, b: usize| {
        let (one, other) = (at(a).readable().to_vec(size), at(b).readable().to_vec(size));
        at(a).put_all(&other);
        at(b).put_all(&one);
    };
    let sink = |from: usize, end: usize| {
        let mut parent = from;
        while 2 * parent + 1 < end {
            let left = 2 * parent + 1;
            let child = if left + 1 < end && before(left, left + 1) { left + 1 } else { left };
            if !before(parent, child) {
                return;
            }
            swap(parent, child);
            parent = child;
        }
    };
    (0..count / 2).rev().for_each(|parent| sink(parent, count));
    for end in (1..count).rev() {
        swap(0, end);
        sink(0, end);
    }
}

fn search(
    key: *const c_void,
    base: Out<u8>,
    count: usize,
    size: usize,
    compare: *const c_void,
) -> *mut u8 {
    let Some(compare) = Routine::new(compare) else { return ptr::null_mut() };
    let (mut from, mut to) = (0, count);
    while from < to {
        let middle = from + (to - from) / 2;
        let here = base.skip(middle * size).as_ptr();
        match ask(compare, key, here.cast()) {
            0 => return here,
            ..0 => to = middle,
            1.. => from = middle + 1,
        }
    }
    ptr::null_mut()
}
