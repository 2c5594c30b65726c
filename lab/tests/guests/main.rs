//! Tests in guests, in one program: it is linked once, and all processors have work until the last test.

mod booting;
mod common;
mod conformance;
mod cpus;
mod cpuset;
mod daemon;
mod data;
mod debian;
mod failing;
mod groups;
mod holding;
mod holding_run;
mod holding_soak;
mod hotadd;
mod installed;
mod killed;
#[cfg(feature = "long")]
mod long;
#[cfg(feature = "long")]
mod long_daemon;
mod looks;
mod missing;
mod others;
mod overflow;
mod packaged;
mod parties;
mod removing;
mod service;
mod soak;
mod tutorial;
