//! The system's own objects: their types, and its process. Drivers pass them on and never read their content.

#![expect(non_upper_case_globals, reason = "the documentation's names")]

use crate::ground::declare::nt;
use crate::ground::export::Pointer;
use crate::ground::objects::{Header, Kind};

/// An object that has only an address.
#[repr(C, align(64))]
pub(crate) struct Opaque([u8; 64]);

/// The only process.
#[unsafe(no_mangle)]
pub(crate) static PsInitialSystemProcess: Pointer<Header> = {
    // A wait for it never ends.
    static PROCESS: Header = Header::new(Kind::Process, 0);
    Pointer(&raw const PROCESS)
};

/// Declares types: the variables, and the native symbols that contain their addresses.
macro_rules! types {
    ($($(#[$meta:meta])* $name:ident),* $(,)?) => {
        $(
            $(#[$meta])*
            #[unsafe(no_mangle)]
            pub(crate) static $name: Pointer<Pointer<Opaque>> = Pointer(&raw const variables::$name);
        )*

        /// The variables.
        pub(crate) mod variables {
            use super::{Opaque, Pointer};

            $(
                pub(crate) static $name: Pointer<Opaque> = {
                    static TYPE: Opaque = Opaque([0; _]);
                    Pointer(&raw const TYPE)
                };
            )*

            crate::ground::declare::data!($($name as super::$name),*);
        }
    };
}

types! {
    /// The type of processes.
    PsProcessType,
    /// The type of threads.
    PsThreadType,
    /// The type of events.
    ExEventObjectType,
    /// The type of semaphores.
    ExSemaphoreObjectType,
    /// The type of files.
    IoFileObjectType,
    /// The type of drivers.
    IoDriverObjectType,
    /// The type of devices.
    IoDeviceObjectType,
}

/// A variable that is not a type.
pub(super) mod process {
    use super::PsInitialSystemProcess;

    crate::ground::declare::data!(PsInitialSystemProcess);
}

nt! {
    /// The only process.
    fn IoGetCurrentProcess() -> usize { PsInitialSystemProcess.address() }

    /// Only the system calls a driver: `KernelMode`.
    fn ExGetPreviousMode() -> i8 { 0 }
}
