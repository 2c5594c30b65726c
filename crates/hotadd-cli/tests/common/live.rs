//! A run that continues while a test examines it.

use std::fs;
use std::io::{BufRead, BufReader, Lines};
use std::process::{Child, ChildStdin, ChildStdout, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::hotadd;

/// Far longer than any step of these tests takes.
pub const LONG: Duration = Duration::from_secs(30);

/// A run that lasts until its input is closed.
pub struct Live {
    pub run: Child,
    /// The command ends when this is closed.
    stdin: Option<ChildStdin>,
    lines: Lines<BufReader<ChildStdout>>,
    seen: Vec<Value>,
}

impl Live {
    pub fn start(more: &[&str]) -> Self {
        let args = [&["run", "--simulate", "1+2", "--every", "0s", "--json"], more, &["--", "cat"]];
        let mut run = hotadd(&args.concat());
        let mut run = run.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (stdin, stdout) = (run.stdin.take(), run.stdout.take().unwrap());
        Self { run, stdin, lines: BufReader::new(stdout).lines(), seen: Vec::new() }
    }

    pub fn with(driver: &str) -> Self {
        Self::start(&["--driver", driver])
    }

    /// The next event.
    pub fn next(&mut self) -> Option<Value> {
        let event: Value = serde_json::from_str(&self.lines.next()?.unwrap()).unwrap();
        self.seen.push(event.clone());
        Some(event)
    }

    /// Reads up to the next event of this kind.
    pub fn until(&mut self, kind: &str) -> Value {
        loop {
            let event = self.next().unwrap_or_else(|| panic!("no {kind} in {:#?}", self.seen));
            if event["event"] == kind {
                return event;
            }
        }
    }

    /// Ends the command. Returns all events.
    pub fn end(mut self) -> Vec<Value> {
        drop(self.stdin.take());
        while self.next().is_some() {}
        assert!(self.run.wait().unwrap().success());
        std::mem::take(&mut self.seen)
    }

    /// Its child processes, with their arguments. A zombie has none.
    pub fn processes(&self) -> Vec<(u32, String)> {
        children_of(self.run.id())
    }

    /// The processes of its drivers.
    pub fn hosts(&self) -> Vec<(u32, String)> {
        let is_host = |words: &str| words.is_empty() || words.contains(" host ");
        self.processes().into_iter().filter(|(_, words)| is_host(words)).collect()
    }

    /// Waits until the run has begun. Then all drivers are registered.
    pub fn begins(&self) {
        comes_true("the command runs", || self.processes().iter().any(|(_, words)| words == "cat"));
    }

    /// The number of sockets and processes that it holds.
    pub fn held(&self) -> usize {
        let fds = fs::read_dir(format!("/proc/{}/fd", self.run.id())).unwrap();
        let links = fds.filter_map(|fd| fs::read_link(fd.ok()?.path()).ok());
        links
            .filter(|to| {
                let to = to.to_string_lossy();
                to.starts_with("socket:") || to.contains("pidfd")
            })
            .count()
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        // Only a failed test leaves a process here.
        let _ = self.run.kill();
        let _ = self.run.wait();
    }
}

/// The child processes of a process, with their arguments. A zombie has none.
pub fn children_of(parent: u32) -> Vec<(u32, String)> {
    let own = format!("PPid:\t{parent}\n");
    let all = fs::read_dir("/proc").unwrap().filter_map(|entry| {
        let pid: u32 = entry.ok()?.file_name().to_str()?.parse().ok()?;
        let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        if !status.contains(&own) {
            return None;
        }
        let words = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
        Some((pid, String::from_utf8_lossy(&words).replace('\0', " ").trim().to_owned()))
    });
    all.collect()
}

/// Runs a command that must end by itself, within [`LONG`].
pub fn ends(mut command: Command) -> Output {
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let began = Instant::now();
    while child.try_wait().unwrap().is_none() {
        if began.elapsed() > LONG {
            child.kill().unwrap();
            panic!("it waits for ever: {:?}", child.wait_with_output());
        }
        // `std` cannot wait for a child with a deadline, so this polls.
        std::thread::sleep(Duration::from_millis(1));
    }
    child.wait_with_output().unwrap()
}

/// Waits until a condition holds, and fails after [`LONG`].
///
/// It polls, because no event reports what other processes do. The pause only leaves the processor to them.
pub fn comes_true(what: &str, mut is_so: impl FnMut() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < LONG, "{what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}
