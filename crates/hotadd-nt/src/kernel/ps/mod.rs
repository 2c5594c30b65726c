//! Threads (`Ps...`).

mod base;
mod current;
pub(crate) mod threads;

use crate::ground::export::Export;

/// The exports of this folder.
pub(crate) static TABLES: &[&[Export]] = &[current::EXPORTS, threads::EXPORTS];
