//! Windows drivers in Rust that are notified of processors.
//!
//! One `impl Driver` and one line, [`windows_driver!`], make a complete driver. Built for Windows it is a `.sys` that
//! registers with the real system. Built for Linux it is a `.so`. `hotadd run --driver FILE` runs either on the
//! processors of this machine or on simulated ones. The same `impl Driver` also registers with a `hotadd::Partition`,
//! so it can be tested without any of these.
//!
//! ```
//! # extern crate alloc;
//! use alloc::vec::Vec;
//! use hotadd_driver::{Driver, Notice, Veto};
//!
//! /// A block of memory for each processor.
//! #[derive(Default)]
//! struct PerCpu(Vec<Vec<u8>>);
//!
//! impl Driver for PerCpu {
//!     fn add_start(&mut self, notice: &Notice) -> Result<(), Veto> {
//!         let index = notice.processor().index.as_usize();
//!         let mut block = Vec::new();
//!         block.try_reserve_exact(4096)?; // no memory, no processor
//!         if self.0.len() <= index {
//!             self.0.try_reserve(index + 1 - self.0.len())?;
//!             self.0.resize_with(index + 1, Vec::new);
//!         }
//!         self.0[index] = block;
//!         Ok(())
//!     }
//!
//!     fn add_failure(&mut self, notice: &Notice) {
//!         self.0[notice.processor().index.as_usize()] = Vec::new();
//!     }
//! }
//!
//! # // A test program has its own memory and its own way to panic.
//! # macro_rules! windows_driver { ($make:expr) => { const _: fn() -> Result<PerCpu, hotadd_driver::Status> = $make; } }
//! windows_driver!(|| Ok(PerCpu::default()));
//! # fn main() {}
//! ```
//!
//! # Memory
//! A driver that cannot allocate memory refuses a processor. A driver that uses infallible allocation (`Box::new`,
//! `Vec::push`) stops the system, because Rust's library then panics. A [`Veto`] itself takes some 40 bytes.
//!
//! # What Windows does not say
//! The context of a callback has no field that distinguishes a replay from a live add: [`Notice::is_replay`] is
//! always false here. It has no hardware id either: the index is used instead.
//!
//! # What is tested
//! Drivers made with this crate run as `.so` and as `.sys` in hotadd's own host. They have not been tried on Windows
//! itself.
#![no_std]
#![cfg_attr(not(test), warn(clippy::unwrap_used))]

extern crate alloc;

mod entry;
mod memory;
mod print;

pub use hotadd_core::{
    Driver, HardwareId, Notice, Processor, ProcessorIndex, ProcessorNumber, Removal, State, Status,
    Veto,
};

/// The parts that [`windows_driver!`] expands to. Not for direct use.
#[doc(hidden)]
pub mod expanded {
    pub use crate::entry::{Slot, enter, unload};
    pub use crate::memory::Pool;
    pub use crate::print::{Line, bug_check};
    pub use core;
    pub use windows_sys::Wdk::Foundation::DRIVER_OBJECT;
    pub use windows_sys::Win32::Foundation::UNICODE_STRING;
}

/// Makes this crate a driver: defines `DriverEntry`, which registers for all present and future processors, and the
/// unload function.
///
/// Takes a function or closure that makes the driver, `fn() -> Result<impl Driver, Status>`. `DriverEntry` returns
/// its error (STATUS_UNSUCCESSFUL, if the status is a success), and the driver is then not loaded (L1). If the driver
/// refuses one of the active processors, `DriverEntry` returns that status (R4).
///
/// Memory comes from the nonpaged pool, with the tag `Rust` or the tag that is given as a second argument
/// (`windows_driver!(make, *b"PcpU")`). A panic prints its message and then causes a bug check.
///
/// The crate is a `cdylib`, `no_std` and built with `panic = "abort"`.
#[macro_export]
macro_rules! windows_driver {
    ($make:expr) => {
        $crate::windows_driver!($make, *b"Rust");
    };
    ($make:expr, $tag:expr) => {
        static HOTADD_DRIVER: $crate::expanded::Slot = $crate::expanded::Slot::new();

        #[cfg(not(test))]
        #[global_allocator]
        static HOTADD_POOL: $crate::expanded::Pool = $crate::expanded::Pool::new($tag);

        #[cfg(not(test))]
        #[panic_handler]
        fn hotadd_panic(info: &$crate::expanded::core::panic::PanicInfo<'_>) -> ! {
            $crate::expanded::bug_check(info)
        }

        /// The system's entry point of this driver.
        ///
        /// # Safety
        /// Only the system may call this.
        #[unsafe(no_mangle)]
        pub unsafe extern "system" fn DriverEntry(
            object: *mut $crate::expanded::DRIVER_OBJECT,
            _: *const $crate::expanded::UNICODE_STRING,
        ) -> i32 {
            unsafe extern "system" fn unload(_: *const $crate::expanded::DRIVER_OBJECT) {
                $crate::expanded::unload(&HOTADD_DRIVER);
            }
            match $crate::expanded::enter(&HOTADD_DRIVER, $make) {
                Ok(()) => {
                    // SAFETY: it is the system's own object, and nothing else writes to it while this runs.
                    unsafe { (*object).DriverUnload = Some(unload) };
                    0
                }
                Err(status) => status.to_raw().cast_signed(),
            }
        }
    };
}

/// Prints to the debugger, or to the log of the driver's host. A newline is added. Of a longer text only the first
/// 500 bytes are printed.
///
/// May be used wherever `DbgPrint` may be called.
#[macro_export]
macro_rules! println {
    ($($argument:tt)*) => {
        $crate::expanded::Line::print($crate::expanded::core::format_args!($($argument)*))
    };
}

/// The example of this crate's README, run as a test.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct CrateReadme;
