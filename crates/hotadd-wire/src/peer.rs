//! [`PeerName`]: the name of a peer on a bus.

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

impl fmt::Display for PeerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
