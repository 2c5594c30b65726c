//! [`AskError`]: why a command has no answer, and its exit status.

use std::process::ExitCode;

use super::failure::Failure;
use crate::say;

const REFUSED: u8 = 1;
const USAGE: u8 = 2;
const NO_PARTITION: u8 = 3;
/// The exit status that shells use for SIGINT.
const INTERRUPTED: u8 = 130;

/// Reports an error, and returns the exit status.
pub(crate) fn report(result: Result<bool, AskError>) -> ExitCode {
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(REFUSED),
        // The user pressed Ctrl-C, so no message is needed.
        Err(AskError(Failure::Interrupted(None))) => ExitCode::from(INTERRUPTED),
        Err(AskError(failure)) => {
            say::wrong(&failure);
            ExitCode::from(match failure {
                Failure::Interrupted(_) => INTERRUPTED,
                Failure::NoPartition(_) => NO_PARTITION,
                Failure::Usage(_) => USAGE,
                Failure::Refused(_)
                | Failure::Closed(_)
                | Failure::Broken(_)
                | Failure::Silent(_) => REFUSED,
            })
        }
    }
}

/// Why a command has no answer.
pub(crate) struct AskError(Failure);

impl AskError {
    /// Something else than the partition failed.
    pub(crate) fn failed(why: String) -> Self {
        Self(Failure::Broken(why))
    }
}

impl From<Failure> for AskError {
    fn from(failure: Failure) -> Self {
        Self(failure)
    }
}
