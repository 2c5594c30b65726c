//! Agents in other languages, over their D-Bus libraries: each connects to the socket of a partition as to a bus, registers,
//! refuses a processor by name, and sees what becomes of others. `./test` fetches the libraries; a line names each missing one.
//! An agent in Rust is in the tests of hotadd-service, `hello.rs`.

#[path = "../common/mod.rs"]
mod common;

mod c;
mod commands;
mod go;
mod node;
mod package;
mod python;
mod script;

use std::io::{BufRead, BufReader, Lines};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

use hotadd_testing::{Need, skip};

use common::terminal::Terminal;
use common::{stderr, stdout};

/// The root of the repository.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// A program of `examples/`.
fn example(name: &str) -> PathBuf {
    root().join("examples").join(name)
}

/// A program beside this file.
fn beside(name: &str) -> PathBuf {
    root().join("crates/hotadd-cli/tests/clients").join(name)
}

/// What `./test` has fetched.
fn fetched(path: &str) -> PathBuf {
    root().join("target/clients").join(path)
}

/// Whether this command succeeds. If not, reports that `test` is skipped for lack of `need`.
fn at_hand(command: &mut Command, need: &'static str, test: &str) -> bool {
    let there = command.output().is_ok_and(|output| output.status.success());
    if !there {
        skip(Need::Program(need), test);
    }
    there
}

/// A partition with processor 0 active, and 1, 2 and 3 to add.
fn partition(test: &str) -> Terminal {
    Terminal::start(test, &["--simulate", "1+3", "--", "cat"])
}

/// The address of its socket.
fn address(terminal: &Terminal) -> String {
    format!("unix:path={}", socket(terminal).display())
}

/// Its socket.
fn socket(terminal: &Terminal) -> PathBuf {
    terminal.dir.join("hotadd/demo")
}

/// An agent that has registered.
struct Agent {
    process: Child,
    said: Lines<BufReader<ChildStdout>>,
}

impl Agent {
    fn start(terminal: &Terminal, mut command: Command) -> Self {
        terminal.place(&mut command);
        let mut process = command.stdout(Stdio::piped()).spawn().unwrap();
        let said = BufReader::new(process.stdout.take().unwrap()).lines();
        let mut agent = Self { process, said };
        agent.says("registered as party");
        agent
    }

    /// Waits for a line with these words.
    fn says(&mut self, words: &str) {
        let mut heard = Vec::new();
        for line in self.said.by_ref() {
            let line = line.unwrap();
            if line.contains(words) {
                return;
            }
            heard.push(line);
        }
        panic!("the agent said {heard:?}, and never {words:?}");
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        // Only a failed test leaves a process here.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Runs an agent that registers by this name and refuses processor 1: it refuses, agrees to processor 2, hears that this one
/// joins and leaves, and ends when the partition ends.
fn refuses_by_name(test: &str, name: &str, command: Command) {
    let mut terminal = partition(test);
    let mut agent = Agent::start(&terminal, command);
    let parties = terminal.hotadd(&["parties"]);
    let listed = stdout(&parties);
    assert!(listed.contains(&format!("{name} (#1, level 0, in another process)")), "{listed}");

    let refused = terminal.hotadd(&["add", "1"]);
    assert_eq!(refused.status.code(), Some(1), "{}", stderr(&refused));
    let reason = "there is no room for processor 1 (STATUS_INSUFFICIENT_RESOURCES, 0xC000009A)";
    let expected = format!("{name} refused to add processor 1: {reason}\n");
    assert_eq!(
        stdout(&refused),
        expected,
        "the refusal names the agent, its reason and its status"
    );
    agent.says("AddStart 1: refused");

    for (request, outcome) in
        [("add", "AddComplete 2 at epoch"), ("remove", "RemoveComplete 2 at epoch")]
    {
        let done = terminal.hotadd(&[request, "2"]);
        assert_eq!(done.status.code(), Some(0), "{request}: {}{}", stdout(&done), stderr(&done));
        agent.says(outcome);
    }

    // The end of the partition is the end of its agents.
    terminal.end();
    let left = agent.process.wait().unwrap();
    assert!(left.code().is_some(), "the agent ends by itself: {left}");
}
