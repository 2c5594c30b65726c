//! Parties in other processes, as a new user meets them: a named partition in one terminal, an agent in Python in another, and
//! commands in a third.

#[path = "../common/mod.rs"]
mod common;
mod waiting;
mod walks;

use std::fs;
use std::io::{BufRead, BufReader, Lines};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Output, Stdio};

use common::{hotadd, stderr, stdout};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

/// A folder for sockets, and the partition that listens there.
struct Terminal {
    dir: PathBuf,
    run: Child,
    said: Lines<BufReader<ChildStdout>>,
}

impl Terminal {
    /// Starts a partition named `demo` with these further arguments.
    fn start(test: &str, args: &[&str]) -> Self {
        let dir = std::env::temp_dir().join(format!("hotadd-{test}-{}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        let all = [&["run", "--name", "demo", "--add", "none", "--json"], args].concat();
        let mut run = hotadd(&all)
            .env("XDG_RUNTIME_DIR", &dir)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut said = BufReader::new(run.stdout.take().unwrap()).lines();
        let first = said.next().unwrap().unwrap();
        assert!(first.contains("\"partition\""), "{first}");
        let mut this = Self { dir, run, said };
        this.until_listening();
        this
    }

    /// The socket is there before the command is started, which may be a moment after the first event.
    fn until_listening(&mut self) {
        let socket = self.dir.join("hotadd/demo");
        while !socket.exists() {
            assert!(self.run.try_wait().unwrap().is_none(), "it ended before it listened");
            std::thread::yield_now();
        }
    }

    /// Runs a command in the third terminal.
    fn hotadd(&self, args: &[&str]) -> Output {
        hotadd(args).env("XDG_RUNTIME_DIR", &self.dir).output().unwrap()
    }

    fn json(&self, args: &[&str]) -> Vec<Value> {
        let output = self.hotadd(&[args, &["--json"]].concat());
        common::events(&stdout(&output))
    }

    /// Waits for an event of the partition.
    fn event(&mut self, kind: &str) -> Value {
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
        // The end of its input ends the command, `cat`, and with it the run.
        drop(self.run.stdin.take());
        let _ = self.run.wait();
        let left = fs::read_dir(self.dir.join("hotadd")).map_or(0, Iterator::count);
        let _ = fs::remove_dir_all(&self.dir);
        if !std::thread::panicking() {
            assert_eq!(left, 0, "a socket is left over");
        }
    }
}

/// The agent in Python.
struct Agent {
    process: Child,
    said: Lines<BufReader<ChildStdout>>,
}

impl Agent {
    fn start(dir: &Path, args: &[&str]) -> Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/agent.py");
        let mut process = Command::new("/usr/bin/python3")
            .arg(path)
            .arg("demo")
            .args(args)
            .env("XDG_RUNTIME_DIR", dir)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let said = BufReader::new(process.stdout.take().unwrap()).lines();
        let mut this = Self { process, said };
        this.until("registered as party");
        this
    }

    /// Kills it as `kill -9` does.
    fn kill(&self) {
        kill_process(Pid::from_child(&self.process), Signal::KILL).unwrap();
    }

    fn until(&mut self, words: &str) {
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

#[test]
fn an_agent_in_python_refuses_by_name_and_when_it_is_killed_the_next_add_works() {
    let mut terminal = Terminal::start("python", &["--simulate", "1+2", "--", "cat"]);
    let agent = Agent::start(&terminal.dir, &["--refuse", "1"]);

    let rehearsal = terminal.hotadd(&["rehearse", "1"]);
    assert_eq!(rehearsal.status.code(), Some(1), "{}", stderr(&rehearsal));
    let said = stdout(&rehearsal);
    assert!(said.contains("processor 1 would be refused"), "{said}");
    assert!(said.contains("agent.py (level 0) refuses"), "{said}");
    assert!(said.contains("there is no room for processor 1"), "{said}");

    let refused = terminal.hotadd(&["add", "1"]);
    assert_eq!(refused.status.code(), Some(1));
    let said = stdout(&refused);
    assert!(said.contains("agent.py refused to add processor 1: there is no room"), "{said}");
    assert!(said.contains("STATUS_INSUFFICIENT_RESOURCES"), "{said}");
    let joined = terminal.hotadd(&["add", "2"]);
    assert_eq!(joined.status.code(), Some(0), "{}", stderr(&joined));

    let status = stdout(&terminal.hotadd(&["status"]));
    assert!(status.contains("active: 0,2"), "{status}");
    assert!(status.contains("processor 1 stays out: agent.py refused"), "{status}");
    let parties = terminal.json(&["parties"]);
    assert_eq!((&parties[0]["name"], &parties[0]["remote"]), (&"agent.py".into(), &true.into()));
    drop(agent);
    assert_eq!(terminal.event("deregistered")["driver"], "agent.py");

    // One that takes its time is killed in the middle of an add.
    let mut slow = Agent::start(&terminal.dir, &["--delay", "600"]);
    let dir = terminal.dir.clone();
    let add = std::thread::spawn(move || {
        hotadd(&["add", "1"]).env("XDG_RUNTIME_DIR", dir).output().unwrap()
    });
    slow.until("asked about 1");
    slow.kill();
    let refused = add.join().unwrap();
    assert_eq!(refused.status.code(), Some(1));
    let said = stdout(&refused);
    assert!(
        said.contains("agent.py") && said.contains("connection"),
        "who, and what happened: {said}"
    );

    let joined = terminal.hotadd(&["add", "1"]);
    assert_eq!(joined.status.code(), Some(0), "{}", stderr(&joined));
    assert!(stdout(&joined).contains("processor 1 joined"), "{}", stdout(&joined));
    let history = stdout(&terminal.hotadd(&["history"]));
    assert!(history.contains("veto processor 1 agent.py"), "the whole story:\n{history}");
}

#[test]
fn commands_without_a_partition_say_so_with_status_3() {
    let dir = std::env::temp_dir().join(format!("hotadd-nobody-{}", std::process::id()));
    fs::create_dir_all(&dir).unwrap();
    for args in [&["status"][..], &["add", "1"], &["history"], &["status", "-p", "demo"]] {
        let output = hotadd(args).env("XDG_RUNTIME_DIR", &dir).output().unwrap();
        assert_eq!(output.status.code(), Some(3), "{args:?}: {}", stderr(&output));
        assert!(
            stderr(&output).contains("hotadd run --name"),
            "it says what to do: {}",
            stderr(&output)
        );
    }
    fs::remove_dir_all(&dir).unwrap();
}

#[test]
fn a_live_name_is_refused_and_a_stale_one_replaced() {
    let mut terminal = Terminal::start("names", &["--simulate", "1+1", "--", "cat"]);
    let second = terminal.hotadd(&["run", "--name", "demo", "--simulate", "1+1", "--", "true"]);
    assert_ne!(second.status.code(), Some(0));
    assert!(stderr(&second).contains("demo"), "{}", stderr(&second));
    assert_eq!(terminal.hotadd(&["status"]).status.code(), Some(0), "the first is undisturbed");

    kill_process(Pid::from_child(&terminal.run), Signal::KILL).unwrap();
    terminal.run.wait().unwrap();
    assert!(terminal.dir.join("hotadd/demo").exists(), "killed, it leaves its socket behind");
    let gone = terminal.hotadd(&["status"]);
    assert_eq!(gone.status.code(), Some(3), "nobody listens: {}", stderr(&gone));
    let third = terminal.hotadd(&["run", "--name", "demo", "--simulate", "1+1", "--", "true"]);
    assert_eq!(third.status.code(), Some(0), "{}", stderr(&third));
    assert!(!terminal.dir.join("hotadd/demo").exists());
}

#[test]
fn bad_names_are_bad_usage() {
    for name in ["", ".hidden", "a/b", "a b", &"x".repeat(65)] {
        let output = hotadd(&["run", "--name", name, "--simulate", "1+1"]).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{name:?}: {}", stderr(&output));
    }
}
