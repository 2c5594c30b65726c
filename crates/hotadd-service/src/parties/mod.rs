//! The parties in other processes: their connections, the calls to them, the missing parties, and why processors are not active.

pub(crate) mod agent;
pub(crate) mod connection;
pub(crate) mod driver;
pub(crate) mod loss;
pub(crate) mod missing;
pub(crate) mod named;
pub(crate) mod pending;
pub(crate) mod registered;
pub(crate) mod removed;
pub(crate) mod restart;
pub(crate) mod shares;
