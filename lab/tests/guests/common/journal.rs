//! The journal of a guest: a unit's log as lines, and as records.

use lab::Guest;
use serde_json::Value;

use super::daemon::SAID;

/// Writes everything that the journal has and will have of a unit into a file.
pub(crate) fn follow(guest: &Guest, unit: &str) {
    let command = ["journalctl", "-u", unit, "--follow", "--lines=all", "-o", "cat"];
    guest.start(&command, SAID).unwrap();
}

/// The records that `journalctl -o json` has shown.
pub(crate) fn records(shown: &str) -> Vec<Value> {
    shown.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}
