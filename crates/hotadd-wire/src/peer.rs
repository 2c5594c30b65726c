//! [`PeerName`]: the name of a peer on a bus. [`Addressing`]: the names in the header of a message to a peer.

use std::fmt;

use zbus::names::UniqueName;

/// The unique name that a bus gave one of its peers. The bus never gives it to another peer.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PeerName(pub(crate) UniqueName<'static>);

impl PeerName {
    /// Parses a name; `None` if it is not a valid one.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        UniqueName::try_from(text).ok().map(|name| Self(name.to_owned()))
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

impl PeerName {
    /// The unique name of the client of a direct connection that it treats as a bus. `connection` is its number, from 1.
    #[must_use]
    pub fn of_client(connection: u64) -> Self {
        Self(UniqueName::from_string_unchecked(format!(":1.{connection}")))
    }
}

impl fmt::Display for PeerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The unique name of the partition on a direct connection whose client treats it as a bus.
pub(crate) const PARTITION_PEER: UniqueName<'static> =
    UniqueName::from_static_str_unchecked(":1.0");

/// The names in the header of a message from a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Addressing<'a> {
    /// None: a direct connection has only two ends.
    Direct,
    /// Both, on a direct connection whose client treats it as a bus and has this name there: some libraries compare the sender
    /// with the owner of a name, and others ignore calls without a destination.
    Greeted(&'a PeerName),
    /// The destination, on a bus. The bus adds the sender.
    Bus(&'a PeerName),
}
