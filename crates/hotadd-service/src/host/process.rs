//! [`Process`]: one process that hosts a driver, from its start to its end.

use std::net::Shutdown;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::time::Duration;

use hotadd::Attempt;
use rustix::process::Signal;

use super::report::{Line, Report};
use super::spec::{HostSpec, Word};
use super::stderr::Stderr;
use crate::access::rights::Rights;
use crate::children::{Children, Offspring, not_started};
use crate::object::serve::Why;
use crate::parties::named::NamedConnection;
use crate::service::Service;

/// How much longer to wait for a process that is about to report what its driver was doing when its time limit expired.
const PLACE: Duration = Duration::from_millis(1500);

/// How much earlier the end of a connection may arrive than the end of its process. Both are under way at the same time.
const MEANWHILE: Duration = Duration::from_millis(200);

/// A process that hosts a driver. Dropping it ends the process, and reads its report to the end.
pub(super) struct Process {
    child: Arc<Offspring>,
    /// This program's end of the socket on which the process reports.
    stream: Arc<UnixStream>,
    report: Arc<Report>,
    stderr: Option<Stderr>,
    /// The time in which the process must end when it is told to. After that it is killed.
    grace: Duration,
    named: Option<Arc<NamedConnection>>,
}

impl Process {
    /// Starts the process, attaches it to the service, and listens to its reports and its end.
    pub(super) fn start(
        spec: &HostSpec,
        service: &Service,
        number: u32,
        words: &Sender<Word>,
    ) -> Result<Self, String> {
        let cannot = |error: std::io::Error| not_started(&error);
        let (served, its_own) = UnixStream::pair().map_err(cannot)?;
        let (stream, reported) = UnixStream::pair().map_err(cannot)?;
        let mut command = Command::new(&spec.program);
        command
            .args(&spec.args)
            // This program's environment is not meant for a driver.
            .env_clear()
            .stdin(Stdio::from(OwnedFd::from(its_own)))
            .stdout(Stdio::from(OwnedFd::from(reported)))
            .stderr(Stdio::piped())
            .process_group(0);
        let child = Children::get().start(|| match &spec.start {
            Some(start) => start(&mut command),
            None => command.spawn(),
        });
        // The command holds the other ends of both sockets. If it kept them, they would not close when the
        // process ends.
        drop(command);
        let mut child = child.map_err(cannot)?;
        let stderr = child.stderr.take();
        let mut process = Self {
            child: Arc::new(child),
            stream: Arc::new(stream),
            report: Arc::default(),
            stderr: None,
            grace: spec.grace,
            named: spec.required.as_ref().map(|named| Arc::new(named.connects(spec.loads))),
        };
        let ended = words.clone();
        process.child.on_end(move |ending| drop(ended.send(Word::Ended(number, ending))));
        process.listen(spec, number, words.clone()).map_err(cannot)?;
        let stderr =
            stderr.map(|stderr| Stderr::pass_on(stderr, spec.name.clone(), spec.on_output.clone()));
        process.stderr = stderr.transpose().map_err(cannot)?;
        let (child, report) = (Arc::clone(&process.child), Arc::clone(&process.report));
        let lost = words.clone();
        let ending = move || {
            let ended = child.wait_timeout(MEANWHILE);
            let why = ended.map(|ending| match report.fault(MEANWHILE) {
                Some((status, reason)) => Why { status: Some(status), reason },
                None => Why::from(format!("its process {ending}")),
            });
            // From now on the process does nothing for the partition. The word is sent after `fault`, because
            // it makes the watch thread end the process.
            let _ = lost.send(Word::Lost(number));
            why
        };
        let closed = words.clone();
        let rights = Rights {
            name: spec.name.clone(),
            level: spec.level,
            // A process that loads a file enforces its driver's time limit itself, and reports where the
            // driver is when it expires.
            time_limit: spec.time_limit + if spec.loads { PLACE } else { Duration::ZERO },
            several: spec.loads,
            closed: Box::new(move |loss| drop(closed.send(Word::Closed(number, loss.clone())))),
        };
        let named = process.named.clone();
        let attached = service.attach_driver(served, rights, Box::new(ending), named);
        attached.map_err(|error| error.to_string())?;
        Ok(process)
    }

    /// Passes on the reports of the process, from a thread of its own.
    fn listen(&self, spec: &HostSpec, number: u32, words: Sender<Word>) -> std::io::Result<()> {
        let (stream, report) = (Arc::clone(&self.stream), Arc::clone(&self.report));
        let on_output = spec.on_output.clone();
        let listen = move || {
            report.listen(&stream, |line| match line {
                Line::Output(output) => {
                    if let Some(on_output) = &on_output {
                        on_output(output);
                    }
                }
                Line::Party(id) => drop(words.send(Word::Party(number, id))),
                Line::Ok => drop(words.send(Word::Begun(number, Ok(())))),
                Line::No(reason) => drop(words.send(Word::Begun(number, Err(reason)))),
            });
            let _ = words.send(Word::Over(number, report.fault(Duration::ZERO)));
        };
        std::thread::Builder::new().name("hotadd-report".to_owned()).spawn(listen).map(drop)
    }

    /// The driver has begun, so the party is not missing (L4).
    pub(super) fn begins(&self, attempt: Option<Attempt>) {
        if let (Some(named), Some(attempt)) = (&self.named, attempt) {
            named.begins(attempt);
        }
    }

    /// Kills the process at once.
    pub(super) fn kill(&self) {
        self.child.kill_group(Signal::KILL);
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // The caller has recorded why the party is missing from now on, or does not need to.
        if let Some(named) = &self.named {
            named.release();
        }
        // When the process reads this end, it deregisters its driver and ends. It may still report.
        let _ = self.stream.shutdown(Shutdown::Write);
        if self.child.wait_timeout(self.grace).is_none() {
            self.child.end();
        }
        // So that everything has been read and passed on when the drop returns.
        let _ = self.report.fault(MEANWHILE);
        if let Some(stderr) = &self.stderr {
            stderr.wait(MEANWHILE);
        }
        let _ = self.stream.shutdown(Shutdown::Both);
    }
}
