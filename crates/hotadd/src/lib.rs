//! No processor joins a running program before the program is ready for it.
//!
//! A [`Partition`] is the set of processors that a program may run on. It can grow and shrink while the program runs. Before
//! a processor joins, every registered [`Driver`] is asked to prepare for it, and each driver may refuse. The processor is
//! started only if all agree, and then all are told. A driver that registers late is told of every processor that is already
//! active. So each driver is told of every processor exactly once.
//!
//! # Principles
//! - The rules are in [`hotadd_core`], as a state machine without locks or I/O. This crate runs it on real threads and
//!   real processors.
//! - Queries never wait: the active set is an immutable snapshot, and its count is one atomic load.
//! - What hotadd cannot promise is documented, in `docs/limits.md` of the repository.
//!
//! # What it does not do
//! - It schedules nothing and does not pin the program's threads. Only [`Workers`] are pinned.
//! - It cannot prevent a privileged process from starting a processor in another way. It reports what it detects.
//!
//! Clauses in parentheses (A3, Q1) refer to the contract, `docs/contract.md` in the repository.

// On other systems the build ends in the error of hotadd-page, which says what works there.
#![cfg(target_os = "linux")]
#![forbid(unsafe_code)]
#![cfg_attr(not(any(test, hotadd_loom)), warn(clippy::unwrap_used))]

mod adder;
mod adding;
mod backend;
#[cfg(not(hotadd_loom))]
mod cgroups;
mod cpulist;
mod current;
mod error;
mod event;
mod follow;
#[cfg(fuzzing)]
#[doc(hidden)]
pub mod fuzzing;
mod gate;
pub mod hardware;
mod inner;
mod looks;
mod member;
mod missing;
mod observation;
mod observers;
mod outcome;
#[cfg(not(hotadd_loom))]
pub mod ownership;
#[cfg(not(hotadd_loom))]
mod pages;
#[cfg(not(hotadd_loom))]
mod parallelism;
mod partition;
#[cfg(not(hotadd_loom))]
mod per_processor;
mod published;
#[cfg(not(hotadd_loom))]
mod published_page;
#[cfg(all(feature = "rayon", not(hotadd_loom)))]
pub mod rayon;
mod registration;
mod registration_builder;
#[cfg(all(feature = "dbus", not(hotadd_loom)))]
mod remote;
mod required;
#[cfg(all(any(feature = "rayon", feature = "tokio"), not(hotadd_loom)))]
mod resize;
mod runner;
mod sample;
mod sync;
mod telling;
pub mod text;
#[cfg(not(hotadd_loom))]
mod thread_name;
#[cfg(all(feature = "tokio", not(hotadd_loom)))]
pub mod tokio;
mod topology;
mod unheard;
#[cfg(not(hotadd_loom))]
mod workers;

pub use adder::Adder;
pub use cpulist::{CpuList, CpuListError};
pub use error::{Action, Error};
pub use event::{Event, EventKind, Occasion};
pub use follow::Follow;
pub use hotadd_core::{
    ActiveSet, Driver, Epoch, Errno, GROUP_SIZE, HardwareId, Level, MAX_GROUPS, MAX_PROCESSORS,
    Notice, PartyId, PlatformError, Processor, ProcessorIndex, ProcessorNumber, Removal, Standing,
    State, Status, Veto,
};
#[cfg(not(hotadd_loom))]
pub use hotadd_page::{PageError, SetPage, Snapshot};
#[cfg(not(hotadd_loom))]
pub use hotadd_percpu::ValueGuard;
pub use member::PartyInfo;
pub use missing::Missing;
pub use observation::Observation;
pub use outcome::{Answer, Batch, Change, Rehearsal};
#[cfg(not(hotadd_loom))]
pub use parallelism::{LimitKind, Limits, Parallelism, Quota};
pub use partition::Partition;
#[cfg(not(hotadd_loom))]
pub use per_processor::{Counter, PerProcessor, PerProcessorBuilder};
pub use published::ActiveSetGuard;
#[cfg(not(hotadd_loom))]
pub use published_page::PublishedPage;
pub use registration::Registration;
pub use registration_builder::RegistrationBuilder;
pub use required::{Attempt, RequiredParty};
pub use sample::Sample;
pub use topology::{L3, Shape, ShapeError, Topology};
#[cfg(not(hotadd_loom))]
pub use workers::{Rejected, Rejection, Workers, WorkersBuilder, WorkersReport, WouldDeadlock};

/// The examples of the README, run as tests.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct Readme;

/// The example of this crate's README, run as a test.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct CrateReadme;
