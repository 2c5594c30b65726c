//! [`Reporter`]: sends reports about a driver to the partition's process, as the lines of [`hotadd_service::host`].

use std::fmt::{self, Write as _};
use std::io::Write;
use std::os::unix::net::UnixStream;
use std::sync::Arc;

use hotadd::{PartyInfo, Status};
use hotadd_nt::{Breach, Console, Fault};
use hotadd_service::host::LONGEST_LINE;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// The socket for reports. Cheap to clone.
///
/// A line is a single write, which the kernel does not interleave with another. So there is no lock that could be held when a
/// fault occurs. Write errors are ignored: then no process reads the reports.
#[derive(Clone)]
pub(super) struct Reporter(Arc<UnixStream>);

impl Reporter {
    pub(super) fn new(stream: UnixStream) -> Self {
        Self(Arc::new(stream))
    }

    /// Whether the partition's process has closed its end.
    pub(super) fn is_alone(&self) -> bool {
        let mut fds = [PollFd::new(&*self.0, PollFlags::empty())];
        let looked = poll(&mut fds, Some(&Timespec::default()));
        looked.is_ok() && fds[0].revents().contains(PollFlags::HUP)
    }

    /// Sends one line. Text that is too long is continued in further lines of the same kind.
    pub(super) fn say(&self, word: &str, text: &str) {
        let most = LONGEST_LINE - word.len() - 2;
        let mut rest = text;
        loop {
            let (part, behind) = rest.split_at(boundary(rest, most));
            // Text that may have line ends is split at them before this call.
            let part = part.replace(['\n', '\r'], " ");
            let _ = (&*self.0).write_all(format!("{word} {part}\n").as_bytes());
            if behind.is_empty() {
                return;
            }
            rest = behind;
        }
    }

    /// Sends a word alone.
    pub(super) fn word(&self, word: &str) {
        let _ = (&*self.0).write_all(format!("{word}\n").as_bytes());
    }

    /// Reports a fatal fault as one line. Allocates nothing, because it may be called in a signal handler.
    pub(super) fn end(&self, status: Status, what: fmt::Arguments<'_>) {
        let mut line = Line { bytes: [0; LONGEST_LINE], length: 0 };
        // Text that does not fit is left out.
        let _ = write!(line, "fault 0x{:08X} {what}", status.to_raw());
        line.bytes[line.length] = b'\n';
        let _ = (&*self.0).write_all(&line.bytes[..=line.length]);
    }
}

/// A line. It always has room for its line feed.
struct Line {
    bytes: [u8; LONGEST_LINE],
    length: usize,
}

impl fmt::Write for Line {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for char in text.chars().map(hotadd::text::clean_char) {
            let end = self.length + char.len_utf8();
            if end >= LONGEST_LINE {
                return Err(fmt::Error);
            }
            char.encode_utf8(&mut self.bytes[self.length..end]);
            self.length = end;
        }
        Ok(())
    }
}

impl Console for Reporter {
    fn print(&self, text: &str) {
        for line in text.lines().map(|line| line.replace('\t', "    ")) {
            if !line.is_empty() {
                self.say("say", &line);
            }
        }
    }

    fn breach(&self, breach: &Breach) {
        self.say("breach", &breach.to_string());
    }

    fn fault(&self, fault: &Fault) {
        self.end(fault.status, format_args!("{fault}"));
    }

    fn registered(&self, party: &PartyInfo) {
        self.say("party", &party.id.0.to_string());
    }
}

/// Where a text can be cut, at most `most` bytes behind its start.
fn boundary(text: &str, most: usize) -> usize {
    (0..=most.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    fn written(act: impl FnOnce(&Reporter)) -> String {
        let (mut ours, its) = UnixStream::pair().unwrap();
        let reporter = Reporter::new(its);
        act(&reporter);
        drop(reporter);
        let mut text = String::new();
        ours.read_to_string(&mut text).unwrap();
        text
    }

    #[test]
    fn each_printed_line_is_one_report_line() {
        let text = written(|reporter| reporter.print("one\r\n\ttwo\n\n"));
        assert_eq!(text, "say one\nsay     two\n");
    }

    #[test]
    fn long_lines_are_split_without_loss() {
        let long = "\u{e4}".repeat(3000);
        let text = written(|reporter| reporter.print(&long));
        assert!(text.lines().all(|line| line.len() < LONGEST_LINE), "including its line end");
        let all: String = text.lines().map(|line| line.strip_prefix("say ").unwrap()).collect();
        assert_eq!(all, long);
    }

    #[test]
    fn a_fault_is_reported_in_one_line_of_limited_length() {
        let long = "x\ny".repeat(2000);
        let text = written(|reporter| reporter.end(Status::NO_MEMORY, format_args!("{long}")));
        assert!(text.starts_with("fault 0xC0000017 x yx"), "{text}");
        assert_eq!((text.lines().count(), text.len()), (1, LONGEST_LINE));
    }
}
