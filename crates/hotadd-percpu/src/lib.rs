//! A value for each CPU, which a thread reads in a nanosecond and which is freed when its CPU has left.
//!
//! This is the `unsafe` part of `hotadd::PerProcessor` and `hotadd::Counter`, which most programs should use: they fill the table before
//! a processor joins and empty it after the processor has left. This crate knows nothing of partitions. Its caller says for which CPUs
//! there are values.
//!
//! - [`Table`] has a value for each CPU. [`Table::local`] gives the value of the CPU that the thread is on.
//! - [`Counters`] has a counter for each CPU.
//! - [`cpu`] tells which CPU the thread is on.
//!
//! # How a value is freed while others are read
//! A reader counts in memory of its own thread that it begins and that it ends. Both are plain stores. The thread that frees a value
//! first removes it from the table. Then it has the kernel run a memory barrier on every CPU that runs a thread of this process
//! (`membarrier`), and looks at the counts. Every thread that had begun before the barrier is seen. Every thread that begins after it
//! finds the table without the value. So a reader needs no barrier of its own. The file `domain.rs` has the whole argument.
//!
//! # What it does not do
//! - It does not stop a thread from moving to another CPU while it uses a value. A value is shared (`T: Sync`); it is only rarely shared
//!   at the same moment.
//! - It is not for signal handlers: the first use in a thread takes a lock, and so does the end of a use for which a value waits.

#![cfg_attr(not(any(test, hotadd_loom)), warn(clippy::unwrap_used))]

#[cfg(not(target_os = "linux"))]
compile_error!(
    "hotadd-percpu needs Linux: membarrier, rseq and /sys. No crate replaces it on other systems."
);

#[cfg(target_os = "linux")]
mod barrier;
#[cfg(target_os = "linux")]
mod counters;
#[cfg(target_os = "linux")]
pub mod cpu;
#[cfg(target_os = "linux")]
mod domain;
#[cfg(target_os = "linux")]
mod memory;
#[cfg(target_os = "linux")]
mod numa;
#[cfg(target_os = "linux")]
mod retired;
#[cfg(target_os = "linux")]
mod rseq;
#[cfg(target_os = "linux")]
mod sync;
#[cfg(target_os = "linux")]
mod table;
#[cfg(target_os = "linux")]
mod thread;

#[cfg(target_os = "linux")]
pub use counters::Counters;
#[cfg(target_os = "linux")]
pub use table::{Owner, PublishError, Table, ValueGuard};

/// The example of this crate's README, run as a test.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct CrateReadme;
