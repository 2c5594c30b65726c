//! The system's own objects: their types, and its process. Drivers pass them on and never read their content.

#![expect(non_upper_case_globals, reason = "the documentation's names")]

use crate::ground::export::nt;
use crate::ground::objects::{Header, Kind};

/// An object that has only an address.
#[repr(C, align(64))]
pub(crate) struct Opaque([u8; 64]);

/// A variable that contains an address.
#[repr(transparent)]
pub(crate) struct Pointer<T>(*const T);

// SAFETY: it is an address, which is the same on every thread.
unsafe impl<T> Sync for Pointer<T> {}

impl<T> Pointer<T> {
    /// The address that it contains.
    pub(crate) fn address(&self) -> usize {
        self.0 as usize
    }
}

/// The only process.
#[unsafe(no_mangle)]
pub(crate) static PsInitialSystemProcess: Pointer<Header> = {
    // A wait for it never ends.
    static PROCESS: Header = Header::new(Kind::Process, 0);
    Pointer(&raw const PROCESS)
};

/// Declares types. A driver declares `extern POBJECT_TYPE *PsThreadType` and reads `*PsThreadType`. In a `.sys`,
/// `PsThreadType` is the import slot, which contains the variable's address, as for any variable. In a native driver
/// it is a symbol, which must contain that address too.
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

/// A variable that is not a type.
pub(super) mod process {
    use super::PsInitialSystemProcess;

    crate::ground::export::data!(PsInitialSystemProcess);
}

nt! {
    /// The only process.
    fn IoGetCurrentProcess() -> usize { PsInitialSystemProcess.address() }

    /// Only the system calls a driver: `KernelMode`.
    fn ExGetPreviousMode() -> i8 { 0 }
}
