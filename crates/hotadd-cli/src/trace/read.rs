//! [`Shown`]: the events of a trace as its page has them. A file may be hostile, such as one from a bug report: only what the
//! page knows is taken from it.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use hotadd::text::clean;
use hotadd_daemon::trace::LIMIT;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// The most events of a page: a browser takes no more in reasonable time.
pub(super) const MOST_ON_PAGE: usize = 250_000;

/// The most bytes of a file: one that has reached its limit, and what was written at once after that.
const MOST_BYTES: u64 = LIMIT + (16 << 20);

/// The events of a page.
#[derive(Debug, Default)]
pub(super) struct Shown {
    pub(super) events: Vec<Event>,
    /// Why it is not the whole trace.
    pub(super) cut: Option<String>,
}

/// One event of a trace.
#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(default)]
pub(super) struct Event {
    ph: String,
    ts: f64,
    tid: u64,
    #[serde(skip_serializing_if = "String::is_empty")]
    name: String,
    #[serde(skip_serializing_if = "Map::is_empty")]
    args: Map<String, Value>,
}

impl Shown {
    pub(super) fn of(events: Vec<Value>) -> Self {
        let mut shown = Self::default();
        shown.events.extend(events.into_iter().filter_map(known));
        if shown.events.len() > MOST_ON_PAGE {
            shown.events.truncate(MOST_ON_PAGE);
            shown.cut = Some(format!("only the first {MOST_ON_PAGE} events are shown"));
        }
        // Stable: what happened at the same time stays in its order.
        shown.events.sort_by(|a, b| a.ts.total_cmp(&b.ts));
        shown
    }
}

impl Shown {
    /// The partition's name.
    pub(super) fn name(&self) -> Option<&str> {
        let begins =
            self.events.iter().find(|event| event.ph == "i" && event.name == "trace begins")?;
        begins.args.get("name")?.as_str()
    }
}

/// An event of which the page makes something.
fn known(event: Value) -> Option<Event> {
    let mut event: Event = serde_json::from_value(event).ok()?;
    let is_known = matches!(event.ph.as_str(), "B" | "E" | "i" | "C" | "M")
        && event.ts.is_finite()
        && event.ts >= 0.0;
    event.name = clean(&event.name).into_owned();
    event.args.retain(|_, value| !value.is_array() && !value.is_object());
    for value in event.args.values_mut() {
        if let Value::String(text) = value {
            *text = clean(text).into_owned();
        }
    }
    is_known.then_some(event)
}

/// Reads a trace's file, also one whose end is missing.
pub(super) fn file(path: &Path) -> Result<Shown, String> {
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(|error| error.to_string())?;
    file.take(MOST_BYTES + 1).read_to_end(&mut bytes).map_err(|error| error.to_string())?;
    if bytes.len() as u64 > MOST_BYTES {
        return Err(format!("it is larger than {} MiB", MOST_BYTES >> 20));
    }
    read(&bytes)
}

fn read(bytes: &[u8]) -> Result<Shown, String> {
    let no_trace = "it is not a trace of hotadd, which is a JSON array with an event on each line";
    let mut lines = bytes.split(|byte| *byte == b'\n');
    if lines.next().map(<[u8]>::trim_ascii) != Some(b"[") {
        return Err(no_trace.to_owned());
    }
    let (mut events, mut cut, mut ended) = (Vec::new(), None, false);
    for line in lines.map(<[u8]>::trim_ascii) {
        if ended && !line.is_empty() {
            return Err(no_trace.to_owned());
        }
        match line {
            b"" => continue,
            b"]" => ended = true,
            line => match serde_json::from_slice(line.strip_suffix(b",").unwrap_or(line)) {
                Ok(event) if cut.is_none() => events.push(event),
                // The process was killed while it wrote this line. No line follows.
                Err(_) if cut.is_none() => cut = Some("the last event is incomplete".to_owned()),
                _ => return Err(no_trace.to_owned()),
            },
        }
    }
    if !ended {
        cut.get_or_insert_with(|| {
            "the trace has no end: its process was killed, or still runs".to_owned()
        });
    }
    let mut shown = Shown::of(events);
    shown.cut = shown.cut.or(cut);
    Ok(shown)
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHOLE: &str = "[\n{\"ph\":\"i\",\"ts\":2,\"tid\":1,\"name\":\"b\",\"args\":{\"reason\":\"x\\u001by\",\"deep\":{}}},\n{\"ph\":\"i\",\"ts\":1}\n]\n";

    #[test]
    fn a_trace_is_read_in_order_and_cleaned() {
        let shown = read(WHOLE.as_bytes()).unwrap();
        assert_eq!(shown.cut, None);
        let times: Vec<f64> = shown.events.iter().map(|event| event.ts).collect();
        assert_eq!(times, [1.0, 2.0]);
        assert_eq!(shown.events[1].args["reason"], "x\u{fffd}y");
        assert!(!shown.events[1].args.contains_key("deep"));
    }

    #[test]
    fn a_trace_that_was_cut_anywhere_is_read_up_to_there() {
        let begins = WHOLE.find('{').unwrap();
        for length in begins..WHOLE.len() - 2 {
            let shown =
                read(&WHOLE.as_bytes()[..length]).unwrap_or_else(|why| panic!("{length}: {why}"));
            assert!(shown.cut.is_some(), "{length}");
        }
    }

    #[test]
    fn another_file_is_refused() {
        for text in ["", "{}", "[1]", "[\nx\ny\n", "[\n{\"ph\":\"i\"}\n]\nmore", "\u{0}\u{1}"] {
            assert!(read(text.as_bytes()).is_err(), "{text:?}");
        }
        let odd =
            "[\n{\"ph\":\"Q\"},\n{\"ph\":\"i\",\"ts\":\"x\"},\n{\"ph\":\"i\",\"ts\":-1},\n5\n]";
        assert!(read(odd.as_bytes()).unwrap().events.is_empty(), "unknown events are left out");
    }
}
