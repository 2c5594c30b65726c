//! The D-Bus service of a [`hotadd::Partition`]: parties in other processes register as agents, and no processor joins
//! before they have agreed too.
//!
//! The protocol is that of `org.hotadd.Partition1` and `org.hotadd.Agent1`, whose XML is in the repository's `dbus/`. It is
//! spoken peer to peer over Unix sockets, or over a message bus. [`Service`] serves a partition at a socket in the file
//! system, over connections that it is given, and on buses that it joins.
//!
//! All connections live on one thread. Whatever waits for somebody (an add, a registration, a removal) runs on a thread of
//! its own, so that no request holds up another connection's answers; an agent's call is sent from the transaction's own
//! thread. What comes from a socket is a stranger's: it is bounded and checked, and the worst that a peer can do to others
//! is to use up its time limit.
//!
//! Programs take part as well, without D-Bus: a [script](script::Script) is a driver of its own, and [`children`] is where
//! all child processes of a program are waited for.

#![deny(unsafe_code)]
#![cfg_attr(not(test), warn(clippy::unwrap_used))]

mod absent;
mod access;
mod address;
mod authority;
mod bus;
mod calls;
pub mod children;
mod connection;
mod core;
mod dispatch;
mod entrance;
#[cfg(fuzzing)]
#[doc(hidden)]
pub mod fuzzing;
mod handshake;
pub mod host;
pub mod kept;
mod ledger;
mod missing;
mod named;
pub mod notify;
mod outbox;
mod parties;
mod peer;
mod pending;
mod place;
mod polkit;
mod reader;
pub mod record;
mod refusals;
mod remote;
mod reply;
mod requests;
mod restart;
mod route;
mod said;
pub mod script;
mod service;
mod shares;
mod signal;
mod socket;
mod stay;

use std::sync::{Mutex, MutexGuard, PoisonError};

pub use access::{Access, AccessError};
pub use address::BusAddress;
pub use bus::{MACHINE_BUS_NAME, bus_name};
pub use named::Named;
pub use place::{PlaceError, check_place, is_name, runtime_dir};
pub use restart::{NotRegistered, NotRestarted, Restart};
pub use service::{Ending, Log, Service, ServiceError, Why};

/// The examples of the page on agents, run as tests.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/agents.md")]
struct Agents;

/// A mutex whose holder panicked is as good as any other here: nothing is left half done across a call that could panic.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
