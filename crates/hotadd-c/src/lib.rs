//! The C library `libhotadd`. `include/hotadd.h` and `include/hotadd_ke.h` are its documentation.
//!
//! A pointer to an opaque structure is a handle, and not an address (`handles.rs`). So wrong arguments are errors. The exceptions
//! are pages and tables, whose readers must not pay for a look-up.
#![cfg(target_os = "linux")]
#![cfg_attr(not(test), warn(clippy::unwrap_used))]

mod callee;
mod cause;
mod change;
mod dispatch;
mod failure;
mod forked;
mod handles;
mod ke;
mod member;
mod notice;
mod page;
mod parallelism;
mod partition;
mod per_processor;
mod program;
mod queue;
mod registration;
