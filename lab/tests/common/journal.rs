//! The journal of a guest: what a unit's log says, as lines when they are written, and as records.

use lab::Guest;
use serde_json::Value;

use super::daemon::SAID;
use super::text;

/// Has all that the journal has of a unit, and will have, written down as lines.
pub(crate) fn follow(guest: &Guest, unit: &str) {
    let command = ["journalctl", "-u", unit, "--follow", "--lines=all", "-o", "cat"];
    guest.start(&command, SAID).unwrap();
}

/// The records of a unit with this field.
pub(crate) fn records(guest: &Guest, unit: &str, field: &str) -> Vec<Value> {
    let ran = guest.run(&["journalctl", "-u", unit, "-o", "json", field]).unwrap();
    assert!(ran.status.success(), "{}", text(&ran.stderr));
    let lines = text(&ran.stdout);
    lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}
