//! The report as JSON, for programs.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::io::{self, Write};

use serde::Serialize;

use super::Report;

/// Writes the report as JSON, indented, with a newline at the end. Texts of the driver are unchanged. Characters that are invisible
/// or control a terminal are written as escapes, so the output can be shown.
///
/// # Errors
/// If the output cannot be written.
pub fn write(report: &Report, out: &mut dyn Write) -> io::Result<()> {
    write_value(report, out)
}

/// Writes anything in this form.
pub(super) fn write_value(value: &impl Serialize, out: &mut dyn Write) -> io::Result<()> {
    let json = serde_json::to_string_pretty(value)?;
    writeln!(out, "{}", escaped(&json))
}

/// The JSON, with control and invisible characters as escapes. Outside of strings there are only line ends, which stay.
fn escaped(json: &str) -> Cow<'_, str> {
    let plain = |c: char| c == '\n' || hotadd::text::is_plain(c);
    if json.chars().all(plain) {
        return Cow::Borrowed(json);
    }
    let mut text = String::with_capacity(json.len());
    for c in json.chars() {
        if plain(c) {
            text.push(c);
        } else {
            for unit in c.encode_utf16(&mut [0; 2]) {
                // Writing to a string cannot fail.
                let _ = write!(text, "\\u{unit:04x}");
            }
        }
    }
    Cow::Owned(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_keep_their_meaning() {
        let hostile = "\u{202e}\u{9b}[2J\0\n\"\\\u{e0041}\u{1f980}é";
        let mut json = Vec::new();
        write_value(&[hostile], &mut json).unwrap();
        let json = String::from_utf8(json).unwrap();
        assert!(json.lines().all(hotadd::text::is_clean), "{json:?}");
        assert_eq!(serde_json::from_str::<[String; 1]>(&json).unwrap(), [hostile]);
    }
}
