//! [`Loss`]: why a connection is lost. Every answer that was pending on it is lost as well.

use std::io;

use hotadd::{Status, Veto};

use crate::transport::outbox::Stuck;
use crate::transport::reader::Lost;

/// Why no answer can arrive.
#[derive(Clone, Debug)]
pub(crate) struct Loss {
    pub(crate) status: Status,
    pub(crate) reason: String,
}

impl Loss {
    /// The crash veto on behalf of a party that cannot answer (L3).
    pub(crate) fn crash(self) -> Veto {
        Veto::crash(self.status, self.reason)
    }
}

impl From<Lost> for Loss {
    fn from(lost: Lost) -> Self {
        let status = match &lost {
            Lost::Closed => Status::PIPE_BROKEN,
            Lost::Failed(error) if error.kind() == io::ErrorKind::ConnectionReset => {
                Status::CONNECTION_RESET
            }
            Lost::Failed(_) => Status::IO_DEVICE_ERROR,
            Lost::Halfway => Status::IO_TIMEOUT,
            Lost::Garbled(_) | Lost::Unsound(_) => Status::INVALID_NETWORK_RESPONSE,
        };
        let reason = match status {
            // The kernel's error text adds nothing.
            Status::CONNECTION_RESET => "its connection was closed".to_owned(),
            _ => lost.to_string(),
        };
        Self { status, reason }
    }
}

impl From<Stuck> for Loss {
    fn from(stuck: Stuck) -> Self {
        Self { status: Status::IO_TIMEOUT, reason: stuck.to_string() }
    }
}
