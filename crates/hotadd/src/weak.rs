//! [`WeakPartition`]: a handle that does not keep its partition alive.

use std::sync::{Arc, Weak};

use crate::backend::Backend;
use crate::partition::Partition;

/// A handle that does not keep its partition alive.
pub(crate) struct WeakPartition(pub(crate) Weak<dyn Backend>);

impl WeakPartition {
    pub(crate) fn of(partition: &Partition) -> Self {
        Self(Arc::downgrade(partition.backend()))
    }

    /// The partition, if another handle still keeps it alive.
    pub(crate) fn upgrade(&self) -> Option<Partition> {
        self.0.upgrade().map(Partition::new)
    }
}
