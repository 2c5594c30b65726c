//! References to objects (`Ob...`, `Zw...`).

pub(crate) mod handles;
pub(crate) mod references;
pub(crate) mod types;

use crate::ground::export::Export;

/// The exports of this folder.
pub(crate) static TABLES: &[&[Export]] = &[
    handles::EXPORTS,
    references::EXPORTS,
    types::EXPORTS,
    types::process::EXPORTS,
    types::variables::EXPORTS,
];
