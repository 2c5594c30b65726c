//! `sprintf` and related functions, with the truncation rules of Microsoft's C library.

use crate::ground::caller;
use crate::ground::foreign::{In, Out};
use crate::kernel::rtl::arguments::{Arguments, formatted};
use crate::kernel::rtl::format::{self, Refused, Sink};
use crate::kernel::rtl::text::Unit;

/// `_TRUNCATE`: as much as fits.
const TRUNCATE: usize = usize::MAX;

formatted! {
    /// Formats into a buffer that is large enough.
    variadic fn sprintf as "hotadd_sprintf"(to: Out<u8>, format: In<u8>) = unbounded;

    /// Formats into a buffer that is large enough.
    list fn vsprintf as "hotadd_vsprintf"(to: Out<u8>, format: In<u8>) = unbounded;

    /// Formats into a buffer of 16-bit units that is large enough.
    variadic fn swprintf as "hotadd_swprintf"(to: Out<u16>, format: In<u16>) = unbounded;

    /// Formats at most `count` bytes. A longer text returns -1. The zero is written if it fits.
    variadic fn _snprintf as "_snprintf"(to: Out<u8>, count: usize, format: In<u8>) = counted;

    /// As `_snprintf`.
    list fn _vsnprintf as "_vsnprintf"(to: Out<u8>, count: usize, format: In<u8>) = counted;

    /// As `_snprintf`, in 16-bit units.
    variadic fn _snwprintf as "_snwprintf"(to: Out<u16>, count: usize, format: In<u16>) = counted;

    /// As `_snwprintf`.
    list fn _vsnwprintf as "_vsnwprintf"(to: Out<u16>, count: usize, format: In<u16>) = counted;

    /// Formats a text. If it does not fit, the result is empty, and -1 is returned.
    variadic fn sprintf_s as "sprintf_s"(to: Out<u8>, size: usize, format: In<u8>) = fitting;

    /// As `sprintf_s`.
    list fn vsprintf_s as "vsprintf_s"(to: Out<u8>, size: usize, format: In<u8>) = fitting;

    /// As `sprintf_s`, in 16-bit units.
    variadic fn swprintf_s as "swprintf_s"(to: Out<u16>, size: usize, format: In<u16>) = fitting;

    /// As `swprintf_s`.
    list fn vswprintf_s as "vswprintf_s"(to: Out<u16>, size: usize, format: In<u16>) = fitting;

    /// Formats at most `count` bytes and a zero. A longer text returns -1. If the bytes do not fit, the result is
    /// empty.
    variadic fn _snprintf_s as "_snprintf_s"(
        to: Out<u8>, size: usize, count: usize, format: In<u8>,
    ) = cut;

    /// As `_snprintf_s`.
    list fn _vsnprintf_s as "_vsnprintf_s"(
        to: Out<u8>, size: usize, count: usize, format: In<u8>,
    ) = cut;

    /// As `_snprintf_s`, in 16-bit units.
    variadic fn _snwprintf_s as "_snwprintf_s"(
        to: Out<u16>, size: usize, count: usize, format: In<u16>,
    ) = cut;

    /// As `_snwprintf_s`.
    list fn _vsnwprintf_s as "_vsnwprintf_s"(
        to: Out<u16>, size: usize, count: usize, format: In<u16>,
    ) = cut;
}

/// At most `most` units of the text. `None` after a refused specification.
fn text<U: Unit>(most: usize, format: In<U>, arguments: &mut dyn Arguments) -> Option<Sink<U>> {
    let mut sink = Sink::new(most);
    match format::format(format, arguments, &mut sink) {
        Ok(_) => Some(sink),
        Err(Refused(letter)) => {
            caller::breach(&format!("sprintf: %{letter} is not supported"));
            None
        }
    }
}

fn length<U: Unit>(sink: &Sink<U>) -> i32 {
    i32::try_from(sink.length()).unwrap_or(-1)
}

/// Writes a text, followed by a zero.
fn terminate<U: Unit>(to: Out<U>, text: &[U]) {
    to.put_all(text);
    to.skip(text.len()).put(U::default());
}

fn unbounded<U: Unit>(to: Out<U>, format: In<U>, arguments: &mut dyn Arguments) -> i32 {
    let Some(sink) = text(usize::MAX, format, arguments) else {
        to.put(U::default());
        return -1;
    };
    terminate(to, sink.kept());
    length(&sink)
}

fn counted<U: Unit>(to: Out<U>, count: usize, format: In<U>, arguments: &mut dyn Arguments) -> i32 {
    let Some(sink) = text(count, format, arguments) else { return -1 };
    if count == 0 && to.non_null().is_none() {
        // This is documented: it returns the length that the text would have.
        return length(&sink);
    }
    to.put_all(sink.kept());
    if sink.length() < count {
        to.skip(sink.length()).put(U::default());
    }
    if sink.length() > count { -1 } else { length(&sink) }
}

fn fitting<U: Unit>(to: Out<U>, size: usize, format: In<U>, arguments: &mut dyn Arguments) -> i32 {
    if size == 0 || to.non_null().is_none() {
        return -1;
    }
    match text(size, format, arguments).filter(|sink| sink.length() < size) {
        Some(sink) => {
            terminate(to, sink.kept());
            length(&sink)
        }
        None => {
            to.put(U::default());
            -1
        }
    }
}

fn cut<U: Unit>(
    to: Out<U>,
    size: usize,
    count: usize,
    format: In<U>,
    arguments: &mut dyn Arguments,
) -> i32 {
    if size == 0 || to.non_null().is_none() {
        return -1;
    }
    let most = if count == TRUNCATE { size - 1 } else { count };
    // One unit more than fits shows that the text does not fit.
    let Some(sink) = text(most.min(size), format, arguments).filter(|s| s.kept().len() < size)
    else {
        to.put(U::default());
        return -1;
    };
    terminate(to, sink.kept());
    if sink.length() > most { -1 } else { length(&sink) }
}

#[cfg(test)]
mod tests {
    use std::mem;

    use crate::ground::abi::Abi;
    use crate::kernel::exports;

    /// The address that a `.sys` would get.
    fn win64(name: &str) -> *const std::ffi::c_void {
        exports::find(name).unwrap().address(Abi::Win64)
    }

    #[test]
    fn arguments_in_microsofts_convention_are_found_in_registers_and_on_the_stack() {
        type Snprintf =
            unsafe extern "win64" fn(*mut u8, usize, *const u8, i64, f64, i32, f64, u64) -> i32;
        let mut to = [0xaa_u8; 64];
        // SAFETY: it takes these three, and the arguments that the format requires; only integers are in registers.
        let snprintf: Snprintf = unsafe { mem::transmute(win64("_snprintf")) };
        let format = c"%I64d %.2f %d %g %llx".as_ptr().cast();
        // SAFETY: the arguments are as its documentation requires.
        let length = unsafe { snprintf(to.as_mut_ptr(), 64, format, -7, 2.5, -8, 1e9, 255) };
        assert_eq!(&to[..21], b"-7 2.50 -8 1e+09 ff\0\xaa");
        assert_eq!(length, 19);
    }

    #[test]
    fn a_double_in_a_register_is_read_from_the_integer_register() {
        type Sprintf = unsafe extern "win64" fn(*mut u8, *const u8, u64) -> i32;
        let mut to = [0_u8; 16];
        // SAFETY: a caller of a variadic function passes a double in an integer register too, and the function reads
        // that register.
        let sprintf: Sprintf = unsafe { mem::transmute(win64("sprintf")) };
        let bits = 0.125_f64.to_bits();
        // SAFETY: the arguments are as its documentation requires.
        unsafe { sprintf(to.as_mut_ptr(), c"%f".as_ptr().cast(), bits) };
        assert_eq!(&to[..9], b"0.125000\0");
    }

    #[test]
    fn microsofts_va_list_is_a_pointer_to_slots() {
        type Vsnwprintf = unsafe extern "win64" fn(*mut u16, usize, *const u16, *const u64) -> i32;
        let mut to = [0_u16; 16];
        // SAFETY: it has this signature.
        let vsnwprintf: Vsnwprintf = unsafe { mem::transmute(win64("_vsnwprintf")) };
        let format: Vec<u16> = "%d-%.1f\0".encode_utf16().collect();
        let list = [3, 1.5_f64.to_bits()];
        // SAFETY: the arguments are as its documentation requires.
        let length = unsafe { vsnwprintf(to.as_mut_ptr(), 16, format.as_ptr(), list.as_ptr()) };
        assert_eq!((length, String::from_utf16_lossy(&to[..6])), (5, "3-1.5\0".to_owned()));
    }
}
