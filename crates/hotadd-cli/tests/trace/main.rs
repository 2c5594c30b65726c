//! Traces of runs, daemons and running partitions, and the page that replays one.

#[path = "../common/mod.rs"]
mod common;
mod live;
mod page;
mod probes;
mod run;

use std::fs;
use std::path::Path;

use serde_json::Value;

/// The events of a file.
fn events(path: &Path) -> Vec<Value> {
    hotadd_testing::trace::events(&fs::read_to_string(path).unwrap())
}

/// Whether there is an event with this name.
fn has(events: &[Value], name: &str) -> bool {
    events.iter().any(|event| event["name"] == name)
}
