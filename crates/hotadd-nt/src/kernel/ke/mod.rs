//! The kernel's own functions (`Ke...`).

pub(crate) mod affinity;
mod attach;
pub(crate) mod broadcast;
mod bugcheck;
pub(crate) mod change;
pub(crate) mod data;
pub(crate) mod device_queues;
pub(crate) mod dispatch;
pub(crate) mod dpc;
pub(crate) mod dpc_queue;
pub(crate) mod dpc_run;
pub(crate) mod events;
pub(crate) mod irql;
pub(crate) mod irql_limits;
mod processor_state;
pub(crate) mod processors;
pub(crate) mod regions;
mod relationship;
pub(crate) mod spin;
pub(crate) mod time;
pub(crate) mod timers;
pub(crate) mod waits;

use crate::ground::export::Export;

/// The exports of this folder.
pub(crate) static TABLES: &[&[Export]] = &[
    affinity::EXPORTS,
    attach::EXPORTS,
    broadcast::EXPORTS,
    bugcheck::EXPORTS,
    change::EXPORTS,
    data::EXPORTS,
    data::safe_mode::EXPORTS,
    device_queues::EXPORTS,
    dpc::EXPORTS,
    events::EXPORTS,
    irql::EXPORTS,
    processor_state::EXPORTS,
    processors::EXPORTS,
    regions::EXPORTS,
    spin::EXPORTS,
    time::EXPORTS,
    timers::EXPORTS,
    waits::EXPORTS,
];
