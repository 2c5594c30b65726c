//! The objects of drivers and devices (`Io...`), and features that are absent.

mod absent;
mod attaching;
mod building;
pub(crate) mod calling;
mod cancelling;
pub(crate) mod devices;
mod files;
mod irp;
pub(crate) mod named_events;
pub(crate) mod opening;
pub(crate) mod pnp;
pub(crate) mod reinit;
mod remove_locks;
mod synchronous;
pub(crate) mod work;

use crate::ground::export::Export;

/// The exports of this folder.
pub(crate) static TABLES: &[&[Export]] = &[
    absent::EXPORTS,
    attaching::EXPORTS,
    building::EXPORTS,
    calling::EXPORTS,
    cancelling::EXPORTS,
    files::EXPORTS,
    irp::EXPORTS,
    opening::EXPORTS,
    pnp::EXPORTS,
    remove_locks::EXPORTS,
    devices::EXPORTS,
    named_events::EXPORTS,
    reinit::EXPORTS,
    work::EXPORTS,
];
