//! What a driver can call: the `nt!` macro and its relatives, which declare it.

use std::ffi::c_void;
use std::marker::PhantomData;

use crate::ground::abi::Abi;

/// One thing that a driver can import.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Export {
    pub(crate) name: &'static str,
    pub(crate) what: What,
    /// What the headers must declare.
    #[cfg_attr(not(test), expect(dead_code, reason = "the tests compare it with the headers"))]
    pub(crate) sizes: Sizes,
}

/// The sizes in bytes of what a function takes and returns.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(not(test), expect(dead_code, reason = "the tests compare them with the headers"))]
pub(crate) struct Sizes {
    pub(crate) parameters: &'static [usize],
    /// 0 if it returns nothing. A variable counts as a result.
    pub(crate) result: usize,
    /// More arguments may follow.
    pub(crate) variadic: bool,
}

impl Sizes {
    /// The sizes of a function that no header declares.
    pub(crate) const UNDECLARED: Self = Self { parameters: &[], result: 0, variadic: false };
}

/// The size of what functions of this type return: `()` has size 0.
pub(crate) const fn result_size<R>(_: PhantomData<fn() -> R>) -> usize {
    size_of::<R>()
}

/// The kind of an export.
#[derive(Clone, Copy, Debug)]
pub(crate) enum What {
    /// A function, in both conventions.
    Function { win64: *const c_void, sysv: *const c_void },
    /// A variable. Importers receive its address. The native symbol is the variable, or a [`Pointer`] to it.
    Data { variable: *const c_void, symbol: *const c_void },
}

// SAFETY: these are addresses of functions and statics, which are the same on every thread.
unsafe impl Sync for Export {}

impl Export {
    /// The content of an import slot.
    pub(crate) const fn address(&self, abi: Abi) -> *const c_void {
        match (self.what, abi) {
            (What::Function { win64, .. }, Abi::Win64) => win64,
            (What::Function { sysv, .. }, Abi::SysV) => sysv,
            (What::Data { variable, .. }, _) => variable,
        }
    }

    /// The address to which a native driver's symbol is bound.
    pub(crate) const fn symbol(&self) -> *const c_void {
        match self.what {
            What::Function { sysv, .. } => sysv,
            What::Data { symbol, .. } => symbol,
        }
    }
}

/// A variable that contains the address of another. A driver declares `extern POBJECT_TYPE *PsThreadType` and reads
/// `*PsThreadType`. In a `.sys`, `PsThreadType` is the import slot, which contains the variable's address, as for any
/// variable. In a native driver it is a symbol, which must contain that address too.
#[repr(transparent)]
pub(crate) struct Pointer<T>(pub(crate) *const T);

// SAFETY: it is an address, which is the same on every thread.
unsafe impl<T> Sync for Pointer<T> {}

impl<T> Pointer<T> {
    /// The address that it contains.
    pub(crate) fn address(&self) -> usize {
        self.0 as usize
    }
}

/// The [`Sizes`] of a function that is not variadic, by its types.
macro_rules! sizes {
    ($($type:ty),* $(; $return:ty)?) => {
        $crate::ground::export::Sizes {
            parameters: &[$(size_of::<$type>()),*],
            result: $crate::ground::export::result_size(std::marker::PhantomData::<fn() $(-> $return)?>),
            variadic: false,
        }
    };
}
pub(crate) use sizes;

/// The table of the functions that a file declares and that have twins.
macro_rules! table {
    ($(fn $name:ident($($type:ty),*) $(-> $return:ty)?;)*) => {
        /// The exports of this file.
        pub(crate) static EXPORTS: &[$crate::ground::export::Export] = &[$(
            $crate::ground::export::Export {
                name: stringify!($name),
                what: $crate::ground::export::What::Function {
                    win64: win64::$name as *const std::ffi::c_void,
                    sysv: $name as *const std::ffi::c_void,
                },
                sizes: $crate::ground::export::sizes!($($type),* $(; $return)?),
            }
        ),*];
    };
}
pub(crate) use table;

/// The Microsoft twins of functions, which call the functions.
macro_rules! twins {
    ($(fn $name:ident($($argument:ident: $type:ty),*) $(-> $return:ty)?;)*) => {
        /// The Microsoft twins.
        #[allow(non_snake_case, reason = "the documentation's names")]
        mod win64 {
            #[allow(unused_imports, reason = "not every file needs more than integers")]
            use super::*;
            $(
                pub(super) unsafe extern "win64" fn $name($($argument: $type),*) $(-> $return)? {
                    // SAFETY: the twin has the same conditions as this function, and its caller has met them with
                    // these arguments.
                    unsafe { super::$name($($argument),*) }
                }
            )*
        }
    };
}
pub(crate) use twins;

/// Declares functions that drivers call.
///
/// Each becomes an exported C symbol in the System V convention, which C programs link to and native drivers are
/// bound to, and a twin in Microsoft's convention for a `.sys`. The file gets `EXPORTS`, the table of them all. Each
/// body is one call: the functionality is implemented elsewhere, in Rust.
///
/// All run on any thread. None may unwind: a panic is a bug of this crate, and ends the process.
macro_rules! nt {
    ($(
        $(#[$meta:meta])*
        fn $name:ident($($argument:ident: $type:ty),* $(,)?) $(-> $return:ty)? $body:block
    )*) => {
        $(
            $(#[$meta])*
            ///
            /// # Safety
            /// Its arguments are what the public documentation of this function asks for.
            #[unsafe(no_mangle)]
            #[allow(non_snake_case, reason = "the documentation's name")]
            pub(crate) unsafe extern "C" fn $name($($argument: $type),*) $(-> $return)? {
                $crate::ground::caller::enters(stringify!($name));
                $body
            }
        )*

        $crate::ground::export::twins! { $(fn $name($($argument: $type),*) $(-> $return)?;)* }
        $crate::ground::export::table! { $(fn $name($($type),*) $(-> $return)?;)* }
    };
}
pub(crate) use nt;

/// Declares functions whose result depends on the caller's convention. As [`nt!`], but in the bodies the first name
/// is the [`Abi`].
macro_rules! nt_for {
    ($(
        $(#[$meta:meta])*
        fn $name:ident($abi:ident $(, $argument:ident: $type:ty)* $(,)?) $(-> $return:ty)? $body:block
    )*) => {
        $(
            $(#[$meta])*
            ///
            /// # Safety
            /// Its arguments are what the public documentation of this function asks for.
            #[unsafe(no_mangle)]
            #[allow(non_snake_case, reason = "the documentation's name")]
            pub(crate) unsafe extern "C" fn $name($($argument: $type),*) $(-> $return)? {
                $crate::ground::caller::enters(stringify!($name));
                let $abi = $crate::ground::abi::Abi::SysV;
                $body
            }
        )*

        /// The Microsoft twins.
        #[allow(non_snake_case, reason = "the documentation's names")]
        mod win64 {
            #[allow(unused_imports, reason = "not every file needs more than integers")]
            use super::*;
            $(
                pub(super) unsafe extern "win64" fn $name($($argument: $type),*) $(-> $return)? {
                    $crate::ground::caller::enters(stringify!($name));
                    let $abi = $crate::ground::abi::Abi::Win64;
                    $body
                }
            )*
        }

        $crate::ground::export::table! { $(fn $name($($type),*) $(-> $return)?;)* }
    };
}
pub(crate) use nt_for;

/// Declares functions of the C library that drivers call.
///
/// As [`nt!`], but the native symbols begin with `hotadd_`. The plain names belong to this system's C library, in
/// which some have other types (32 bits in a `wchar_t`) and other rules (of `snprintf`). The headers translate the
/// names. A `.sys` finds these functions under their plain names, and so does `MmGetSystemRoutineAddress`.
macro_rules! crt {
    ($(
        $(#[$meta:meta])*
        fn $name:ident($($argument:ident: $type:ty),* $(,)?) $(-> $return:ty)? $body:block
    )*) => {
        $(
            $(#[$meta])*
            ///
            /// # Safety
            /// Its arguments are what the public documentation of this function asks for.
            #[unsafe(export_name = concat!("hotadd_", stringify!($name)))]
            pub(crate) unsafe extern "C" fn $name($($argument: $type),*) $(-> $return)? {
                $crate::ground::caller::enters(stringify!($name));
                $body
            }
        )*

        $crate::ground::export::twins! { $(fn $name($($argument: $type),*) $(-> $return)?;)* }
        $crate::ground::export::table! { $(fn $name($($type),*) $(-> $return)?;)* }
    };
}
pub(crate) use crt;

/// The table of variables that drivers import: `EXPORTS`. They are declared by hand, with `#[no_mangle]`. In
/// `name as symbol`, the native symbol is another variable: a [`Pointer`] to this one.
macro_rules! data {
    (@symbol $name:ident) => { $name };
    (@symbol $name:ident $symbol:path) => { $symbol };
    ($($name:ident $(as $symbol:path)?),* $(,)?) => {
        /// The exports of this file.
        pub(crate) static EXPORTS: &[$crate::ground::export::Export] = &[$(
            $crate::ground::export::Export {
                name: stringify!($name),
                what: $crate::ground::export::What::Data {
                    variable: (&raw const $name).cast(),
                    symbol: (&raw const $crate::ground::export::data!(@symbol $name $($symbol)?)).cast(),
                },
                sizes: $crate::ground::export::Sizes {
                    parameters: &[],
                    result: size_of_val(&$crate::ground::export::data!(@symbol $name $($symbol)?)),
                    variadic: false,
                },
            }
        ),*];
    };
}
pub(crate) use data;
