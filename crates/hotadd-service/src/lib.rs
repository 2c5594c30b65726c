//! The D-Bus service of a [`hotadd::Partition`]: parties in other processes register as agents, and no processor joins
//! before they have agreed too.
//!
//! The protocol is that of `org.hotadd.Partition1` and `org.hotadd.Agent1`, whose XML is in the repository's `dbus/`. It is
//! spoken peer to peer over Unix sockets, or over a message bus. [`Service`] serves a partition at a socket in the file
//! system, over connections that it is given, and on buses that it joins.
//!
//! All connections run on one thread. Each request that waits (an add, a registration, a removal) runs on a thread of its
//! own, so that no request delays another connection's answers. An agent's call is sent from the transaction's own thread.
//! Input from a socket is untrusted: it is bounded and checked, and the worst that a peer can do to others is to use up
//! its time limit.
//!
//! Programs take part as well, without D-Bus: a [script](script::Script) is a driver of its own, and [`children`] waits
//! for all child processes of a program.

#![deny(unsafe_code)]
#![cfg_attr(not(test), warn(clippy::unwrap_used))]

mod access;
pub mod children;
#[cfg(fuzzing)]
#[doc(hidden)]
pub mod fuzzing;
pub mod host;
mod lock;
mod metrics;
mod object;
mod parties;
pub mod script;
mod service;
mod text;
mod transport;

pub use access::policy::{Access, AccessError};
pub use hotadd_wire::{BusAddress, MACHINE_BUS_NAME, bus_name, is_name, runtime_dir};
pub use metrics::address::MetricsAddress;
pub use object::departures::Departures;
pub use object::log::Log;
pub use object::record::Record;
pub use object::serve::{Ending, Why};
pub use parties::named::Named;
pub use parties::restart::{NotRegistered, NotRestarted, Restart};
pub use service::{Service, ServiceError};
pub use transport::place::{PlaceError, check_place};

/// The examples of the page on agents, run as tests.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/agents.md")]
struct Agents;
