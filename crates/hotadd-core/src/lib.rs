//! The rules for adding a processor to a running system: every driver agrees first, or nothing happens.
//!
//! This crate is the contract and nothing else. It has no locks, no I/O, no threads and no clock; it does not know
//! Linux, D-Bus or Windows. The [`hotadd`](https://docs.rs/hotadd) crate runs it over real processors, and is what
//! programs use.
//!
//! # Principles
//! - **A transaction is a value.** [`Transaction`] says what is to be done next and takes the answer. The rules
//!   exist once, whoever runs them.
//! - **The type says who may veto.** [`Driver::add_start`] returns a `Result`, `add_complete` and `add_failure` do not.
//! - **A status is not an errno.** [`Status`] and [`Errno`] are different types with explicit conversions.
//! - **What is read was once true.** An [`ActiveSet`] is an immutable value with an [`Epoch`].
//!
//! # What it does not do
//! - It does not serialise: whoever runs transactions runs one at a time (A7).
//! - It does not remember drivers: [`Registry`] keeps the order of whatever [`Party`] the runner has.
//! - It does not measure, wait or time out: those are answers that the runner gives.
//!
//! Clauses in parentheses (A3, Q1) are those of the contract, in `docs/contract.md` of the repository.
#![cfg_attr(not(feature = "std"), no_std)]
#![forbid(unsafe_code)]
#![cfg_attr(not(test), warn(clippy::unwrap_used))]

extern crate alloc;

pub mod agent;
mod driver;
mod errno;
mod notice;
mod processor;
mod registry;
mod set;
mod status;
mod transaction;

pub use agent::Agent;
pub use driver::{Driver, Removal, Veto};
pub use errno::Errno;
pub use notice::{Notice, State};
pub use processor::{
    GROUP_SIZE, HardwareId, MAX_GROUPS, MAX_PROCESSORS, Processor, ProcessorIndex, ProcessorNumber,
};
pub use registry::{Level, Party, PartyId, Registry};
pub use set::{ActiveSet, Epoch, NotAddable, Standing};
pub use status::Status;
pub use transaction::{NotRemovable, PlatformError, Refusal, Step, Together, Transaction};
