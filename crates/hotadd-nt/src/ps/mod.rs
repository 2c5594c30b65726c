//! Threads (`Ps...`).

mod base;
mod current;
pub(crate) mod threads;

use crate::export::Export;

/// What this folder declares.
pub(crate) static TABLES: &[&[Export]] = &[current::EXPORTS, threads::EXPORTS];
