//! Memory (`Mm...`).

mod for_mdl;
pub(crate) mod mdl;
pub(crate) mod pages;
mod routine;

use crate::ground::export::Export;

/// The exports of this folder.
pub(crate) static TABLES: &[&[Export]] =
    &[for_mdl::EXPORTS, mdl::EXPORTS, pages::EXPORTS, pages::data::EXPORTS, routine::EXPORTS];
