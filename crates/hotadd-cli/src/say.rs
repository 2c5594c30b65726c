//! What commands say on stdout and stderr: one line each, without what steers a terminal or hides. A closed pipe is no fault of ours.

use std::fmt::Display;
use std::io::{self, Write};
use std::process::ExitCode;
use std::sync::OnceLock;

use hotadd::text::clean;
use serde_json::Value;

/// The exit status of a command that could not say what came of it: EX_IOERR.
const UNSAID: u8 = 74;

/// Why something could not be written to stdout.
static LOST: OnceLock<io::Error> = OnceLock::new();

/// A line for people, on stdout.
pub(crate) fn line(text: impl AsRef<str>) {
    whole(&format!("{}\n", clean(text.as_ref())));
}

/// A text that is clean already, on stdout.
pub(crate) fn whole(text: &str) {
    let written = io::stdout().write_all(text.as_bytes());
    if let Err(error) = written.and_then(|()| io::stdout().flush()) {
        // The first one counts.
        let _ = LOST.set(error);
    }
}

/// The exit status of a command that is through, if this is what came of what it did: another one if it could not say so. Who has closed
/// our output wanted no more of it, and that is no failure.
pub(crate) fn finish(code: ExitCode) -> ExitCode {
    match LOST.get() {
        Some(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            wrong(format!("what it had to say could not be written: {error}"));
            ExitCode::from(UNSAID)
        }
        _ => code,
    }
}

/// An answer for programs, on stdout.
pub(crate) fn json(value: &Value) {
    whole(&format!("{}\n", cleaned(value)));
}

/// What went wrong, on stderr.
pub(crate) fn wrong(what: impl Display) {
    note(format!("hotadd: {what}"));
}

/// A line for people on stderr.
pub(crate) fn note(text: impl AsRef<str>) {
    let _ = writeln!(io::stderr(), "{}", clean(text.as_ref()));
}

/// The same value, with its texts as they may be shown.
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
    fn texts_in_json_are_as_clean_as_lines_wherever_they_are() {
        let said = json!({ "a\u{9b}": ["x\u{202e}y", { "b": "no\u{200b}pe" }], "n": 1, "t": true });
        let clean =
            json!({ "a\u{fffd}": ["x\u{fffd}y", { "b": "no\u{fffd}pe" }], "n": 1, "t": true });
        assert_eq!(cleaned(&said), clean);
    }
}
