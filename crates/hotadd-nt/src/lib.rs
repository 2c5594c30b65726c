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
//! # What it does not do
//! - There is no hardware behind it: what a driver asks of devices, ports or physical memory is not there.
//! - It contains accidents. Against malice there is the sandbox of its process.
//!
//! Built for x86-64 Linux. On any other target the crate is empty.
#![cfg(all(target_os = "linux", target_arch = "x86_64"))]
#![cfg_attr(not(test), warn(clippy::unwrap_used))]

mod abi;
mod caller;
mod ex;
mod export;
pub mod fault;
mod file;
mod foreign;
#[cfg(fuzzing)]
#[doc(hidden)]
pub mod fuzzing;
mod images;
mod io;
mod ke;
mod left;
mod load;
mod mm;
mod native;
mod ob;
mod object;
pub mod pe;
mod ps;
mod rtl;
pub mod sandbox;
mod seh;
#[cfg(test)]
mod tests;
mod thread;
#[cfg(test)]
mod trial;
mod types;
mod world;

pub use abi::{Abi, Routine};
pub use ex::pool;
pub use fault::Fault;
pub use file::{File, Kind};
pub use images::{Image, Place};
pub use left::Left;
pub use load::{Driver, EntryError, Options, Stays};
pub use pe::{FileError, Import, Inspection, Provision, Section};
pub use world::{Console, World};
