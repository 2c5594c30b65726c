//! A daemon over simulated processors, in its own folder that outlives the daemon.

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

use crate::common::live::LONG;
use crate::common::{events, hotadd, stdout};

/// A folder with a configuration and the daemon's socket. The last clone removes it.
#[derive(Clone)]
pub(crate) struct Stage {
    pub(crate) folder: Arc<TempDir>,
}

impl Stage {
    pub(crate) fn new(config: &str) -> Self {
        let stage = Self { folder: Arc::new(tempfile::tempdir().unwrap()) };
        stage.write(config);
        stage
    }

    /// Writes the configuration.
    pub(crate) fn write(&self, config: &str) {
        self.write_with(config, "");
    }

    /// The same, with these keys of the section `service`.
    pub(crate) fn write_with(&self, config: &str, service: &str) {
        let socket = self.path("run/try");
        let config = format!("{config}\n[service]\nname = 'try'\nsocket = '{socket}'\n{service}\n");
        fs::write(self.path("hotadd.toml"), config).unwrap();
    }

    /// Writes a program that can be a party. Its text may use `$stage` for the folder.
    pub(crate) fn script(&self, name: &str, says: &str) -> String {
        let path = self.path(name);
        let folder = self.folder.path().display();
        fs::write(&path, format!("#!/bin/sh\nstage={folder}\n{says}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        path
    }

    /// A fixture with simulated processors.
    pub(crate) fn simulated(keys: &str) -> Self {
        Self::new(&format!("[hardware]\nkind = 'simulated'\n{keys}"))
    }

    pub(crate) fn path(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    pub(crate) fn command(&self) -> Command {
        let mut command = hotadd(&["daemon", "--config", &self.path("hotadd.toml")]);
        for name in ["NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "JOURNAL_STREAM"] {
            command.env_remove(name);
        }
        command
    }

    /// Runs a daemon that ends by itself.
    pub(crate) fn fails(&self) -> Output {
        self.command().output().unwrap()
    }

    pub(crate) fn start(self) -> Daemon {
        let command = self.command();
        Daemon::start(self, command)
    }
}

/// A running daemon.
pub(crate) struct Daemon {
    pub(crate) stage: Stage,
    pub(crate) process: Child,
    lines: Receiver<String>,
    output: Vec<String>,
}

impl Daemon {
    pub(crate) fn start(stage: Stage, mut command: Command) -> Self {
        let mut process = command.stderr(Stdio::piped()).spawn().unwrap();
        let (sender, lines) = channel();
        let stderr = BufReader::new(process.stderr.take().unwrap());
        std::thread::spawn(move || stderr.lines().try_for_each(|line| sender.send(line.unwrap())));
        Self { stage, process, lines, output: Vec::new() }
    }

    /// Reads up to a line that begins with this text, and returns the line.
    pub(crate) fn until(&mut self, begins: &str) -> String {
        loop {
            let line = self.lines.recv_timeout(LONG);
            let line = line.unwrap_or_else(|_| panic!("no {begins:?} in {:#?}", self.output));
            self.output.push(line.clone());
            if line.starts_with(begins) {
                return line;
            }
        }
    }

    pub(crate) fn ask(&self, args: &[&str]) -> Output {
        hotadd(args).args(["-p", &self.stage.path("run/try")]).output().unwrap()
    }

    pub(crate) fn history(&self) -> Vec<Value> {
        events(&stdout(&self.ask(&["history", "--json"])))
    }

    pub(crate) fn send(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.process), signal).unwrap();
    }

    /// Ends the daemon. Returns all that it printed.
    pub(crate) fn end(mut self, signal: Signal) -> Vec<String> {
        self.send(signal);
        self.output.extend(self.lines.iter());
        assert_eq!(
            self.process.wait().unwrap().code(),
            Some(0),
            "it ended without an error: {:#?}",
            self.output
        );
        let left = fs::read_dir(self.stage.path("run")).unwrap();
        let left: Vec<_> = left.map(|left| left.unwrap().file_name()).collect();
        assert_eq!(left, ["try.decided"], "only the state file is left");
        std::mem::take(&mut self.output)
    }

    /// Kills the daemon.
    pub(crate) fn kill(mut self) -> Stage {
        self.send(Signal::KILL);
        self.process.wait().unwrap();
        self.stage.clone()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // Only a failed test leaves a process here.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
