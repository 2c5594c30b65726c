//! Threads (`Ps...`).

mod base;
mod current;
pub(crate) mod threads;

use crate::ground::export::Export;

/// What this folder declares.
pub(crate) static TABLES: &[&[Export]] = &[current::EXPORTS, threads::EXPORTS];
