//! The journal of a guest: what a unit's log says, as lines when they are written, and as records.

use lab::Guest;
use serde_json::Value;

use super::daemon::SAID;

/// Has all that the journal has of a unit, and will have, written down as lines.
pub(crate) fn follow(guest: &Guest, unit: &str) {
    let command = ["journalctl", "-u", unit, "--follow", "--lines=all", "-o", "cat"];
    guest.start(&command, SAID).unwrap();
}

/// The records that `journalctl -o json` has shown.
pub(crate) fn records(shown: &str) -> Vec<Value> {
    shown.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}
