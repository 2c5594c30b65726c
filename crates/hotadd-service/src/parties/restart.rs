//! [`Restart`]: restarts a party that the operator named, at the request of a peer.

use std::sync::Arc;

use hotadd::Status;

/// Restarts the party of this name: ends what is left of it, registers it again, and returns the outcome. It is called on a thread
/// of its own, and may take as long as registering does.
pub type Restart = Arc<dyn Fn(&str) -> Result<(), NotRestarted> + Send + Sync>;

/// Why a party was not restarted.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum NotRestarted {
    /// There is no such party, or this program does not start it.
    Unknown,
    /// The restart was tried, and the party is not registered.
    Failed(NotRegistered),
}

/// Why a party that the operator named is not registered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotRegistered {
    /// The status that describes the failure.
    pub status: Status,
    /// The reason, as a sentence without its full stop. It need not name the party.
    pub reason: String,
    /// The same sentence with the party's name.
    pub sentence: String,
}

impl NotRegistered {
    /// The error for the party of this name, with this sentence.
    #[must_use]
    pub fn new(name: &str, status: Status, sentence: String) -> Self {
        let about = sentence.strip_prefix(name).and_then(|rest| rest.strip_prefix(' '));
        let reason = about.map_or_else(|| sentence.clone(), |rest| format!("it {rest}"));
        Self { status, reason, sentence }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_does_not_repeat_the_name() {
        let of = |sentence: &str| {
            NotRegistered::new("ready", Status::UNSUCCESSFUL, sentence.to_owned()).reason
        };
        assert_eq!(of("ready did not register: no room"), "it did not register: no room");
        assert_eq!(of("/etc/ready does not exist"), "/etc/ready does not exist");
        assert_eq!(of("readyness is not loaded"), "readyness is not loaded");
    }
}
