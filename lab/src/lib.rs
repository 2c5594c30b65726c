//! Guests whose processors are hot-added and removed: real Linux kernels in QEMU, for tests.
//!
//! ```no_run
//! use lab::{Kernel, Lab};
//!
//! let guest = Lab::new(Kernel::V6_12)?.cpus(1, 4).boot()?;
//! let cpu = guest.add_cpu(1)?; // is present and offline, until somebody writes:
//! guest.write(&format!("/sys/devices/system/cpu/cpu{cpu}/online"), "1")?;
//! assert_eq!(guest.run(&["nproc"])?.stdout, b"2\n");
//! # Ok::<(), lab::Error>(())
//! ```
//!
//! Neither root nor KVM is needed, and nothing is installed: what the machine lacks is fetched into a cache. Every request to a
//! guest has a time limit. A guest ends with its [`Guest`], or with this process, however this process ends.

mod agent;
mod apt;
mod binaries;
mod boot;
mod cache;
mod clock;
mod console;
mod cpus;
mod debian;
mod error;
mod guest;
mod initramfs;
mod kernel;
mod process;
mod qemu;
mod qmp;
mod saved;
mod shared;
mod within;

#[doc(hidden)]
pub mod uevents;
#[doc(hidden)]
pub mod wire;

pub use binaries::binary;
pub use boot::Lab;
pub use error::Error;
pub use guest::Guest;
pub use kernel::Kernel;
pub use wire::Uevent;

/// Checks that the examples in the documentation compile.
#[cfg(doctest)]
#[doc = include_str!("../../docs/lab.md")]
pub struct Documentation;
