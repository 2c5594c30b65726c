//! A running guest, and what can be done in it.

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{ExitStatus, Output};
use std::sync::atomic::AtomicU32;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

use crate::agent::Agent;
use crate::console::Console;
use crate::process::Process;
use crate::qmp::Qmp;
use crate::wire::{BODY, Reply, Request, Uevent};
use crate::{Error, Kernel};

/// The time limit for requests that should take a moment.
pub(crate) const LIMIT: Duration = Duration::from_secs(60);

/// A running guest. It ends when this is dropped. If it is dropped by a panic, its console is shown.
///
/// Requests from several threads are handled one after the other.
#[must_use = "a guest ends when it is dropped"]
pub struct Guest {
    // Dropped in this order.
    pub(crate) qmp: Qmp,
    pub(crate) agent: Mutex<Agent>,
    pub(crate) process: Process,
    /// When it began to boot, the time of the boot, and the processor time of the boot.
    pub(crate) times: (Instant, Duration, Duration),
    pub(crate) console: Console,
    pub(crate) kernel: Kernel,
    /// How many processors were ever made, and how many there can be. An independent counter, which orders no other memory.
    pub(crate) made: AtomicU32,
    pub(crate) most: u32,
    pub(crate) _dir: TempDir,
}

impl Guest {
    /// The guest's kernel.
    #[must_use]
    pub fn kernel(&self) -> Kernel {
        self.kernel
    }

    /// Runs a program to its end, within a minute.
    ///
    /// # Errors
    /// If it cannot be started, or takes longer; then it is killed. A failing exit status is not an error.
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

    /// Starts a program and does not wait. Its output goes to a file. Returns its process id, which is not reused before the
    /// program was [waited](Guest::wait) for.
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
    /// If it was not started, or takes longer; then it keeps running.
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
    /// If the guest refuses, or it is not text.
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

    /// Waits for the first line of a file that contains `part`. The file must exist.
    ///
    /// # Errors
    /// If the line does not come in time, or the guest refuses.
    pub fn line(&self, path: &str, part: &str, limit: Duration) -> Result<String, Error> {
        let (path, part) = (path.to_owned(), part.to_owned());
        let request = Request::Line { path, part, limit_ms: millis(limit) };
        let (_, line) = self.ask(&request, &[], limit)?;
        Ok(String::from_utf8_lossy(&line).into_owned())
    }

    /// Writes to a file that exists, with a single write, as kernel files require.
    ///
    /// # Errors
    /// If the guest refuses; [`Error::errno`] gives the reason.
    pub fn write(&self, path: &str, text: &str) -> Result<(), Error> {
        let request = Request::Write { path: path.to_owned() };
        self.ask(&request, text.as_bytes(), LIMIT).map(drop)
    }

    /// Copies a file of this machine into the guest.
    ///
    /// # Errors
    /// If it cannot be read here or written there.
    pub fn put(&self, from: &Path, to: &str) -> Result<(), Error> {
        self.copy(from, to, false)
    }

    /// Copies a file of this machine into the guest; if it is a program, so that all may run it.
    pub(crate) fn copy(&self, from: &Path, to: &str, program: bool) -> Result<(), Error> {
        let bytes = fs::read(from).map_err(Error::here(format!("reading {}", from.display())))?;
        let mut offset = 0;
        loop {
            let part = &bytes[offset..bytes.len().min(offset + BODY)];
            let request = Request::Put { path: to.to_owned(), offset: offset as u64, program };
            self.ask(&request, part, LIMIT)?;
            offset += part.len();
            if offset == bytes.len() {
                return Ok(());
            }
        }
    }

    /// All uevents from this number on.
    ///
    /// # Errors
    /// If the guest cannot receive uevents.
    pub fn uevents(&self, from: usize) -> Result<Vec<Uevent>, Error> {
        match self.ask(&Request::Uevents { from }, &[], LIMIT)?.0 {
            Reply::Uevents(events) => Ok(events),
            other => Err(self.nonsense(&other)),
        }
    }

    /// Waits for the first uevent from this number on that begins with `head`.
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
    /// If the guest cannot receive uevents.
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

    /// The output of the guest's kernel so far.
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
        lock(&self.agent).ask(request, body, limit)
    }

    /// Prints the time and the processor time of the boot and of what came after.
    fn show_times(&self) {
        let (began, boot, boot_cpu) = self.times;
        let (rest, rest_cpu) =
            (began.elapsed().saturating_sub(boot), self.process.used().saturating_sub(boot_cpu));
        let thread = std::thread::current();
        let test = thread.name().unwrap_or_default();
        let times = [boot, boot_cpu, rest, rest_cpu].map(|time| time.as_secs_f64());
        eprintln!(
            "times: {test}: boot {:.1} s, processors {:.1} s; then {:.1} s, processors {:.1} s",
            times[0], times[1], times[2], times[3]
        );
    }

    fn nonsense(&self, reply: &Reply) -> Error {
        Error::Lost { what: format!("answered {reply:?}"), console: self.console.tail() }
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        if std::env::var_os("HOTADD_LAB_TIMES").is_some() {
            self.show_times();
        }
        if std::thread::panicking() {
            eprintln!("the end of the console of {}:\n{}", self.kernel, self.console.tail());
        }
    }
}

pub(crate) fn lock(agent: &Mutex<Agent>) -> MutexGuard<'_, Agent> {
    agent.lock().unwrap_or_else(PoisonError::into_inner)
}

fn owned(argv: &[&str]) -> Vec<String> {
    argv.iter().map(|&arg| arg.to_owned()).collect()
}

fn millis(limit: Duration) -> u64 {
    u64::try_from(limit.as_millis()).unwrap_or(u64::MAX)
}
