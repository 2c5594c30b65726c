//! The arguments of variadic functions in both conventions, and the entries of these functions.
//!
//! Rust cannot define such functions. So an entry consists of a few instructions that store the registers in memory,
//! in the form of the convention's `va_list`, and then call a normal function.

use crate::ground::foreign::{In, Out};

/// A source of arguments in order. Only the caller knows the type of the next one.
pub(crate) trait Arguments {
    /// The next argument, an integer or a pointer. If it is narrower, the upper bits are undefined.
    fn integer(&mut self) -> u64;

    /// The next argument, a `double`.
    fn double(&mut self) -> f64;
}

/// Microsoft's convention: consecutive slots of eight bytes, for every type.
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

/// The structure that a `va_list` of System V points to.
#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct VaList {
    /// The offset of the next integer in `saved`.
    integers: u32,
    /// The offset of the next floating-point number in `saved`.
    floats: u32,
    /// The arguments that were passed on the stack.
    overflow: In<u64>,
    /// The arguments that were passed in registers: six integers, eight vectors.
    saved: In<u8>,
}

const _: () = assert!(size_of::<VaList>() == 24);

/// The size in bytes of the integers in a [`VaList`]'s registers, and of all registers.
const INTEGERS: u32 = 6 * 8;
const ALL: u32 = INTEGERS + 8 * 16;

/// System V's convention.
pub(crate) struct SysV(Out<VaList>);

impl SysV {
    /// The next eight bytes of the registers after `used`, or of the stack.
    fn next(list: &mut VaList, used: u32, end: u32) -> u64 {
        if used < end {
            // The offset is in bytes, and eight bytes are there.
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

/// A convention's `va_list` as a parameter.
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
        // SAFETY: the documentation of the called function requires a readable address as this parameter, so the
        // driver passes one.
        unsafe { Self::new(from.integer() as *const T) }
    }
}

impl<T> Parameter for Out<T> {
    fn take(from: &mut dyn Arguments) -> Self {
        // SAFETY: the documentation of the called function requires a writable address as this parameter, so the
        // driver passes one.
        unsafe { Self::new(from.integer() as *mut T) }
    }
}

/// Declares functions that take the arguments of a format: `variadic` ones, and those that take a `list`.
///
/// As [`nt!`](crate::ground::declare::nt), but the symbol is given explicitly, and the body is a function that
/// receives the named parameters and a `&mut dyn Arguments`.
macro_rules! formatted {
    ($(
        $(#[$meta:meta])*
        $kind:ident fn $name:ident as $symbol:literal ($($argument:ident: $type:ty),* $(,)?) = $body:path;
    )*) => {
        $($crate::kernel::rtl::arguments::formatted! {
            @$kind $(#[$meta])* $name $symbol ($($argument: $type),*) $body
        })*

        /// The exports of this file.
        pub(crate) static EXPORTS: &[$crate::ground::export::Export] = &[$(
            $crate::ground::export::Export {
                name: stringify!($name),
                what: $crate::ground::export::What::Function {
                    win64: $name::win64 as *const std::ffi::c_void,
                    sysv: $name::sysv as *const std::ffi::c_void,
                },
                sizes: $crate::kernel::rtl::arguments::formatted!(@sizes $kind $($type),*),
            }
        ),*];
    };
    (@sizes list $($type:ty),*) => {
        $crate::ground::export::Sizes {
            parameters: &[$(size_of::<$type>(),)* size_of::<In<u64>>()],
            result: size_of::<i32>(),
            variadic: false,
        }
    };
    (@sizes variadic $($type:ty),*) => {
        $crate::ground::export::Sizes {
            parameters: &[$(size_of::<$type>()),*],
            result: size_of::<i32>(),
            variadic: true,
        }
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

/// The entry of a variadic function in System V's convention. It stores a [`VaList`] at the top of the stack and the
/// registers behind it, and the called function finds all of them unused. al states whether there are vectors.
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

/// The entry of a variadic function in Microsoft's convention. It stores the four registers in the places that the
/// caller has reserved before the other arguments. A floating-point number is also in the integer register.
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

/// Takes a pointer from the arguments.
pub(crate) fn pointer<T>(arguments: &mut dyn Arguments) -> In<T> {
    In::<T>::take(arguments)
}
