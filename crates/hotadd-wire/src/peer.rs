//! [`PeerName`]: the name of a peer on a bus.

use std::fmt;

use zbus::names::UniqueName;

/// The name that a bus gave one of its peers. It never gives it to another.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PeerName(pub(crate) UniqueName<'static>);

impl PeerName {
    /// The name of this text, if it is one.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        UniqueName::try_from(text).ok().map(|name| Self(name.to_owned()))
    }

    /// As text.
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
