//! The `nt!` macro and its relatives, which declare what a driver can call.

/// The [`Sizes`](crate::ground::export::Sizes) of a function that is not variadic, by its types.
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
                sizes: $crate::ground::declare::sizes!($($type),* $(; $return)?),
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

        $crate::ground::declare::twins! { $(fn $name($($argument: $type),*) $(-> $return)?;)* }
        $crate::ground::declare::table! { $(fn $name($($type),*) $(-> $return)?;)* }
    };
}
pub(crate) use nt;

/// Declares functions whose result depends on the caller's convention. As [`nt!`], but in the bodies the first name
/// is the [`Abi`](crate::ground::abi::Abi).
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

        $crate::ground::declare::table! { $(fn $name($($type),*) $(-> $return)?;)* }
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

        $crate::ground::declare::twins! { $(fn $name($($argument: $type),*) $(-> $return)?;)* }
        $crate::ground::declare::table! { $(fn $name($($type),*) $(-> $return)?;)* }
    };
}
pub(crate) use crt;

/// The table of variables that drivers import: `EXPORTS`. They are declared by hand, with `#[no_mangle]`. In
/// `name as symbol`, the native symbol is another variable: a [`Pointer`](crate::ground::export::Pointer) to this one.
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
                    symbol: (&raw const $crate::ground::declare::data!(@symbol $name $($symbol)?)).cast(),
                },
                sizes: $crate::ground::export::Sizes {
                    parameters: &[],
                    result: size_of_val(&$crate::ground::declare::data!(@symbol $name $($symbol)?)),
                    variadic: false,
                },
            }
        ),*];
    };
}
pub(crate) use data;
