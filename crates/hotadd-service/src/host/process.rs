//! [`Process`]: one process that hosts a driver, from its start to its end.

use std::io::{BufRead, BufReader, Read};
use std::net::Shutdown;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::time::Duration;

use rustix::process::Signal;

use super::{HostSpec, Word};
use crate::Service;
use crate::children::{Children, Offspring};
use crate::said::Tail;

/// How long it may take to end when it is told to, before it is killed.
const GRACE: Duration = Duration::from_secs(1);

/// How long the end of a connection may come before the end of its process. Both are on their way at the same time.
const MEANWHILE: Duration = Duration::from_millis(200);

/// The longest report that is read.
const LONGEST_REPORT: u64 = 2048;

/// A process that hosts a driver. Dropping it ends it.
pub(super) struct Process {
    child: Arc<Offspring>,
    /// Our end of the socket that it reports over.
    report: UnixStream,
}

impl Process {
    /// Starts it, has the service serve it, and listens to what it reports and how it ends.
    pub(super) fn start(
        spec: &HostSpec,
        service: &Service,
        number: u32,
        words: &Sender<Word>,
    ) -> Result<Self, String> {
        let cannot = |error: std::io::Error| error.to_string();
        let (served, its_own) = UnixStream::pair().map_err(cannot)?;
        let (report, reported) = UnixStream::pair().map_err(cannot)?;
        let heard = report.try_clone().map_err(cannot)?;
        let mut command = Command::new(&spec.program);
        command
            .args(&spec.args)
            .stdin(Stdio::from(OwnedFd::from(its_own)))
            .stdout(Stdio::from(OwnedFd::from(reported)))
            .process_group(0);
        let child = Children::get().start(|| match &spec.start {
            Some(start) => start(&mut command),
            None => command.spawn(),
        });
        // It holds the other ends of both sockets, and they would not close when the process has ended.
        drop(command);
        let process = Self { child: Arc::new(child.map_err(cannot)?), report };
        let ended = words.clone();
        process.child.on_end(move |ending| drop(ended.send(Word::Ended(number, ending))));
        let words = words.clone();
        let listen = move || drop(words.send(Word::Report(number, read(heard))));
        let thread = std::thread::Builder::new().name("hotadd-report".to_owned());
        thread.spawn(listen).map_err(cannot)?;
        let child = Arc::clone(&process.child);
        let ending =
            move || child.wait_timeout(MEANWHILE).map(|ending| format!("its process {ending}"));
        service.attach(served, Some(Box::new(ending))).map_err(|error| error.to_string())?;
        Ok(process)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // At the end of this it deregisters its driver and ends.
        let _ = self.report.shutdown(Shutdown::Both);
        if self.child.wait_timeout(GRACE).is_none() {
            self.child.kill_group(Signal::KILL);
            // The kernel may be busy on its behalf, and that is not waited for.
            let _ = self.child.wait_timeout(GRACE);
        }
    }
}

/// The one line that a process reports: `ok PARTY` or `no REASON`. `None` if it is something else.
fn read(report: UnixStream) -> Option<Result<u64, String>> {
    let mut line = Vec::new();
    BufReader::new(report.take(LONGEST_REPORT)).read_until(b'\n', &mut line).ok()?;
    let line = line.strip_suffix(b"\n")?;
    if let Some(party) = line.strip_prefix(b"ok ") {
        return std::str::from_utf8(party).ok()?.parse().ok().map(Ok);
    }
    let mut reason = Tail::default();
    reason.take(&mut line.strip_prefix(b"no ")?);
    Some(Err(reason.last_line().unwrap_or_else(|| "it does not say why".to_owned())))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn report(text: &[u8]) -> Option<Result<u64, String>> {
        let (ours, mut its) = UnixStream::pair().unwrap();
        its.write_all(text).unwrap();
        drop(its);
        read(ours)
    }

    #[test]
    fn one_line_is_read_and_nothing_else() {
        assert_eq!(report(b"ok 17\nand more"), Some(Ok(17)));
        assert_eq!(
            report(b"no it \x1b[31mcannot\n"),
            Some(Err("it \u{fffd}[31mcannot".to_owned()))
        );
        assert_eq!(report(b"no \n"), Some(Err("it does not say why".to_owned())));
        for text in [&b""[..], b"ok 17", b"ok\n", b"ok -1\n", b"ok \xff\n", b"yes\n", &[b'x'; 5000]]
        {
            assert_eq!(report(text), None, "{text:?}");
        }
    }
}
