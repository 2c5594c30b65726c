//! Verifies drivers against the contract of processor changes, and reports to their authors what is wrong and where.
//!
//! A driver's code for processor changes runs once in a thousand machines, and never in its author's tests. This crate runs it in
//! many scenarios: with sets of processors that no test machine has, with calls that fail, with refusals, failed starts and
//! unloads at bad moments. Each scenario runs in a process of its own, with simulated processors.

#![cfg_attr(not(test), warn(clippy::unwrap_used))]

pub mod check;
mod message;
pub mod report;
mod scenario;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
pub mod stage;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod verifier;

pub use scenario::{Depth, NoSuchScenario};
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
pub use verifier::{Options, Progress, VerifyError, verify};
pub mod symbols;
