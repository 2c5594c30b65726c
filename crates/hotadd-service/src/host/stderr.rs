//! Passes on what a driver's process writes to its error output: line by line, cleaned and with its driver's name, like its
//! reports. The process never inherits this program's error output.

use std::io::{self, BufRead, BufReader, Read};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use super::report::{LONGEST_LINE, Output};
use super::spec::OutputHandler;
use hotadd::text::clean;

/// A driver's error output, which is being passed on.
pub(super) struct Stderr {
    /// Its sender is dropped after the last line.
    over: Receiver<()>,
}

impl Stderr {
    /// Passes on what is written, on a thread of its own, until no writer is left.
    pub(super) fn pass_on(
        stderr: impl Read + Send + 'static,
        name: String,
        on_output: Option<OutputHandler>,
    ) -> io::Result<Self> {
        let (passing, over) = channel();
        let listen = move || {
            lines(stderr, |line| match &on_output {
                Some(on_output) => on_output(Output::Printed(line)),
                None => eprintln!("{name}: {line}"),
            });
            drop(passing);
        };
        std::thread::Builder::new().name("hotadd-stderr".to_owned()).spawn(listen)?;
        Ok(Self { over })
    }

    /// Waits until everything is passed on, but not for ever: a process that the driver has started may keep the pipe open.
    pub(super) fn wait(&self, within: Duration) {
        let _ = self.over.recv_timeout(within);
    }
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
    use std::os::unix::net::UnixStream;
    use std::sync::Arc;

    use super::*;

    fn lines_of(written: &[u8]) -> Vec<String> {
        let mut all = Vec::new();
        lines(written, |line| all.push(line));
        all
    }

    #[test]
    fn after_the_wait_everything_that_was_written_has_been_passed_on_even_a_line_without_end() {
        for _ in 0..200 {
            let (sender, lines) = channel();
            let on_output: OutputHandler = Arc::new(move |output| drop(sender.send(output)));
            let output =
                Stderr::pass_on(&b"one\ntwo"[..], "driver".to_owned(), Some(on_output)).unwrap();
            output.wait(Duration::from_secs(60));
            let printed = ["one", "two"].map(|line| Output::Printed(line.to_owned()));
            assert_eq!(lines.try_iter().collect::<Vec<_>>(), printed);
        }
    }

    #[test]
    fn a_writer_that_stays_is_not_waited_for() {
        let (reader, _writer) = UnixStream::pair().unwrap();
        let output = Stderr::pass_on(reader, "driver".to_owned(), None).unwrap();
        output.wait(Duration::from_millis(1));
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
