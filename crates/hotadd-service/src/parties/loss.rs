//! [`Loss`]: why a connection is lost, and with it every answer that was to come over it.

use std::io;

use hotadd::{Status, Veto};

use crate::transport::outbox::Stuck;
use crate::transport::reader::Lost;

/// Why no answer will come.
#[derive(Clone, Debug)]
pub(crate) struct Loss {
    pub(crate) status: Status,
    pub(crate) reason: String,
}

impl Loss {
    /// The answer on behalf of a party that can give none (L3).
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
            // What the kernel says of it adds nothing.
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
