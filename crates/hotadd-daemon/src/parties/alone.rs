//! [`Alone`]: one driver on a partition of its own, registered as [`Parties`] registers it, without a run or a daemon.

use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use hotadd::Partition;
use hotadd_service::Service;

use super::{Beginning, Parties, Terms};
use crate::spec::DriverSpec;

/// A registered driver. Dropping it deregisters the driver, and ends its process.
pub struct Alone {
    /// Dropped first.
    _parties: Parties,
    _service: Option<Arc<Service>>,
}

impl Alone {
    /// Registers the driver, and starts its process if it has one. `timeout` is the time limit of an answer, unless the specification
    /// has one. What the driver prints is not kept.
    ///
    /// # Errors
    /// The driver does not register; the error says why.
    pub fn begin(
        partition: &Partition,
        spec: &DriverSpec,
        timeout: Duration,
    ) -> Result<Self, String> {
        let parties = Parties::default();
        parties.name(partition, std::slice::from_ref(spec))?;
        let service = match spec.is_isolated() {
            true => Some(Arc::new(
                Service::new(partition, "alone", Arc::new(|_| ()))
                    .map_err(|error| error.to_string())?,
            )),
            false => None,
        };
        let terms = Terms {
            partition: partition.clone(),
            start: Arc::new(Command::spawn),
            service: service.as_ref().map(Arc::downgrade),
            timeout,
            output: Arc::new(|_, _| ()),
        };
        parties.begin(terms, Beginning::WithAll)?;
        Ok(Self { _parties: parties, _service: service })
    }
}
