//! No processor joins a running program before the program is ready for it.
mod cpulist;
pub mod hardware;

pub use cpulist::{CpuList, CpuListError};
pub use hotadd_core::*;
