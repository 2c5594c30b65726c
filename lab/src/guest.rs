//! A guest that runs, and what can be done in it.

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{ExitStatus, Output};
use std::sync::atomic::AtomicU32;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use crate::agent::Agent;
use crate::console::Console;
use crate::process::Process;
use crate::qmp::Qmp;
use crate::wire::{CHUNK, Reply, Request, Uevent};
use crate::{Error, Kernel};

/// For what should take a moment.
pub(crate) const LIMIT: Duration = Duration::from_secs(60);

/// A running guest. It ends when this is dropped. If that is because of a panic, its console is shown.
///
/// What is asked of it from several threads is done one after the other.
#[must_use = "a guest ends when it is dropped"]
pub struct Guest {
    // In the order in which they end.
    pub(crate) qmp: Qmp,
    pub(crate) agent: Mutex<Agent>,
    pub(crate) _process: Process,
    pub(crate) console: Console,
    pub(crate) kernel: Kernel,
    /// How many processors there were ever, and how many there can be. A count of its own, which orders nothing.
    pub(crate) made: AtomicU32,
    pub(crate) most: u32,
    pub(crate) _dir: TempDir,
}

impl Guest {
    /// Which kernel it runs.
    #[must_use]
    pub fn kernel(&self) -> Kernel {
        self.kernel
    }

    /// Runs a program to its end, within a minute.
    ///
    /// # Errors
    /// If it cannot be started or takes longer; then it was killed. How it ended is not looked at.
    pub fn run(&self, argv: &[&str]) -> Result<Output, Error> {
        self.run_within(LIMIT, argv)
    }

    /// Runs a program to its end, within a time.
    ///
    /// # Errors
    /// As [`run`](Guest::run).
    pub fn run_within(&self, limit: Duration, argv: &[&str]) -> Result<Output, Error> {
        let request = Request::Run { argv: owned(argv), limit_ms: millis(limit) };
        let (reply, mut stdout) = self.ask(&request, &[], limit)?;
        let Reply::Ran { status, output } = reply else { return Err(self.nonsense(&reply)) };
        let stderr = stdout.split_off(output.min(stdout.len()));
        Ok(Output { status: ExitStatus::from_raw(status), stdout, stderr })
    }

    /// Starts a program and leaves it. What it says goes to a file. Gives its process id, which is free for others only once it
    /// was [waited](Guest::wait) for.
    ///
    /// # Errors
    /// If it cannot be started.
    pub fn start(&self, argv: &[&str], output: &str) -> Result<u32, Error> {
        let request = Request::Start { argv: owned(argv), output: output.to_owned() };
        match self.ask(&request, &[], LIMIT)?.0 {
            Reply::Started { pid } => Ok(pid),
            other => Err(self.nonsense(&other)),
        }
    }

    /// Waits for the end of a program that was started.
    ///
    /// # Errors
    /// If it was not started, or takes longer. Then it runs on.
    pub fn wait(&self, pid: u32, limit: Duration) -> Result<ExitStatus, Error> {
        match self.ask(&Request::Wait { pid, limit_ms: millis(limit) }, &[], limit)?.0 {
            Reply::Ran { status, .. } => Ok(ExitStatus::from_raw(status)),
            other => Err(self.nonsense(&other)),
        }
    }

    /// Sends a signal to a program that was started.
    ///
    /// # Errors
    /// If it was not started, or there is no such signal.
    pub fn signal(&self, pid: u32, signal: i32) -> Result<(), Error> {
        self.ask(&Request::Signal { pid, signal }, &[], LIMIT).map(drop)
    }

    /// Reads a text, without the newline at its end.
    ///
    /// # Errors
    /// If the guest refuses, or it is no text.
    pub fn read(&self, path: &str) -> Result<String, Error> {
        let mut text = String::from_utf8(self.get(path)?)
            .map_err(|e| Error::here(format!("reading {path}"))(std::io::Error::other(e)))?;
        if text.ends_with('\n') {
            text.pop();
        }
        Ok(text)
    }

    /// Reads a file.
    ///
    /// # Errors
    /// If the guest refuses.
    pub fn get(&self, path: &str) -> Result<Vec<u8>, Error> {
        let request = Request::Read { path: path.to_owned() };
        self.ask(&request, &[], LIMIT).map(|(_, body)| body)
    }

    /// The first line of a file that has this in it, when it has been written. The file must exist.
    ///
    /// # Errors
    /// If it does not come in time, or the guest refuses.
    pub fn line(&self, path: &str, part: &str, limit: Duration) -> Result<String, Error> {
        let (path, part) = (path.to_owned(), part.to_owned());
        let request = Request::Line { path, part, limit_ms: millis(limit) };
        let (_, line) = self.ask(&request, &[], limit)?;
        Ok(String::from_utf8_lossy(&line).into_owned())
    }

    /// Writes to a file that exists, in one go, as files of the kernel want it.
    ///
    /// # Errors
    /// If the guest refuses; [`Error::errno`] says how.
    pub fn write(&self, path: &str, text: &str) -> Result<(), Error> {
        let request = Request::Write { path: path.to_owned() };
        self.ask(&request, text.as_bytes(), LIMIT).map(drop)
    }

    /// Puts a file of this machine into the guest. Large ones are better brought along: [`Lab::file`](crate::Lab::file).
    ///
    /// # Errors
    /// If it cannot be read here or written there.
    pub fn put(&self, from: &Path, to: &str) -> Result<(), Error> {
        let bytes = fs::read(from).map_err(Error::here(format!("reading {}", from.display())))?;
        let mut offset = 0;
        loop {
            let chunk = &bytes[offset..bytes.len().min(offset + CHUNK)];
            let request = Request::Put { path: to.to_owned(), offset: offset as u64 };
            self.ask(&request, chunk, LIMIT)?;
            offset += chunk.len();
            if offset == bytes.len() {
                return Ok(());
            }
        }
    }

    /// All uevents from the one with this number on.
    ///
    /// # Errors
    /// If the guest cannot hear them.
    pub fn uevents(&self, from: usize) -> Result<Vec<Uevent>, Error> {
        match self.ask(&Request::Uevents { from }, &[], LIMIT)?.0 {
            Reply::Uevents(events) => Ok(events),
            other => Err(self.nonsense(&other)),
        }
    }

    /// The first uevent from this number on that begins so, when it comes.
    ///
    /// # Errors
    /// If it does not come in time.
    pub fn uevent(&self, from: usize, head: &str, limit: Duration) -> Result<Uevent, Error> {
        let request = Request::Await { from, head: head.to_owned(), limit_ms: millis(limit) };
        match self.ask(&request, &[], limit)?.0 {
            Reply::Uevents(mut events) if events.len() == 1 => Ok(events.remove(0)),
            other => Err(self.nonsense(&other)),
        }
    }

    /// The number that the next uevent will have.
    ///
    /// # Errors
    /// If the guest cannot hear them.
    pub fn next_uevent(&self) -> Result<usize, Error> {
        Ok(self.uevents(0)?.last().map_or(0, |event| event.number + 1))
    }

    /// Runs a command of QEMU's machine protocol.
    ///
    /// # Errors
    /// If QEMU refuses it.
    pub fn qmp(&self, command: &str, arguments: Value) -> Result<Value, Error> {
        self.qmp.execute(command, arguments)
    }

    /// All events of QEMU's machine protocol so far.
    #[must_use]
    pub fn events(&self) -> Vec<Value> {
        self.qmp.events()
    }

    /// What the guest's kernel has said so far.
    #[must_use]
    pub fn console(&self) -> String {
        self.console.text()
    }

    pub(crate) fn ask(
        &self,
        request: &Request,
        body: &[u8],
        limit: Duration,
    ) -> Result<(Reply, Vec<u8>), Error> {
        let mut agent = self.agent.lock().unwrap_or_else(PoisonError::into_inner);
        agent.ask(request, body, limit)
    }

    fn nonsense(&self, reply: &Reply) -> Error {
        Error::Lost { what: format!("answered {reply:?}"), console: self.console.tail() }
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the end of the console of {}:\n{}", self.kernel, self.console.tail());
        }
    }
}

fn owned(argv: &[&str]) -> Vec<String> {
    argv.iter().map(|&arg| arg.to_owned()).collect()
}

fn millis(limit: Duration) -> u64 {
    u64::try_from(limit.as_millis()).unwrap_or(u64::MAX)
}
