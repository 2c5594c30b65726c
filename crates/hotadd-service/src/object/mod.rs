//! The partition as an object on D-Bus: its sessions with peers, their requests and the replies, its signals and its records.

pub(crate) mod core;
pub(crate) mod departures;
pub(crate) mod dispatch;
pub(crate) mod ledger;
pub(crate) mod log;
mod probes;
pub(crate) mod record;
pub(crate) mod reply;
pub(crate) mod requests;
pub(crate) mod serve;
pub(crate) mod session;
pub(crate) mod signal;
