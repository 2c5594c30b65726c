//! What stands for the system's own objects: their types, and its process. Drivers pass these on, and never look inside.

#![allow(non_upper_case_globals, reason = "the documentation's names")]

use crate::ground::export::nt;
use crate::ground::objects::{Header, Kind};

/// Something that has an address and nothing else.
#[repr(C, align(64))]
pub(crate) struct Opaque([u8; 64]);

/// A variable that holds an address.
#[repr(transparent)]
pub(crate) struct Pointer<T>(*const T);

// SAFETY: an address, which is the same on every thread.
unsafe impl<T> Sync for Pointer<T> {}

impl<T> Pointer<T> {
    /// The address in it.
    pub(crate) fn address(&self) -> usize {
        self.0 as usize
    }
}

/// The one process.
#[unsafe(no_mangle)]
pub(crate) static PsInitialSystemProcess: Pointer<Header> = {
    // A wait for it never ends.
    static PROCESS: Header = Header::new(Kind::Process, 0);
    Pointer(&raw const PROCESS)
};

/// Declares types. A driver has `extern POBJECT_TYPE *PsThreadType` and looks at `*PsThreadType`. In a `.sys` that is the import
/// slot, which holds the variable's address, as for any variable. Natively it is a symbol, which has to hold that address too.
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

            crate::ground::export::data!($($name),*);
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

/// What is no type.
pub(super) mod process {
    use super::PsInitialSystemProcess;

    crate::ground::export::data!(PsInitialSystemProcess);
}

nt! {
    /// The one process.
    fn IoGetCurrentProcess() -> usize { PsInitialSystemProcess.address() }

    /// Nobody but the system calls a driver: `KernelMode`.
    fn ExGetPreviousMode() -> i8 { 0 }
}
