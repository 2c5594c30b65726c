//! The rules for adding a processor to a running system: every driver agrees first, or nothing happens.
//!
//! This crate contains only the contract. It has no locks, no I/O, no threads and no clock, and does not depend on
//! Linux, D-Bus or Windows. Programs use the [`hotadd`](https://docs.rs/hotadd) crate, which runs it on real processors.
//!
//! # Principles
//! - **A transaction is a value.** [`Transaction`] says what to do next and takes the result. So there is only one
//!   implementation of the rules, whatever runs them.
//! - **The type says who may veto.** [`Driver::add_start`] returns a `Result`, `add_complete` and `add_failure` do not.
//! - **A status is not an errno.** [`Status`] and [`Errno`] are different types with explicit conversions.
//! - **A set that was read was in force at one moment.** An [`ActiveSet`] is an immutable value with an [`Epoch`].
//!
//! # What it does not do
//! - It does not serialize: its caller, the runner, must run one transaction at a time (A7).
//! - It does not store drivers: [`Registry`] keeps the order of the runner's [`Party`] values.
//! - It does not measure, wait or time out: the runner does, and reports the results.
//!
//! Clauses in parentheses (A3, Q1) refer to the contract, `docs/contract.md` in the repository.
#![cfg_attr(not(feature = "std"), no_std)]
#![forbid(unsafe_code)]
#![cfg_attr(not(test), warn(clippy::unwrap_used))]

extern crate alloc;

pub mod agent;
mod driver;
mod errno;
mod failure;
mod notice;
mod processor;
mod registry;
mod set;
mod status;
mod transaction;

pub use agent::Agent;
pub use driver::{Driver, Removal, Veto};
pub use errno::Errno;
pub use failure::{NotRemovable, PlatformError, Refusal};
pub use notice::{Notice, State};
pub use processor::{
    GROUP_SIZE, HardwareId, MAX_GROUPS, MAX_PROCESSORS, Processor, ProcessorIndex, ProcessorNumber,
};
pub use registry::{Level, Party, PartyId, Registry};
pub use set::{ActiveSet, Epoch, NotAddable, Standing};
pub use status::Status;
pub use transaction::{Step, Together, Transaction};

/// The example of this crate's README, run as a test.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct CrateReadme;
