//! Runs Windows drivers on Linux and notifies them of processor changes.
//!
//! A driver calls `KeRegisterProcessorChangeCallback`. From then on it is asked before a processor joins, and it is
//! told the result. This crate loads the driver from a `.sys` file, as Windows loads it, or from a native `.so` that
//! is built from the same source. It provides the documented kernel functions and notifies the driver of the
//! processors of a [`hotadd::Partition`].
//!
//! # Principles
//! - This crate does not contain the rules of adding: a driver's callback is a [`hotadd::Driver`] like any other.
//! - Every function that a driver can call is declared once, by the `nt!` macro, and provided in both calling conventions:
//!   Microsoft's for a `.sys`, System V's under its plain C name for a `.so`.
//! - A fault of a driver is reported with its address as `module+0xoffset`, and ends the process. This also ends
//!   every other driver in that process, so each driver gets its own process (`hotadd run --driver FILE`).
//!
//! # Layers
//! A layer uses only the layers below it. What it needs from a layer above is passed to it as an argument.
//! 1. `ground`: memory, threads, calling conventions, a driver's pointers, the world.
//! 2. `loaders`: load a `.sys` or `.so` as an image. `faults`: detect and report a driver's faults.
//! 3. `kernel`: the functions that a driver can call.
//! 4. `host`: runs a driver from loading its file to unloading it, and the sandbox of its process.
//!
//! # What it does not do
//! - It emulates no hardware: devices, ports and physical memory do not exist.
//! - It contains accidental faults. Against malicious drivers there is the sandbox of their process.
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
pub mod kit;
mod loaders;
#[cfg(test)]
mod tests;

/// What drivers do wrong, and how it is detected.
pub mod fault {
    pub use crate::faults::{install, watch};
    pub use crate::ground::fault::Fault;
}

/// What a verifier sees of a driver's calls, and what it changes.
pub mod probe {
    pub use crate::ground::images::beyond as beyond_image;
    pub use crate::ground::probe::{Notification, Probe, call_stack, calling, install};
    pub use crate::host::unload_report::{outstanding, settle, use_devices};
    pub use crate::kernel::ke::irql_limits::{current_irql, highest_irql};
}

pub use fault::Fault;
pub use ground::abi::Abi;
pub use ground::frameworks::Framework;
pub use ground::groups::set_size as set_group_size;
pub use ground::images::{Image, Place};
pub use ground::routine::Routine;
pub use ground::rule::{Breach, Rule};
pub use ground::world::{Console, World};
pub use host::load::{CannotUnload, Driver, EntryError, Options};
pub use host::unload_report::UnloadReport;
pub use host::{pe, sandbox};
pub use kernel::ex::pool;
pub use loaders::file::{File, Kind};
pub use loaders::pe::{FileError, Import, Inspection, Provision, Section};

/// The example of this crate's README, run as a test.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct CrateReadme;
