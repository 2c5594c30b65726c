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
use super::stderr;
use crate::access::rights::Rights;
use crate::children::{Children, Offspring, not_started};
use crate::object::serve::Why;
use crate::parties::named::NamedConnection;
use crate::service::Service;

/// How much longer a process is waited for that is about to say what its driver was doing when its time was up.
const PLACE: Duration = Duration::from_millis(1500);

/// How long the end of a connection may come before the end of its process. Both are on their way at the same time.
const MEANWHILE: Duration = Duration::from_millis(200);

/// A process that hosts a driver. Dropping it ends it, and hears it out.
pub(super) struct Process {
    child: Arc<Offspring>,
    /// Our end of the socket that it reports over.
    stream: Arc<UnixStream>,
    report: Arc<Report>,
    /// How long it may take to end when it is told to, before it is killed.
    grace: Duration,
    named: Option<Arc<NamedConnection>>,
}

impl Process {
    /// Starts it, has the service serve it, and listens to what it reports and how it ends.
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
            // What is said to us there is nothing to a driver.
            .env_clear()
            .stdin(Stdio::from(OwnedFd::from(its_own)))
            .stdout(Stdio::from(OwnedFd::from(reported)))
            .stderr(Stdio::piped())
            .process_group(0);
        let child = Children::get().start(|| match &spec.start {
            Some(start) => start(&mut command),
            None => command.spawn(),
        });
        // It holds the other ends of both sockets, and they would not close when the process has ended.
        drop(command);
        let mut child = child.map_err(cannot)?;
        let stderr = child.stderr.take();
        let process = Self {
            child: Arc::new(child),
            stream: Arc::new(stream),
            report: Arc::default(),
            grace: spec.grace,
            named: spec.required.as_ref().map(|named| Arc::new(named.connects(spec.loads))),
        };
        let ended = words.clone();
        process.child.on_end(move |ending| drop(ended.send(Word::Ended(number, ending))));
        process.listen(spec, number, words.clone()).map_err(cannot)?;
        if let Some(stderr) = stderr {
            stderr::pass_on(stderr, spec).map_err(cannot)?;
        }
        let (child, report) = (Arc::clone(&process.child), Arc::clone(&process.report));
        let lost = words.clone();
        let ending = move || {
            let ended = child.wait_timeout(MEANWHILE);
            let why = ended.map(|ending| match report.fault(MEANWHILE) {
                Some((status, reason)) => Why { status: Some(status), reason },
                None => Why::from(format!("its process {ending}")),
            });
            // Whatever it still does, it does not do it for the partition. Not before: it would be ended by us.
            let _ = lost.send(Word::Lost(number));
            why
        };
        let closed = words.clone();
        let rights = Rights {
            name: spec.name.clone(),
            level: spec.level,
            // What loads a file watches its driver itself, and says where it is when the time is up.
            time_limit: spec.time_limit + if spec.loads { PLACE } else { Duration::ZERO },
            several: spec.loads,
            closed: Box::new(move |loss| drop(closed.send(Word::Closed(number, loss.clone())))),
        };
        let named = process.named.clone();
        let attached = service.attach_driver(served, rights, Box::new(ending), named);
        attached.map_err(|error| error.to_string())?;
        Ok(process)
    }

    /// Passes on what it reports, from a thread of its own.
    fn listen(&self, spec: &HostSpec, number: u32, words: Sender<Word>) -> std::io::Result<()> {
        let (stream, report) = (Arc::clone(&self.stream), Arc::clone(&self.report));
        let heard = spec.heard.clone();
        let listen = move || {
            report.listen(&stream, |line| match line {
                Line::Said(said) => {
                    if let Some(heard) = &heard {
                        heard(said);
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

    /// Its driver has begun: the party is there (L4).
    pub(super) fn begins(&self, attempt: Option<Attempt>) {
        if let (Some(named), Some(attempt)) = (&self.named, attempt) {
            named.begins(attempt);
        }
    }

    /// Ends it without giving it time for anything.
    pub(super) fn kill(&self) {
        self.child.kill_group(Signal::KILL);
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Whoever drops it knows why the party is missing from now on, or has no need of it.
        if let Some(named) = &self.named {
            named.release();
        }
        // At the end of this it deregisters its driver and ends. It may still speak.
        let _ = self.stream.shutdown(Shutdown::Write);
        if self.child.wait_timeout(self.grace).is_none() {
            self.child.end();
        }
        // Whoever drops it knows then that it has heard everything.
        let _ = self.report.fault(MEANWHILE);
        let _ = self.stream.shutdown(Shutdown::Both);
    }
}
