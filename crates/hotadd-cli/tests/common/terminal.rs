//! The terminals of a new user: a named partition in one, an agent in Python in another, and commands in a third.

#![allow(dead_code, unreachable_pub, reason = "each test file uses its part")]

use std::fs;
use std::io::{BufRead, BufReader, Lines};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Output, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::{events, hotadd, stdout};

/// A folder for sockets, and the partition that listens there.
pub struct Terminal {
    pub dir: PathBuf,
    /// The session's bus, if there is one.
    pub session: Option<String>,
    pub run: Child,
    said: Lines<BufReader<ChildStdout>>,
}

impl Terminal {
    /// Starts a partition named `demo` with these further arguments, and waits until their drivers are registered. Before that, each
    /// request is refused (L4).
    pub fn start(test: &str, args: &[&str]) -> Self {
        Self::start_by(test, hotadd(&[]), args)
    }

    /// The same through another command, which runs `hotadd` with the given arguments.
    pub fn start_by(test: &str, mut command: Command, args: &[&str]) -> Self {
        let dir = std::env::temp_dir().join(format!("hotadd-{test}-{}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        let mut run = command
            .args(["run", "--name", "demo", "--add", "none", "--json"])
            .args(args)
            .env("XDG_RUNTIME_DIR", &dir)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut said = BufReader::new(run.stdout.take().unwrap()).lines();
        let first = said.next().unwrap().unwrap();
        assert!(first.contains("\"partition\""), "{first}");
        let mut this = Self { dir, session: None, run, said };
        this.until_listening();
        for _ in args.iter().filter(|arg| **arg == "--driver") {
            this.event("registered");
        }
        this
    }

    /// Waits for the socket. It exists before the command starts, but maybe only a moment after the first event. For another moment it
    /// exists and nobody listens.
    pub fn until_listening(&mut self) {
        let socket = self.dir.join("hotadd/demo");
        while UnixStream::connect(&socket).is_err() {
            assert!(self.run.try_wait().unwrap().is_none(), "it ended before it listened");
            std::thread::yield_now();
        }
    }

    /// Sets the environment in which a command finds the partition.
    pub fn place(&self, command: &mut Command) {
        command.env("XDG_RUNTIME_DIR", &self.dir);
        if let Some(session) = &self.session {
            command.env("DBUS_SESSION_BUS_ADDRESS", session);
        }
    }

    /// Runs a command in the third terminal.
    pub fn hotadd(&self, args: &[&str]) -> Output {
        let mut command = hotadd(args);
        self.place(&mut command);
        command.output().unwrap()
    }

    pub fn json(&self, args: &[&str]) -> Vec<Value> {
        let output = self.hotadd(&[args, &["--json"]].concat());
        events(&stdout(&output))
    }

    /// Ends the partition.
    pub fn end(&mut self) {
        // Closing its input ends the command, `cat`, and with it the run.
        drop(self.run.stdin.take());
        let _ = self.run.wait();
    }

    /// Waits for an event of the partition.
    pub fn event(&mut self, kind: &str) -> Value {
        loop {
            let line = self.said.next().expect("the run goes on").unwrap();
            let event: Value = serde_json::from_str(&line).unwrap();
            if event["event"] == kind {
                return event;
            }
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        self.end();
        let left = fs::read_dir(self.dir.join("hotadd")).map_or(0, Iterator::count);
        let _ = fs::remove_dir_all(&self.dir);
        if !std::thread::panicking() {
            assert_eq!(left, 0, "a socket is left over");
        }
    }
}

/// The Python of the distribution, which has its D-Bus library.
pub fn python() -> Command {
    Command::new("/usr/bin/python3")
}

/// The agent in Python.
pub struct Agent {
    pub process: Child,
    said: Lines<BufReader<ChildStdout>>,
    /// The path of its source.
    _alone: tempfile::TempDir,
}

impl Agent {
    pub fn start(terminal: &Terminal, args: &[&str]) -> Self {
        let mut command = python();
        terminal.place(&mut command);
        Self::start_by(command, args)
    }

    /// The same, with a [`python`] command that knows the partition's place.
    pub fn start_by(mut command: Command, args: &[&str]) -> Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/agent.py");
        // The agent works from any folder.
        let alone = tempfile::tempdir().unwrap();
        let copy = alone.path().join("agent.py");
        fs::copy(path, &copy).unwrap();
        command.arg(copy).arg("demo").args(args).stdout(Stdio::piped());
        let mut process = command.spawn().unwrap();
        let said = BufReader::new(process.stdout.take().unwrap()).lines();
        let mut this = Self { process, said, _alone: alone };
        this.until("registered as party");
        this
    }

    /// Kills it as `kill -9` does.
    pub fn kill(&self) {
        kill_process(Pid::from_child(&self.process), Signal::KILL).unwrap();
    }

    pub fn until(&mut self, words: &str) {
        let said = |line: std::io::Result<String>| line.is_ok_and(|line| line.contains(words));
        assert!(self.said.by_ref().any(said), "the agent never said {words:?}");
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
