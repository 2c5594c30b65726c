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
mod replica;
mod replies;
mod session;
mod signals;

pub(crate) use replica::Replica;

/// Partitions in other processes.
impl Partition {
    /// The partition of another process, which listens at this path.
    ///
    /// It is used like any other: the same [`Driver`](crate::Driver) registers there unchanged. The differences are:
    /// - All callbacks are made on one thread that this call starts, named `hotadd-agent`. A driver that exceeds its [time
    ///   limit](crate::RegistrationBuilder::time_limit) for one answer counts as crashed (L3).
    /// - [`active`](Self::active), [`count`](Self::count) and [`epoch`](Self::epoch) read the partition's [page](crate::SetPage), which
    ///   has each change before anybody is told of it: inside a callback it shows the set to which the notice refers, and after a
    ///   request it is at least as new as the result.
    /// - When the connection is lost, requests in progress fail with [`Error::Disconnected`]. While there is a handle or a
    ///   [`Registration`](crate::Registration), this connects again and then registers every driver again. A driver does not get
    ///   the same notice a second time. Every processor that it had prepared gets an outcome: it completes if it joined and
    ///   fails if it did not. If the partition has been restarted meanwhile, its epochs start again too.
    ///
    /// The caller chooses the path, and whatever process listens there is trusted. If other users could have put a socket there,
    /// check it first with [`ownership::socket`](crate::ownership::socket).
    ///
    /// # Errors
    /// [`Error::Unreachable`] if nothing listens there or answers within 10 seconds, [`Error::Protocol`].
    pub fn connect(path: impl AsRef<Path>) -> Result<Self, Error> {
        let client = agent_loop::start(connection::Source::Path(path.as_ref().to_owned()))?;
        Ok(Self::new(client))
    }

    /// The partition at the other end of a socket, as [`connect`](Self::connect), but without a second connection. When the
    /// connection is lost, every driver gets failure notices for what it had prepared, and is no longer registered.
    ///
    /// # Errors
    /// As [`connect`](Self::connect).
    pub fn connect_over(socket: UnixStream) -> Result<Self, Error> {
        let client = agent_loop::start(connection::Source::Socket(Some(socket).into()))?;
        Ok(Self::new(client))
    }
}
