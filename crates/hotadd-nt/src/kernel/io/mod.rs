//! Drivers' and devices' objects (`Io...`), and what is not there.

mod absent;
pub(crate) mod devices;
pub(crate) mod reinit;
pub(crate) mod work;

use crate::ground::export::Export;

/// What this folder declares.
pub(crate) static TABLES: &[&[Export]] =
    &[absent::EXPORTS, devices::EXPORTS, reinit::EXPORTS, work::EXPORTS];
