//! [`Report`]: what a process reports about the driver that it hosts, one line for each report.
//!
//! ```text
//! party ID            a callback of the driver is registered, under this number
//! ok                  the driver has begun; the start of the host waits for this line
//! no REASON           the driver has not begun, and the process ends
//! say TEXT            the driver printed this
//! breach TEXT         the driver broke a rule, and goes on
//! fault 0xSTATUS TEXT the driver cannot go on, and the process ends
//! unloaded TEXT       the driver was unloaded and left nothing behind, or it stays
//! left TEXT           the driver was unloaded, and left this behind
//! ```
//! The process may be compromised. An invalid line ends it, and so does a line that is too long.

use std::io::{BufRead, BufReader, Read};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

use hotadd::Status;
use hotadd::text::clean;

use crate::lock::lock;
use crate::object::record::Record;

/// The longest line that is read, including its end.
pub const LONGEST_LINE: usize = 2048;

/// The maximum number of registrations of one process that are remembered: many times as many as one connection may have
/// at a time.
const MOST_PARTIES: usize = 65_536;

/// A line of a report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Line {
    Party(u64),
    Ok,
    No(String),
    Output(Output),
}

/// What a driver's process reports about its driver while it runs. The texts contain no control characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// The driver printed this.
    Printed(String),
    /// The driver broke a rule, and goes on.
    Breach(String),
    /// The driver cannot go on after this fault. The process ends, and its pending requests are refused with this.
    Fault(Status, String),
    /// The driver was unloaded and left no memory behind, or cannot be unloaded.
    Unloaded(String),
    /// The driver was unloaded, and left this memory behind.
    LeftMemory(String),
}

impl Record {
    /// The record of a report from a driver in a process of its own.
    #[must_use]
    pub fn output(driver: &str, output: &Output, epoch: u64) -> Self {
        let mut record = Self::of_run("said", epoch);
        record.driver = Some(driver.to_owned());
        match output {
            Output::Printed(text) => record.text = Some(text.clone()),
            Output::Breach(what) => {
                record.event = "breach";
                record.reason = Some(what.clone());
            }
            Output::Fault(status, what) => {
                record.event = "fault";
                record.set_status(*status);
                record.reason = Some(what.clone());
            }
            Output::Unloaded(left) | Output::LeftMemory(left) => {
                record.event = "unloaded";
                record.text = Some(left.clone());
            }
        }
        record
    }
}

/// Parses a line without its end.
fn parse(line: &[u8]) -> Option<Line> {
    let line = std::str::from_utf8(line).ok()?;
    let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
    let text = || clean(rest).into_owned();
    Some(match word {
        "party" => Line::Party(rest.parse().ok()?),
        "ok" if rest.is_empty() => Line::Ok,
        "no" => Line::No(text()),
        "say" => Line::Output(Output::Printed(text())),
        "breach" => Line::Output(Output::Breach(text())),
        "fault" => {
            let (status, what) = rest.split_once(' ')?;
            let status = u32::from_str_radix(status.strip_prefix("0x")?, 16).ok()?;
            let what = clean(what).into_owned();
            Line::Output(Output::Fault(Status::from_raw(status), what))
        }
        "unloaded" => Line::Output(Output::Unloaded(text())),
        "left" => Line::Output(Output::LeftMemory(text())),
        _ => return None,
    })
}

/// The report of one process. Other threads read from it what the process reported before it ended.
#[derive(Default)]
pub(super) struct Report {
    state: Mutex<State>,
    over: Condvar,
}

#[derive(Default)]
struct State {
    fault: Option<(Status, String)>,
    over: bool,
}

impl Report {
    /// Reads to the end and passes every line on. Reading ends at an invalid line.
    pub(super) fn listen(&self, stream: &UnixStream, mut hear: impl FnMut(Line)) {
        let mut reader = BufReader::new(stream);
        let mut line = Vec::with_capacity(LONGEST_LINE);
        let mut parties = 0;
        loop {
            line.clear();
            let bounded = (&mut reader).take(LONGEST_LINE as u64).read_until(b'\n', &mut line);
            let Some(line) = bounded.ok().and_then(|_| line.strip_suffix(b"\n")) else { break };
            let Some(line) = parse(line) else { break };
            match &line {
                Line::Party(_) if parties == MOST_PARTIES => break,
                Line::Party(_) => parties += 1,
                Line::Output(Output::Fault(status, what)) => {
                    // The first fault is the cause. Later ones may follow from it.
                    lock(&self.state).fault.get_or_insert((*status, what.clone()));
                }
                _ => {}
            }
            hear(line);
        }
        // If the process has not ended, this ends it: the process ends when it sees that the other side is closed.
        let _ = stream.shutdown(Shutdown::Both);
        lock(&self.state).over = true;
        self.over.notify_all();
    }

    /// The fault that ended the process, if there was one. Waits for the end of the report, for at most
    /// `within`.
    pub(super) fn fault(&self, within: Duration) -> Option<(Status, String)> {
        let state = lock(&self.state);
        let waited = self.over.wait_timeout_while(state, within, |state| !state.over);
        waited.unwrap_or_else(PoisonError::into_inner).0.fault.clone()
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn heard(text: &[u8]) -> (Vec<Line>, Option<(Status, String)>) {
        let (ours, mut its) = UnixStream::pair().unwrap();
        its.write_all(text).unwrap();
        drop(its);
        let (report, mut lines) = (Report::default(), Vec::new());
        report.listen(&ours, |line| lines.push(line));
        (lines, report.fault(Duration::ZERO))
    }

    fn printed(text: &str) -> Line {
        Line::Output(Output::Printed(text.to_owned()))
    }

    #[test]
    fn every_kind_of_line_is_read() {
        let text = b"party 17\nok\nno it \x1b[31mcannot\nsay  two  words\nsay \nbreach D4\nunloaded 0 bytes\nleft 64 bytes\n";
        let lines = [
            Line::Party(17),
            Line::Ok,
            Line::No("it \u{fffd}[31mcannot".to_owned()),
            printed(" two  words"),
            printed(""),
            Line::Output(Output::Breach("D4".to_owned())),
            Line::Output(Output::Unloaded("0 bytes".to_owned())),
            Line::Output(Output::LeftMemory("64 bytes".to_owned())),
        ];
        assert_eq!(heard(text), (lines.to_vec(), None));
    }

    #[test]
    fn the_first_fault_is_kept_as_the_reason() {
        let text = b"fault 0xC0000005 reads 0x0\nfault 0xC0000001 and then\n";
        let (lines, fault) = heard(text);
        assert_eq!(lines.len(), 2);
        assert_eq!(fault, Some((Status::ACCESS_VIOLATION, "reads 0x0".to_owned())));
    }

    #[test]
    fn a_malformed_line_ends_the_report() {
        let wrong: [&[u8]; 12] = [
            b"yes\n",
            b"\n",
            b"ok 17\n",
            b"party\n",
            b"party -1\n",
            b"party 99999999999999999999\n",
            b"say \xff\n",
            b"fault\n",
            b"fault 0xC0000005\n",
            b"fault C0000005 x\n",
            b"fault 0x1C0000005 x\n",
            &[b'x'; 5000],
        ];
        for text in wrong {
            let text = [b"say before\n", text, b"say behind\n"].concat();
            assert_eq!(heard(&text), (vec![printed("before")], None), "{text:?}");
        }
        assert_eq!(heard(b"say without its end").0, []);
    }

    #[test]
    fn a_line_may_have_at_most_the_longest_length() {
        let longest = [b"say ", &vec![b'x'; LONGEST_LINE - 5][..], b"\n"].concat();
        assert_eq!(heard(&longest).0.len(), 1);
        let longer = [b"say ", &vec![b'x'; LONGEST_LINE - 4][..], b"\nok\n"].concat();
        assert_eq!(heard(&longer).0, []);
    }

    #[test]
    fn a_malformed_line_closes_the_connection() {
        let (ours, mut its) = UnixStream::pair().unwrap();
        its.write_all(b"nonsense\n").unwrap();
        Report::default().listen(&ours, |_| panic!("no valid line was sent"));
        assert_eq!(its.read(&mut [0]).unwrap(), 0, "the reporter sees the closed connection");
    }
}
