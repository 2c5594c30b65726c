//! What a driver can call: the `nt!` macro and its relatives, which declare it.

use std::ffi::c_void;

use crate::ground::abi::Abi;

/// One thing that a driver can import.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Export {
    pub(crate) name: &'static str,
    pub(crate) what: What,
}

/// The kind of an export.
#[derive(Clone, Copy, Debug)]
pub(crate) enum What {
    /// A function, in both conventions.
    Function { win64: *const c_void, sysv: *const c_void },
    /// A variable. Importers receive its address.
    Data(*const c_void),
}

// SAFETY: these are addresses of functions and statics, which are the same on every thread.
unsafe impl Sync for Export {}

impl Export {
    /// The content of an import slot.
    pub(crate) const fn address(&self, abi: Abi) -> *const c_void {
        match (self.what, abi) {
            (What::Function { win64, .. }, Abi::Win64) => win64,
            (What::Function { sysv, .. }, Abi::SysV) => sysv,
            (What::Data(address), _) => address,
        }
    }
}

/// The table of the functions that a file declares and that have twins.
macro_rules! table {
    ($($name:ident)*) => {
        /// The exports of this file.
        pub(crate) static EXPORTS: &[$crate::ground::export::Export] = &[$(
            $crate::ground::export::Export {
                name: stringify!($name),
                what: $crate::ground::export::What::Function {
                    win64: win64::$name as *const std::ffi::c_void,
                    sysv: $name as *const std::ffi::c_void,
                },
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
        $crate::ground::export::table! { $($name)* }
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

        $crate::ground::export::table! { $($name)* }
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
        $crate::ground::export::table! { $($name)* }
    };
}
pub(crate) use crt;

/// The table of variables that drivers import: `EXPORTS`. They are declared by hand, with `#[no_mangle]`.
macro_rules! data {
    ($($name:ident),* $(,)?) => {
        /// The exports of this file.
        pub(crate) static EXPORTS: &[$crate::ground::export::Export] = &[$(
            $crate::ground::export::Export {
                name: stringify!($name),
                what: $crate::ground::export::What::Data((&raw const $name).cast()),
            }
        ),*];
    };
}
pub(crate) use data;
