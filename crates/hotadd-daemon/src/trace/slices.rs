//! [`Slices`]: the open slices of each track. It makes the events of a trace, in the format that Perfetto and chrome://tracing read:
//! each has `ph`, `ts`, `pid` and `tid`, times on a track do not decrease, and each `E` ends the last `B` of its track.

use std::collections::BTreeMap;

use hotadd::text::clean;
use serde_json::{Value, json};

/// The id of the only process of a trace, the partition.
const PID: u64 = 1;

/// Of how many tracks the latest time is kept.
const MOST: usize = 16_384;

/// A slice that has begun.
#[derive(Clone, Debug)]
struct Open {
    name: String,
    category: &'static str,
    args: Value,
}

/// The open slices and the latest time of each track, and the events that were made since they were taken.
#[derive(Debug, Default)]
pub(super) struct Slices {
    open: BTreeMap<u64, Vec<Open>>,
    latest: BTreeMap<u64, u64>,
    made: Vec<Value>,
}

impl Slices {
    /// Takes the events that were made.
    pub(super) fn take(&mut self) -> Vec<Value> {
        std::mem::take(&mut self.made)
    }

    /// The time of an event on this track: not before what is there already.
    fn at(&mut self, track: u64, at: u64) -> u64 {
        if self.latest.len() > MOST {
            // Of tracks that are not used any more. Nothing comes in earlier than their half.
            let mut times: Vec<u64> = self.latest.values().copied().collect();
            let (_, middle, _) = times.select_nth_unstable(MOST / 2);
            let middle = *middle;
            self.latest.retain(|_, latest| *latest > middle);
        }
        let latest = self.latest.entry(track).or_default();
        *latest = at.max(*latest);
        *latest
    }

    /// The latest time on a track.
    pub(super) fn latest(&self, track: u64) -> u64 {
        self.latest.get(&track).copied().unwrap_or(0)
    }

    /// How many slices of a track are open.
    pub(super) fn depth(&self, track: u64) -> usize {
        self.open.get(&track).map_or(0, Vec::len)
    }

    pub(super) fn begin(
        &mut self,
        track: u64,
        at: u64,
        category: &'static str,
        name: &str,
        args: Value,
    ) {
        let open = Open { name: name.to_owned(), category, args };
        let at = self.at(track, at);
        self.made.push(begins(track, at, &open));
        self.open.entry(track).or_default().push(open);
    }

    /// Ends the last slice of a track. Returns when it ended.
    pub(super) fn end(&mut self, track: u64, at: u64, args: Value) -> u64 {
        let at = self.at(track, at);
        let Some(slices) = self.open.get_mut(&track) else { return at };
        if slices.pop().is_some() {
            let mut event = json!({ "ph": "E", "ts": at, "pid": PID, "tid": track });
            event["args"] = args;
            self.made.push(event);
        }
        if slices.is_empty() {
            self.open.remove(&track);
        }
        at
    }

    /// Something that takes no time. `wide` ones are shown across all tracks.
    pub(super) fn instant(&mut self, track: u64, at: u64, name: &str, wide: bool, args: Value) {
        let at = self.at(track, at);
        let scope = if wide { "p" } else { "t" };
        let name = clean(name);
        let mut event = json!({
            "name": name, "cat": "event", "ph": "i", "s": scope, "ts": at, "pid": PID, "tid": track,
        });
        event["args"] = args;
        self.made.push(event);
    }

    /// The value of a counter.
    pub(super) fn counter(&mut self, track: u64, at: u64, name: &str, value: usize) {
        let at = self.at(track, at);
        self.made.push(json!({
            "name": name, "ph": "C", "ts": at, "pid": PID, "tid": track, "args": { "count": value },
        }));
    }

    /// The name of the process, or of a track, which are ordered by their numbers.
    pub(super) fn names(&mut self, track: Option<u64>, name: &str) {
        let (what, tid) = track.map_or(("process_name", 0), |track| ("thread_name", track));
        self.made.push(json!({
            "name": what, "ph": "M", "ts": 0, "pid": PID, "tid": tid, "args": { "name": clean(name) },
        }));
        if track.is_some() {
            self.made.push(json!({
                "name": "thread_sort_index", "ph": "M", "ts": 0, "pid": PID, "tid": tid, "args": { "sort_index": tid },
            }));
        }
    }

    /// Ends all open slices, for the end of a file. They stay open for the next one.
    pub(super) fn close(&mut self, at: u64, why: &str) {
        for (track, slices) in &self.open {
            let at = at.max(self.latest.get(track).copied().unwrap_or(0));
            for _ in slices {
                self.made.push(json!({
                    "ph": "E", "ts": at, "pid": PID, "tid": track, "args": { "unfinished": why },
                }));
            }
        }
    }

    /// Begins all open slices again, in a new file.
    pub(super) fn reopen(&mut self, at: u64) {
        for (track, slices) in &self.open {
            let at = at.max(self.latest.get(track).copied().unwrap_or(0));
            self.made.extend(slices.iter().map(|open| begins(*track, at, open)));
        }
    }
}

fn begins(track: u64, at: u64, open: &Open) -> Value {
    json!({
        "name": clean(&open.name), "cat": open.category, "ph": "B", "ts": at, "pid": PID, "tid": track, "args": open.args,
    })
}
