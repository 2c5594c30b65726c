//! The transport to peers: sockets and their paths, the handshake, connections' bytes, message buses.

pub(crate) mod bus;
pub(crate) mod entrance;
pub(crate) mod handshake;
pub(crate) mod outbox;
pub(crate) mod place;
pub(crate) mod presence;
pub(crate) mod reader;
pub(crate) mod route;
pub(crate) mod socket;
