//! Partitions in other processes: [`Partition::connect`].
//!
//! ```text
//! any thread                the agent thread                                     the partition
//! Client ──── Command ────▶ AgentLoop ── serve ─┬─ dispatch: calls ◀──────────── AddStart ...
//!    ▲                          │               ├─ replies ◀──────────────────── to Add, Register ...
//!    └──────── outcome ─────────┤               └─ signals ◀──────────────────── Joined ...
//!                               └─ Drivers, each with its `hotadd_core::Agent`
//! ```
//! One thread for each connected partition does everything: it reads the connection in order, calls the drivers, answers, and
//! hands replies to the threads that wait for them.

use std::os::unix::net::UnixStream;
use std::path::Path;

use crate::error::Error;
use crate::partition::Partition;

mod agent_loop;
mod client;
mod command;
mod command_queue;
mod connection;
mod dispatch;
mod drivers;
#[cfg(fuzzing)]
pub(crate) mod fuzzing;
mod names;
mod read;
mod replies;
mod session;
mod signals;

/// In other processes.
impl Partition {
    /// The partition of another process, which listens at this path.
    ///
    /// It is used like any other: the same [`Driver`](crate::Driver) registers there unchanged. What differs:
    /// - All callbacks are made on one thread that this starts, named `hotadd-agent`. A driver that takes longer over one
    ///   answer than its [time limit](crate::RegistrationBuilder::time_limit) counts as crashed (L3).
    /// - [`active`](Self::active), [`count`](Self::count) and [`epoch`](Self::epoch) read a replica. Inside a callback it is the
    ///   set that the notice speaks of, and after a request that succeeded it is as new as its result. Otherwise it
    ///   follows as soon as the partition has said so.
    /// - When the connection is lost, requests under way fail with [`Error::Disconnected`]. As long as there is a handle or
    ///   a [`Registration`](crate::Registration) it is tried again to connect; then every driver is registered again. It is not
    ///   told a second time what it was told already, and every processor that it had prepared comes to an outcome: it
    ///   completes if it joined and fails if it did not. If the partition has been started anew meanwhile its epochs
    ///   begin anew too.
    ///
    /// The path is the caller's choice, and whoever listens there is believed. Where others could have put a socket at it,
    /// [`ownership::socket`](crate::ownership::socket) says so before.
    ///
    /// # Errors
    /// [`Error::Unreachable`] if nobody listens there or answers within 10 seconds, [`Error::Protocol`].
    pub fn connect(path: impl AsRef<Path>) -> Result<Self, Error> {
        let client = agent_loop::start(connection::Source::Path(path.as_ref().to_owned()))?;
        Ok(Self::new(client))
    }

    /// The partition at the other end of a socket, as [`connect`](Self::connect) but that there is no second connection: once
    /// it is lost, every driver is told that what it had prepared came to nothing, and is registered no longer.
    ///
    /// # Errors
    /// As [`connect`](Self::connect).
    pub fn connect_over(socket: UnixStream) -> Result<Self, Error> {
        let client = agent_loop::start(connection::Source::Socket(Some(socket).into()))?;
        Ok(Self::new(client))
    }
}
