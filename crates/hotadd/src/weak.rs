//! [`WeakPartition`]: a handle that does not keep its partition alive.

use std::sync::{Arc, Weak};

use crate::inner::Inner;
use crate::partition::{Partition, Seat};
#[cfg(feature = "dbus")]
use crate::remote::Client;

/// A handle that does not keep its partition alive.
pub(crate) enum WeakPartition {
    /// In this process.
    Here(Weak<Inner>),
    /// In another process.
    #[cfg(feature = "dbus")]
    There(Weak<Client>),
}

impl WeakPartition {
    pub(crate) fn of(partition: &Partition) -> Self {
        match &partition.seat {
            Seat::Here(inner) => Self::Here(Arc::downgrade(inner)),
            #[cfg(feature = "dbus")]
            Seat::There(client) => Self::There(Arc::downgrade(client)),
        }
    }

    /// The partition, if another handle still keeps it alive.
    pub(crate) fn upgrade(&self) -> Option<Partition> {
        let seat = match self {
            Self::Here(inner) => Seat::Here(inner.upgrade()?),
            #[cfg(feature = "dbus")]
            Self::There(client) => Seat::There(client.upgrade()?),
        };
        Some(Partition { seat })
    }
}
