//! Windows drivers in Rust that hear of processors.
//!
//! One `impl Driver` and one line, [`windows_driver!`], are a whole driver. Built for Windows it is a `.sys` that registers with
//! the real system; built for Linux it is a `.so`, and `hotadd run --driver FILE` runs either on the processors of this
//! machine or on simulated ones. The same `impl Driver` also registers with a `hotadd::Partition`, which is how it is tested
//! without any of this.
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
//! A driver that cannot have memory refuses a processor; one that insists (`Box::new`, `Vec::push`) stops the system, as
//! Rust's library panics then. A [`Veto`] itself takes some 40 bytes.
//!
//! # What Windows does not say
//! The context of a callback has no field that tells a replay from a live add: [`Notice::is_replay`] is always false here. Nor does it
//! have the hardware id: it is the index.
//!
//! # What is tested
//! Drivers made with it run as `.so` and as `.sys` in hotadd's own host. On Windows itself they have not been tried.
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

/// What [`windows_driver!`] expands to. Not for use by hand.
#[doc(hidden)]
pub mod expanded {
    pub use crate::entry::{Slot, enter, unload};
    pub use crate::memory::Pool;
    pub use crate::print::{Line, bug_check};
    pub use core;
    pub use windows_sys::Wdk::Foundation::DRIVER_OBJECT;
    pub use windows_sys::Win32::Foundation::UNICODE_STRING;
}

/// Makes this crate a driver: `DriverEntry`, which registers for every processor there is and will be, and the way to unload
/// it.
///
/// Takes a function or closure that makes the driver, `fn() -> Result<impl Driver, Status>`. An error is what `DriverEntry`
/// returns (STATUS_UNSUCCESSFUL, if it is the status of a success): the driver is then not loaded (L1). If one of the active processors is refused, it returns that status (R4).
///
/// Memory comes from the nonpaged pool, under the tag `Rust` or the one that is given as a second argument
/// (`windows_driver!(make, *b"PcpU")`). A panic is a bug check, after its message has been printed.
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

        /// Where the system begins with this driver.
        ///
        /// # Safety
        /// For the system alone to call.
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
                    // SAFETY: the system's own object, which nobody else writes to while this runs.
                    unsafe { (*object).DriverUnload = Some(unload) };
                    0
                }
                Err(status) => status.to_raw().cast_signed(),
            }
        }
    };
}

/// Prints to the debugger, or to the log of whatever hosts the driver. A line end is added. Of a longer text the first 500
/// bytes are printed.
///
/// May be used wherever `DbgPrint` may be called.
#[macro_export]
macro_rules! println {
    ($($argument:tt)*) => {
        $crate::expanded::Line::print($crate::expanded::core::format_args!($($argument)*))
    };
}
