//! The functions that move memory, for a `.sys`: the one place where drivers rely on a function of the kernel's faulting in
//! their name. `__try { RtlCopyMemory(...) }` is how they look at a program's memory.

use std::ffi::c_void;
use std::ptr;

use super::raise::caught;
use crate::ground::context::Context;
use crate::ground::export::{Export, What};
use crate::ground::thread;

/// # Safety
/// What the public documentation of `memmove` asks for. Where that does not hold, the fault is the driver's.
unsafe extern "sysv64" fn on_move(
    context: &mut Context,
    to: *mut c_void,
    from: *const c_void,
    length: usize,
) -> *mut c_void {
    // SAFETY: readable and writable by the driver's word. memmove forgives what overlaps.
    thread::own().watched.catch(context, || unsafe { libc::memmove(to, from, length) });
    to
}

/// # Safety
/// What the public documentation of `memset` asks for. Where that does not hold, the fault is the driver's.
unsafe extern "sysv64" fn on_set(
    context: &mut Context,
    to: *mut c_void,
    value: i32,
    length: usize,
) -> *mut c_void {
    // SAFETY: writable by the driver's word.
    thread::own().watched.catch(context, || unsafe { libc::memset(to, value, length) });
    to
}

/// # Safety
/// As of [`on_set`].
unsafe extern "sysv64" fn on_fill(
    context: &mut Context,
    to: *mut c_void,
    length: usize,
    value: i32,
) {
    // SAFETY: the same memory, so by the driver's word it may be written.
    unsafe { on_set(context, to, value, length) };
}

/// # Safety
/// As of [`on_set`].
unsafe extern "sysv64" fn on_zero(context: &mut Context, to: *mut c_void, length: usize) {
    // SAFETY: the same memory, so by the driver's word it may be written.
    unsafe { on_set(context, to, 0, length) };
}

/// # Safety
/// What the public documentation of `memcmp` asks for. Where that does not hold, the fault is the driver's.
unsafe extern "sysv64" fn on_compare(
    context: &mut Context,
    a: *const c_void,
    b: *const c_void,
    length: usize,
) -> i32 {
    // SAFETY: both are readable by the driver's word.
    thread::own().watched.catch(context, || unsafe { libc::memcmp(a, b, length) })
}

caught! {
    fn moving = on_move;
    fn setting = on_set;
    fn filling = on_fill;
    fn zeroing = on_zero;
    fn comparing = on_compare;
}

/// Names, and what a `.sys` gets under them.
const FUNCTIONS: &[(&str, unsafe extern "win64" fn())] = &[
    ("memcpy", moving),
    ("memmove", moving),
    ("memset", setting),
    ("memcmp", comparing),
    ("RtlCopyMemory", moving),
    ("RtlMoveMemory", moving),
    ("RtlFillMemory", filling),
    ("RtlZeroMemory", zeroing),
];

/// What a `.sys` gets under a name in place of the [export](crate::ground::export) of that name.
pub(crate) fn find(name: &str) -> Option<Export> {
    let (name, function) = FUNCTIONS.iter().find(|(known, _)| *known == name)?;
    let win64 = *function as *const c_void;
    Some(Export { name, what: What::Function { win64, sysv: ptr::null() } })
}

/// The first name of what lies at an address. May be called from a signal handler.
pub(crate) fn at(address: usize) -> Option<&'static str> {
    FUNCTIONS.iter().find(|(_, function)| *function as usize == address).map(|(name, _)| *name)
}
