//! Parties in other processes: what they are, how they are asked, and how it is known what became of them.

#![forbid(unsafe_code)]
#![cfg_attr(not(test), warn(clippy::unwrap_used))]

pub mod children;
pub mod script;
