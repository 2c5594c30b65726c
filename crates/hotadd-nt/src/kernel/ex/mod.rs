//! The executive's functions (`Ex...`).

mod arena;
pub(crate) mod callbacks;
mod features;
pub(crate) mod heap;
mod lists;
mod lookaside;
pub(crate) mod mutexes;
pub mod pool;
mod processor_add;
mod push_locks;
pub(crate) mod resources;
mod rundown;
pub(crate) mod running;
pub(crate) mod slists;
mod spin_locks;
pub(crate) mod work;

use crate::ground::export::Export;

/// The exports of this folder.
pub(crate) static TABLES: &[&[Export]] = &[
    callbacks::EXPORTS,
    features::EXPORTS,
    lists::EXPORTS,
    lookaside::EXPORTS,
    mutexes::EXPORTS,
    pool::EXPORTS,
    push_locks::EXPORTS,
    resources::EXPORTS,
    rundown::EXPORTS,
    slists::EXPORTS,
    spin_locks::EXPORTS,
    work::EXPORTS,
];
