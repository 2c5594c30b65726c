//! Windows drivers that hear of processors, on Linux.
//!
//! A driver calls `KeRegisterProcessorChangeCallback`, and from then on is asked before a processor joins and told what became
//! of it. Here it is loaded, from a `.sys` as Windows would load it or from a native `.so` that was built from the same
//! source, finds the functions that the documentation names, and hears of the processors of a [`hotadd::Partition`].
//!
//! # Principles
//! - The rules of adding are not here: a driver's callback is a [`hotadd::Driver`] like any other.
//! - Every function that a driver can call is declared once, by the `nt!` macro, and provided in both calling conventions:
//!   Microsoft's for a `.sys`, System V's under its plain C name for a `.so`.
//! - A driver that goes wrong is named with its address as `module+0xoffset`, and ends its process. What shares that
//!   process shares that fate, so each driver gets one of its own (`hotadd run --driver FILE`).
//!
//! # Layers
//! A layer names the layers below it and no other. What it needs from above is handed to it.
//! 1. `ground`: memory, threads, calling conventions, a driver's pointers, the world.
//! 2. `loaders`: a `.sys` or `.so` becomes an image. `faults`: what a driver does wrong is found and reported.
//! 3. `kernel`: the functions that a driver can call.
//! 4. `host`: a driver from its file to its end, and the sandbox of its process.
//!
//! # What it does not do
//! - There is no hardware behind it: what a driver asks of devices, ports or physical memory is not there.
//! - It contains accidents. Against malice there is the sandbox of its process.
//!
//! Built for x86-64 Linux. On any other target the crate is empty.
#![cfg(all(target_os = "linux", target_arch = "x86_64"))]
#![cfg_attr(not(test), warn(clippy::unwrap_used))]

mod faults;
#[cfg(fuzzing)]
#[doc(hidden)]
pub mod fuzzing;
mod ground;
mod host;
mod kernel;
mod loaders;
#[cfg(test)]
mod tests;

/// What drivers do wrong, and how that is found out.
pub mod fault {
    pub use crate::faults::{install, watch};
    pub use crate::ground::fault::Fault;
}

pub use fault::Fault;
pub use ground::abi::Abi;
pub use ground::images::{Image, Place};
pub use ground::routine::Routine;
pub use ground::world::{Console, World};
pub use host::load::{Driver, EntryError, Options, Stays};
pub use host::unload_report::UnloadReport;
pub use host::{pe, sandbox};
pub use kernel::ex::pool;
pub use loaders::file::{File, Kind};
pub use loaders::pe::{FileError, Import, Inspection, Provision, Section};
