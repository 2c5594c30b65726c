//! [`Member`]: a partition of a C program, and requests to it.

use std::path::PathBuf;
use std::sync::Arc;

use hotadd::{HardwareId, Partition, ProcessorIndex};

use crate::cause::Cause;
use crate::dispatch::request;
use crate::failure::Failure;

/// A partition, and the cause of the latest failure in it.
#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) partition: Partition,
    pub(crate) cause: Arc<Cause>,
    /// Whether its processors are those of this machine, on which threads run.
    pub(crate) real: bool,
}

impl Member {
    /// A partition in this process.
    pub(crate) fn local(partition: Partition) -> Result<Self, Failure> {
        let cause = Arc::new(Cause::default());
        let seen = Arc::clone(&cause);
        partition.observe(move |event| seen.observe(event))?.detach();
        let real = partition.hardware() != "simulated";
        Ok(Self { partition, cause, real })
    }

    /// The partition of another process. It does not say who refused before it has told all parties of the failure.
    pub(crate) fn connected(name: &str) -> Result<Self, Failure> {
        let path = if hotadd_wire::is_name(name) {
            hotadd_wire::runtime_dir().join(name)
        } else {
            PathBuf::from(name)
        };
        let partition = Partition::connect(path)?;
        let real = partition.hardware() != "simulated";
        Ok(Self { partition, cause: Arc::default(), real })
    }

    /// The index of the processor that this thread runs on. `None` if the processor is not in the set.
    pub(crate) fn current(&self) -> Option<ProcessorIndex> {
        self.partition.current().filter(|_| self.real).map(|processor| processor.index)
    }

    pub(crate) fn add(&self, id: u32) -> Result<(), Failure> {
        request("adding", || Ok(self.partition.add(HardwareId(id)).map(drop)?))
    }

    pub(crate) fn remove(&self, id: u32) -> Result<(), Failure> {
        request("removing", || Ok(self.partition.remove(HardwareId(id)).map(drop)?))
    }

    pub(crate) fn candidates(&self) -> Result<Vec<u32>, Failure> {
        let ids = request("listing candidates", || Ok(self.partition.candidates()?))?;
        Ok(ids.iter().map(|id| id.0).collect())
    }
}
