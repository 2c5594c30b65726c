//! Checks a trace against the Trace Event Format: what Perfetto and chrome://tracing need in order to show it.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

/// The events of a whole trace.
///
/// # Panics
/// If it is not in the format. Says which event is wrong, and how.
#[must_use]
pub fn events(text: &str) -> Vec<Value> {
    let events: Vec<Value> =
        serde_json::from_str(text).unwrap_or_else(|error| panic!("not JSON: {error}: {text}"));
    check(&events);
    events
}

/// Checks that each event has what its kind needs, that times on a track do not decrease, that slices are ended in order, and that
/// each track has a name before it has anything else.
///
/// # Panics
/// If it is not so.
pub fn check(events: &[Value]) {
    let mut latest: BTreeMap<u64, f64> = BTreeMap::new();
    let mut open: BTreeMap<u64, Vec<&str>> = BTreeMap::new();
    let mut named = BTreeSet::new();
    for event in events {
        let wrong = |what: &str| -> ! { panic!("{what}: {event}") };
        let number = |key: &str| event[key].as_u64().unwrap_or_else(|| wrong(key));
        let text = |key: &str| event[key].as_str().unwrap_or_else(|| wrong(key));
        let time = event["ts"].as_f64().filter(|time| *time >= 0.0);
        let time = time.unwrap_or_else(|| wrong("no time"));
        let (_, track) = (number("pid"), number("tid"));
        if text("ph") == "M" {
            match text("name") {
                "process_name" => {
                    event["args"]["name"].as_str().unwrap_or_else(|| wrong("no name"));
                }
                "thread_name" => {
                    event["args"]["name"].as_str().unwrap_or_else(|| wrong("no name"));
                    named.insert(track);
                }
                "thread_sort_index" => {
                    event["args"]["sort_index"].as_u64().unwrap_or_else(|| wrong("no order"));
                }
                _ => wrong("unknown metadata"),
            }
            continue;
        }
        if !named.contains(&track) {
            wrong("the track has no name");
        }
        if time < latest.insert(track, time).unwrap_or(0.0) {
            wrong("earlier than what is before it on its track");
        }
        if !event["args"].is_object() {
            wrong("no arguments");
        }
        match text("ph") {
            "B" => {
                text("cat");
                open.entry(track).or_default().push(text("name"));
            }
            "E" => {
                open.entry(track).or_default().pop().unwrap_or_else(|| wrong("ends nothing"));
            }
            "i" => {
                text("name");
                if !["p", "t"].contains(&text("s")) {
                    wrong("no scope");
                }
            }
            "C" => {
                text("name");
                let values = event["args"].as_object().into_iter().flatten();
                if !values.into_iter().all(|(_, value)| value.is_number()) {
                    wrong("a counter that is not a number");
                }
            }
            _ => wrong("unknown kind"),
        }
    }
    let open: Vec<_> = open.values().flatten().collect();
    assert!(open.is_empty(), "slices without an end: {open:?}");
}
