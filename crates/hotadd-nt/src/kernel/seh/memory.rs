//! The functions that move memory, for a `.sys`. Only for these functions do drivers rely on faults that occur in the
//! kernel and count as their own: they access a program's memory with `__try { RtlCopyMemory(...) }`.

use std::ffi::c_void;

use super::raise::caught;
use super::replaced::Replaced;
use crate::ground::context::Context;
use crate::ground::thread;

/// # Safety
/// The requirements of the public documentation of `memmove`. If they are not met, the fault is the driver's.
unsafe extern "sysv64" fn on_move(
    context: &mut Context,
    to: *mut c_void,
    from: *const c_void,
    length: usize,
) -> *mut c_void {
    // SAFETY: the driver guarantees that the ranges are readable and writable. memmove allows them to overlap.
    thread::own().watched.catch(context, || unsafe { libc::memmove(to, from, length) });
    to
}

/// # Safety
/// The requirements of the public documentation of `memset`. If they are not met, the fault is the driver's.
unsafe extern "sysv64" fn on_set(
    context: &mut Context,
    to: *mut c_void,
    value: i32,
    length: usize,
) -> *mut c_void {
    // SAFETY: the driver guarantees that the range is writable.
    thread::own().watched.catch(context, || unsafe { libc::memset(to, value, length) });
    to
}

/// # Safety
/// As for [`on_set`].
unsafe extern "sysv64" fn on_fill(
    context: &mut Context,
    to: *mut c_void,
    length: usize,
    value: i32,
) {
    // SAFETY: it is the same memory, which the driver guarantees to be writable.
    unsafe { on_set(context, to, value, length) };
}

/// # Safety
/// As for [`on_set`].
unsafe extern "sysv64" fn on_zero(context: &mut Context, to: *mut c_void, length: usize) {
    // SAFETY: it is the same memory, which the driver guarantees to be writable.
    unsafe { on_set(context, to, 0, length) };
}

/// # Safety
/// The requirements of the public documentation of `memcmp`. If they are not met, the fault is the driver's.
unsafe extern "sysv64" fn on_compare(
    context: &mut Context,
    a: *const c_void,
    b: *const c_void,
    length: usize,
) -> i32 {
    // SAFETY: the driver guarantees that both ranges are readable.
    thread::own().watched.catch(context, || unsafe { libc::memcmp(a, b, length) })
}

caught! {
    fn moving = on_move;
    fn setting = on_set;
    fn filling = on_fill;
    fn zeroing = on_zero;
    fn comparing = on_compare;
}

/// Names, and the functions that a `.sys` receives for them.
pub(crate) const FUNCTIONS: Replaced = Replaced(&[
    ("memcpy", moving),
    ("memmove", moving),
    ("memset", setting),
    ("memcmp", comparing),
    ("RtlCopyMemory", moving),
    ("RtlMoveMemory", moving),
    ("RtlFillMemory", filling),
    ("RtlZeroMemory", zeroing),
]);
