//! Memory (`Mm...`).

mod mdl;
pub(crate) mod pages;
mod routine;

use crate::ground::export::Export;

/// The exports of this folder.
pub(crate) static TABLES: &[&[Export]] =
    &[mdl::EXPORTS, pages::EXPORTS, pages::data::EXPORTS, routine::EXPORTS];
