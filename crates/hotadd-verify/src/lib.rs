//! Verifies drivers against the contract of processor changes, and reports to their authors what is wrong and where.
//!
//! A driver's code for processor changes runs once in a thousand machines, and never in its author's tests. This crate runs it in
//! many scenarios: with sets of processors that no test machine has, with calls that fail, with refusals, failed starts and
//! unloads at bad moments, with simulated processors.
//!
//! | what is verified | how |
//! |---|---|
//! | a driver's file, `.sys` or `.so` | `verify`; each scenario runs in a process of its own |
//! | a Rust [`Driver`](hotadd::Driver), in a test of its crate | [`driver::verify_driver`] |
//! | anything else that registers with a partition, such as scripts | [`party::verify_party`] |

#![cfg_attr(not(test), warn(clippy::unwrap_used))]

pub mod check;
pub mod driver;
mod findings;
mod message;
pub mod party;
mod progress;
mod random;
pub mod report;
mod scenario;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
pub mod stage;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod verifier;

pub use progress::Progress;
pub use scenario::{Depth, NoSuchScenario};
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
pub use verifier::{Options, VerifyError, verify};
pub mod symbols;

/// The example of this crate's README, run as a test.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct CrateReadme;
