//! The missing parties of a running partition, and restarting one of them (L4).

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hotadd::Status;
use hotadd_daemon::degraded;
use hotadd_wire::MissingRow;
use serde_json::{Value, json};

use super::error::AskError;
use super::failure::Failure;
use super::talk::Talk;
use crate::args::Parties;
use crate::say;

/// A party that is missing.
pub(super) struct Gone {
    name: String,
    micros: u64,
    status: Status,
    reason: String,
}

impl Gone {
    pub(super) fn all(talk: &Talk) -> Result<Vec<Self>, Failure> {
        let missing: Vec<MissingRow> = talk.call("GetMissing", &())?;
        let gone = |(name, micros, status, reason)| Self {
            name,
            micros,
            status: Status::from_raw(status),
            reason,
        };
        Ok(missing.into_iter().map(gone).collect())
    }

    pub(super) fn line(&self) -> String {
        let since = UNIX_EPOCH.checked_add(Duration::from_micros(self.micros));
        let since = since.unwrap_or_else(SystemTime::now);
        degraded::since(&self.name, since, &self.reason)
    }

    pub(super) fn json(&self) -> Value {
        let Self { name, micros, status, reason } = self;
        json!({
            "name": name, "missing": true, "since": micros / 1000, "reason": reason,
            "status": format!("0x{:08X}", status.to_raw()), "status_name": status.name(),
        })
    }
}

/// `hotadd parties --restart`. Returns false if the party is not registered.
pub(super) fn restart(talk: &Talk, parties: &Parties, name: &str) -> Result<bool, AskError> {
    let json = parties.ask.json;
    match talk.call_and_watch("RestartParty", &(name,)) {
        Ok(()) => {
            if json {
                say::json(&json!({ "name": name, "restarted": true }));
            } else {
                say::line(format!("{name} is registered"));
            }
            Ok(true)
        }
        Err(Failure::Refused(refusal)) => {
            if json {
                let status = refusal.status;
                say::json(&json!({
                    "name": name, "restarted": false, "error": refusal.name, "reason": refusal.message,
                    "status": format!("0x{:08X}", status.to_raw()), "status_name": status.name(),
                }));
            } else {
                say::line(&refusal.message);
            }
            Ok(false)
        }
        Err(other) => Err(other.into()),
    }
}
