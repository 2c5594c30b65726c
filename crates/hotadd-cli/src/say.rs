//! Output of commands on stdout and stderr: one line each, without control or hidden characters. A closed pipe is not an error.

use std::fmt::Display;
use std::io::{self, Write};
use std::process::ExitCode;
use std::sync::OnceLock;

use hotadd::text::clean;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use serde_json::Value;

/// The exit status of a command whose result could not be written: EX_IOERR.
const UNSAID: u8 = 74;

/// Why something could not be written to stdout.
static LOST: OnceLock<io::Error> = OnceLock::new();

/// Writes a line for people to stdout.
pub(crate) fn line(text: impl AsRef<str>) {
    whole(&format!("{}\n", clean(text.as_ref())));
}

/// Writes a text that is already clean to stdout.
pub(crate) fn whole(text: &str) {
    let written = io::stdout().write_all(text.as_bytes());
    if let Err(error) = written.and_then(|()| io::stdout().flush()) {
        // Only the first error is kept.
        let _ = LOST.set(error);
    }
}

/// Whether stdout has no reader any more, or cannot be written.
pub(crate) fn is_unheard() -> bool {
    if LOST.get().is_some() {
        return true;
    }
    let stdout = io::stdout();
    // The kernel reports a pipe whose reader is gone, without being asked for any event.
    let mut pipe = [PollFd::new(&stdout, PollFlags::empty())];
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    poll(&mut pipe, Some(&now)).is_ok_and(|_| pipe[0].revents().contains(PollFlags::ERR))
}

/// The exit status of a finished command whose result is `code`: another status if the result could not be written. A closed pipe
/// is not a failure: the reader wanted no more output.
pub(crate) fn finish(code: ExitCode) -> ExitCode {
    match LOST.get() {
        Some(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            wrong(format!("the output could not be written: {error}"));
            ExitCode::from(UNSAID)
        }
        _ => code,
    }
}

/// Writes an answer for programs to stdout.
pub(crate) fn json(value: &Value) {
    whole(&format!("{}\n", cleaned(value)));
}

/// Writes an error to stderr.
pub(crate) fn wrong(what: impl Display) {
    note(format!("hotadd: {what}"));
}

/// Writes a line for people to stderr.
pub(crate) fn note(text: impl AsRef<str>) {
    let _ = writeln!(io::stderr(), "{}", clean(text.as_ref()));
}

/// The same value with all texts cleaned.
pub(crate) fn cleaned(value: &Value) -> Value {
    match value {
        Value::String(text) => clean(text).into_owned().into(),
        Value::Array(all) => all.iter().map(cleaned).collect(),
        Value::Object(fields) => {
            let fields =
                fields.iter().map(|(key, value)| (clean(key).into_owned(), cleaned(value)));
            Value::Object(fields.collect())
        }
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn control_characters_are_removed_from_keys_and_values_in_json() {
        let said = json!({ "a\u{9b}": ["x\u{202e}y", { "b": "no\u{200b}pe" }], "n": 1, "t": true });
        let clean =
            json!({ "a\u{fffd}": ["x\u{fffd}y", { "b": "no\u{fffd}pe" }], "n": 1, "t": true });
        assert_eq!(cleaned(&said), clean);
    }
}
