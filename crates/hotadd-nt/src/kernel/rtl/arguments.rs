//! The arguments of functions with a varying number of them, in both conventions, and the functions' entries.
//!
//! Rust cannot define such functions, so an entry is a few instructions that lay the registers down in memory, as a `va_list`
//! of the convention would have them, and call on.

use crate::ground::foreign::{In, Out};

/// Where arguments come from, one after the other. What type the next one has only the caller knows.
pub(crate) trait Arguments {
    /// The next one, an integer or a pointer. Where it is narrower the upper bits are anything.
    fn integer(&mut self) -> u64;

    /// The next one, a `double`.
    fn double(&mut self) -> f64;
}

/// Microsoft's: slots of eight bytes, one behind the other, whatever is in them.
pub(crate) struct Win64(In<u64>);

impl Arguments for Win64 {
    fn integer(&mut self) -> u64 {
        let value = self.0.get();
        self.0 = self.0.skip(1);
        value
    }

    fn double(&mut self) -> f64 {
        f64::from_bits(self.integer())
    }
}

/// What a `va_list` of System V points to.
#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct VaList {
    /// How far the integers in `saved` are used up.
    integers: u32,
    /// How far the floating-point numbers in `saved` are used up.
    floats: u32,
    /// What came on the stack.
    overflow: In<u64>,
    /// What came in registers: six integers, eight vectors.
    saved: In<u8>,
}

const _: () = assert!(size_of::<VaList>() == 24);

/// Bytes of the integers in a [`VaList`]'s registers, and of all.
const INTEGERS: u32 = 6 * 8;
const ALL: u32 = INTEGERS + 8 * 16;

/// System V's.
pub(crate) struct SysV(Out<VaList>);

impl SysV {
    /// The next eight bytes of the registers behind `used`, or of the stack.
    fn next(list: &mut VaList, used: u32, end: u32) -> u64 {
        if used < end {
            // The distance is in bytes, and eight bytes lie there.
            let slot = list.saved.skip(used as usize);
            return slot.cast::<u64>().get();
        }
        let value = list.overflow.get();
        list.overflow = list.overflow.skip(1);
        value
    }
}

impl Arguments for SysV {
    fn integer(&mut self) -> u64 {
        let mut list = self.0.get();
        let used = list.integers;
        let value = Self::next(&mut list, used, INTEGERS);
        list.integers = (list.integers + 8).min(INTEGERS);
        self.0.put(list);
        value
    }

    fn double(&mut self) -> f64 {
        let mut list = self.0.get();
        let used = list.floats;
        let value = Self::next(&mut list, used, ALL);
        list.floats = (list.floats + 16).min(ALL);
        self.0.put(list);
        f64::from_bits(value)
    }
}

/// What a convention's `va_list` is as a parameter.
pub(crate) trait List {
    type Reader: Arguments;
    fn reader(self) -> Self::Reader;
}

impl List for In<u64> {
    type Reader = Win64;
    fn reader(self) -> Win64 {
        Win64(self)
    }
}

impl List for Out<VaList> {
    type Reader = SysV;
    fn reader(self) -> SysV {
        SysV(self)
    }
}

/// A named parameter of such a function.
pub(crate) trait Parameter {
    fn take(from: &mut dyn Arguments) -> Self;
}

impl Parameter for u32 {
    fn take(from: &mut dyn Arguments) -> Self {
        #[expect(clippy::cast_possible_truncation, reason = "the upper half is anything")]
        let value = from.integer() as Self;
        value
    }
}

impl Parameter for usize {
    fn take(from: &mut dyn Arguments) -> Self {
        from.integer() as Self
    }
}

impl<T> Parameter for In<T> {
    fn take(from: &mut dyn Arguments) -> Self {
        // SAFETY: the function that is called has an address to read as this parameter, so by its documentation the driver passes one.
        unsafe { Self::new(from.integer() as *const T) }
    }
}

impl<T> Parameter for Out<T> {
    fn take(from: &mut dyn Arguments) -> Self {
        // SAFETY: the function that is called has an address to write to as this parameter, so by its documentation the driver passes one.
        unsafe { Self::new(from.integer() as *mut T) }
    }
}

/// Declares functions that take a format's arguments: `variadic` ones, and those that take a `list`.
///
/// As [`nt!`](crate::ground::export::nt), but the symbol is named, and the body is a function that gets the named parameters and a
/// `&mut dyn Arguments`.
macro_rules! formatted {
    ($(
        $(#[$meta:meta])*
        $kind:ident fn $name:ident as $symbol:literal ($($argument:ident: $type:ty),* $(,)?) = $body:path;
    )*) => {
        $($crate::kernel::rtl::arguments::formatted! {
            @$kind $(#[$meta])* $name $symbol ($($argument: $type),*) $body
        })*

        /// What this file declares.
        pub(crate) static EXPORTS: &[$crate::ground::export::Export] = &[$(
            $crate::ground::export::Export {
                name: stringify!($name),
                what: $crate::ground::export::What::Function {
                    win64: $name::win64 as *const std::ffi::c_void,
                    sysv: $name::sysv as *const std::ffi::c_void,
                },
            }
        ),*];
    };
    (@list $(#[$meta:meta])* $name:ident $symbol:literal ($($argument:ident: $type:ty),*) $body:path) => {
        #[allow(non_snake_case, reason = "the documentation's name")]
        mod $name {
            use super::*;
            use $crate::kernel::rtl::arguments::{List, VaList};

            $(#[$meta])*
            ///
            /// # Safety
            /// Its arguments are what the public documentation of this function asks for.
            #[unsafe(export_name = $symbol)]
            pub(super) unsafe extern "C" fn sysv($($argument: $type,)* list: Out<VaList>) -> i32 {
                $body($($argument,)* &mut list.reader())
            }

            pub(super) unsafe extern "win64" fn win64($($argument: $type,)* list: In<u64>) -> i32 {
                $body($($argument,)* &mut list.reader())
            }
        }
    };
    (@variadic $(#[$meta:meta])* $name:ident $symbol:literal ($($argument:ident: $type:ty),*) $body:path) => {
        #[allow(non_snake_case, reason = "the documentation's name")]
        mod $name {
            use super::*;
            use $crate::kernel::rtl::arguments::{List, Parameter, VaList};

            $(#[$meta])*
            ///
            /// # Safety
            /// Its arguments are what the public documentation of this function asks for.
            #[unsafe(naked)]
            #[unsafe(export_name = $symbol)]
            pub(super) unsafe extern "C" fn sysv() {
                unsafe extern "sysv64" fn with(list: Out<VaList>) -> i32 {
                    let mut arguments = list.reader();
                    $(let $argument = <$type>::take(&mut arguments);)*
                    $body($($argument,)* &mut arguments)
                }
                $crate::kernel::rtl::arguments::spill_sysv!(with)
            }

            #[unsafe(naked)]
            pub(super) unsafe extern "win64" fn win64() {
                unsafe extern "win64" fn with(slots: In<u64>) -> i32 {
                    let mut arguments = slots.reader();
                    $(let $argument = <$type>::take(&mut arguments);)*
                    $body($($argument,)* &mut arguments)
                }
                $crate::kernel::rtl::arguments::spill_win64!(with)
            }
        }
    };
}
pub(crate) use formatted;

/// The entry of a variadic function in System V's convention: a [`VaList`] at the top of the stack, the registers behind it,
/// and the called one finds all of them unused. al says whether there are vectors.
macro_rules! spill_sysv {
    ($with:ident) => {
        std::arch::naked_asm!(
            ".cfi_startproc",
            "sub rsp, 216",
            ".cfi_adjust_cfa_offset 216",
            "mov [rsp + 32], rdi",
            "mov [rsp + 40], rsi",
            "mov [rsp + 48], rdx",
            "mov [rsp + 56], rcx",
            "mov [rsp + 64], r8",
            "mov [rsp + 72], r9",
            "test al, al",
            "je 2f",
            "movaps [rsp + 80], xmm0",
            "movaps [rsp + 96], xmm1",
            "movaps [rsp + 112], xmm2",
            "movaps [rsp + 128], xmm3",
            "movaps [rsp + 144], xmm4",
            "movaps [rsp + 160], xmm5",
            "movaps [rsp + 176], xmm6",
            "movaps [rsp + 192], xmm7",
            "2:",
            "mov dword ptr [rsp], 0",
            "mov dword ptr [rsp + 4], 48",
            "lea rax, [rsp + 224]",
            "mov [rsp + 8], rax",
            "lea rax, [rsp + 32]",
            "mov [rsp + 16], rax",
            "mov rdi, rsp",
            "call {with}",
            "add rsp, 216",
            ".cfi_adjust_cfa_offset -216",
            "ret",
            ".cfi_endproc",
            with = sym $with,
        )
    };
}
pub(crate) use spill_sysv;

/// The entry of a variadic function in Microsoft's convention: the four registers go to the places that the caller has left
/// for them, in front of the rest. A floating-point number is in the integer register too.
macro_rules! spill_win64 {
    ($with:ident) => {
        std::arch::naked_asm!(
            ".cfi_startproc",
            "mov [rsp + 8], rcx",
            "mov [rsp + 16], rdx",
            "mov [rsp + 24], r8",
            "mov [rsp + 32], r9",
            "lea rcx, [rsp + 8]",
            "sub rsp, 40",
            ".cfi_adjust_cfa_offset 40",
            "call {with}",
            "add rsp, 40",
            ".cfi_adjust_cfa_offset -40",
            "ret",
            ".cfi_endproc",
            with = sym $with,
        )
    };
}
pub(crate) use spill_win64;

/// A pointer among the arguments.
pub(crate) fn pointer<T>(arguments: &mut dyn Arguments) -> In<T> {
    In::<T>::take(arguments)
}
