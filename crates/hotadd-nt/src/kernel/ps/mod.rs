//! Threads (`Ps...`).

mod base;
mod current;
mod lookup;
pub(crate) mod threads;

use crate::ground::export::Export;

/// The exports of this folder.
pub(crate) static TABLES: &[&[Export]] = &[current::EXPORTS, lookup::EXPORTS, threads::EXPORTS];
