//! The objects of drivers and devices (`Io...`), and features that are absent.

mod absent;
pub(crate) mod devices;
pub(crate) mod named_events;
pub(crate) mod reinit;
pub(crate) mod work;

use crate::ground::export::Export;

/// The exports of this folder.
pub(crate) static TABLES: &[&[Export]] =
    &[absent::EXPORTS, devices::EXPORTS, named_events::EXPORTS, reinit::EXPORTS, work::EXPORTS];
