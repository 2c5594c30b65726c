//! [`Failure`]: why a partition gave no answer, or not the expected one.

use hotadd::Status;
use serde_json::{Value, json};

/// Why there is no answer, or not the expected one.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// Nothing listens there: exit status 3.
    #[error("{0}")]
    NoPartition(String),
    /// The request is not valid: exit status 2.
    #[error("{0}")]
    Usage(String),
    /// The partition refuses: exit status 1.
    #[error("{}", .0.message)]
    Refused(Refusal),
    /// The partition does not answer in time: exit status 1.
    #[error("{0}")]
    Silent(String),
    /// Ctrl-C: exit status 130. Says what continues in the partition.
    #[error("interrupted{}", .0.as_deref().map(|what| format!("; {what}")).unwrap_or_default())]
    Interrupted(Option<String>),
    /// The partition closed the connection, which it does when it ends: exit status 1.
    #[error("{0}")]
    Closed(String),
    /// The connection broke, or received data is not valid: exit status 1.
    #[error("{0}")]
    Broken(String),
}

/// An error of `org.hotadd.Partition1`.
#[derive(Clone, Debug)]
pub(crate) struct Refusal {
    /// Its name, without the prefix.
    pub(crate) name: String,
    pub(crate) message: String,
    pub(crate) status: Status,
    pub(crate) errno: u32,
    pub(crate) party: String,
}

impl Refusal {
    /// The refused change of a processor, as an event.
    pub(super) fn json(&self, event: &str, id: u32) -> Value {
        let Self { name, message, status, errno, party } = self;
        json!({
            "event": event, "id": id, "error": name, "reason": message, "driver": party, "errno": errno,
            "status": format!("0x{:08X}", status.to_raw()), "status_name": status.name(),
        })
    }
}

/// No partition was named, and there are several.
pub(super) fn several(names: &[&str]) -> Failure {
    Failure::Usage(format!(
        "there are several partitions; choose one with -p: {}",
        names.join(", ")
    ))
}
