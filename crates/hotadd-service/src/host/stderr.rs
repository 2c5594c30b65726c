//! Passes on what a driver's process writes to its error output: line by line, cleaned and with its driver's name, like its
//! reports. The process never inherits this program's error output.

use std::io::{self, BufRead, BufReader, Read};
use std::process::ChildStderr;

use super::report::{LONGEST_LINE, Said};
use super::spec::HostSpec;
use hotadd::text::clean;

/// Passes on what is written, on a thread of its own, until no writer is left.
pub(super) fn pass_on(stderr: ChildStderr, spec: &HostSpec) -> io::Result<()> {
    let (name, heard) = (spec.name.clone(), spec.heard.clone());
    let listen = move || {
        lines(stderr, |line| match &heard {
            Some(heard) => heard(Said::Printed(line)),
            None => eprintln!("{name}: {line}"),
        });
    };
    std::thread::Builder::new().name("hotadd-stderr".to_owned()).spawn(listen).map(drop)
}

/// Splits the input into lines. A line that is too long is split into several.
fn lines(stream: impl Read, mut each: impl FnMut(String)) {
    let mut reader = BufReader::new(stream);
    let mut line = Vec::with_capacity(LONGEST_LINE);
    loop {
        line.clear();
        match (&mut reader).take(LONGEST_LINE as u64).read_until(b'\n', &mut line) {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
        let text = String::from_utf8_lossy(line.strip_suffix(b"\n").unwrap_or(&line));
        if !text.trim().is_empty() {
            each(clean(&text).into_owned());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines_of(written: &[u8]) -> Vec<String> {
        let mut all = Vec::new();
        lines(written, |line| all.push(line));
        all
    }

    #[test]
    fn output_is_split_into_lines_and_cleaned() {
        let written = b"one\n\n<0>\x1b[31mtwo\r\nthree \xff";
        assert_eq!(lines_of(written), ["one", "<0>\u{fffd}[31mtwo\u{fffd}", "three \u{fffd}"]);
    }

    #[test]
    fn a_very_long_line_is_split() {
        let parts = lines_of(&[b'x'; 5 * LONGEST_LINE]);
        assert_eq!(parts.len(), 5);
        assert!(parts.iter().all(|part| part.len() <= LONGEST_LINE));
    }
}
