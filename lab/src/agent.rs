//! The test's end of the [protocol](wire): one request, one reply, within a time limit.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use crate::Error;
use crate::console::Console;
use crate::shared::SharedMemory;
use crate::wire::{self, Reply, Request};

/// The time that an answer may take in addition to the request's own limit: the guest is emulated, and others run at the same
/// time.
const MARGIN: Duration = Duration::from_secs(60);

pub(crate) struct Agent {
    port: UnixStream,
    memory: SharedMemory,
    console: Console,
    /// Why no more requests are possible. After a late reply, the next reply would be taken for the wrong request's.
    lost: Option<String>,
}

impl Agent {
    pub(crate) fn new(port: UnixStream, memory: SharedMemory, console: Console) -> Agent {
        Agent { port, memory, console, lost: None }
    }

    /// Waits until the guest is up, after it was booted.
    pub(crate) fn is_ready(&mut self, until: Instant) -> Result<(), Error> {
        match wire::receive(&mut Timed { port: &self.port, until }, &mut self.memory) {
            Ok((Reply::Ready, _)) => Ok(()),
            Ok((other, _)) => Err(self.lose(format!("began with {other:?}"))),
            Err(e) => Err(self.lose(why(&e, "did not come up"))),
        }
    }

    /// Sends a request that itself takes up to `limit`.
    pub(crate) fn ask(
        &mut self,
        request: &Request,
        body: &[u8],
        limit: Duration,
    ) -> Result<(Reply, Vec<u8>), Error> {
        if let Some(what) = &self.lost {
            return Err(self.gone(what.clone()));
        }
        let mut port = Timed { port: &self.port, until: Instant::now() + limit + MARGIN };
        let memory = &mut self.memory;
        let answer = wire::send(&mut port, memory, request, body)
            .and_then(|()| wire::receive(&mut port, memory));
        match answer {
            Ok((Reply::Refused { errno, reason }, _)) => Err(Error::Refused {
                what: describe(request),
                source: errno
                    .map_or_else(|| io::Error::other(reason), io::Error::from_raw_os_error),
            }),
            Ok((Reply::Late, _)) => {
                let console = self.console.tail();
                Err(Error::Late { what: describe(request), limit, console })
            }
            Ok(answer) => Ok(answer),
            Err(e) => {
                let what = format!("{} ({})", why(&e, "did not answer"), describe(request));
                Err(self.lose(what))
            }
        }
    }

    fn lose(&mut self, what: String) -> Error {
        self.lost = Some(what.clone());
        self.gone(what)
    }

    fn gone(&self, what: String) -> Error {
        Error::Lost { what, console: self.console.tail() }
    }
}

fn why(error: &io::Error, late: &str) -> String {
    match error.kind() {
        io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => format!("{late} in time"),
        io::ErrorKind::UnexpectedEof
        | io::ErrorKind::ConnectionReset
        | io::ErrorKind::BrokenPipe => "ended".into(),
        _ => format!("cannot be reached: {error}"),
    }
}

fn describe(request: &Request) -> String {
    match request {
        Request::Run { argv, .. } => format!("running {}", argv.join(" ")),
        Request::Start { argv, .. } => format!("starting {}", argv.join(" ")),
        Request::Wait { pid, .. } => format!("the end of process {pid}"),
        Request::Signal { pid, signal } => format!("sending signal {signal} to process {pid}"),
        Request::Read { path } => format!("reading {path}"),
        Request::Write { path } => format!("writing {path}"),
        Request::Put { path, .. } => format!("putting a file at {path}"),
        Request::Uevents { .. } => "reading uevents".into(),
        Request::Await { head, .. } => format!("a uevent {head}*"),
        Request::Line { path, part, .. } => format!("{part:?} in {path}"),
    }
}

/// The port with a time limit.
struct Timed<'a> {
    port: &'a UnixStream,
    until: Instant,
}

impl Timed<'_> {
    fn left(&self) -> io::Result<Option<Duration>> {
        let left = self.until.saturating_duration_since(Instant::now());
        if left.is_zero() { Err(io::ErrorKind::TimedOut.into()) } else { Ok(Some(left)) }
    }
}

impl Read for Timed<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.port.set_read_timeout(self.left()?)?;
        self.port.read(buffer)
    }
}

impl Write for Timed<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.port.set_write_timeout(self.left()?)?;
        self.port.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.port.flush()
    }
}
