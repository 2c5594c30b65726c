//! Running `hotadd` as a user would, and reading its output.

#![allow(dead_code, unreachable_pub, reason = "each test file uses its part")]

pub mod fake;
pub mod live;
pub mod terminal;

use std::process::{Command, Output};

use hotadd_testing::{Need, skip};
use serde_json::Value;

/// The command under test.
pub fn hotadd(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hotadd"));
    command.args(args).env_remove("NO_COLOR");
    command
}

/// Runs it to its end.
pub fn output(args: &[&str]) -> Output {
    hotadd(args).output().expect("hotadd starts")
}

pub fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).expect("hotadd writes UTF-8")
}

pub fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).expect("hotadd writes UTF-8")
}

/// The commands of a page, each with the output that is shown for it: lines of `console` blocks that begin
/// with a prompt, without their comments, and the lines after them.
pub fn commands(page: &str) -> Vec<(String, Vec<String>)> {
    let mut found: Vec<(String, Vec<String>)> = Vec::new();
    let mut inside = false;
    for line in page.lines() {
        if line.starts_with("```") {
            inside = line == "```console";
        } else if let (true, Some(command)) = (inside, line.strip_prefix("$ ")) {
            let command = command.split("  #").next().unwrap_or(command).trim().to_owned();
            found.push((command, Vec::new()));
        } else if let (true, Some((_, shown))) = (inside, found.last_mut()) {
            shown.push(line.to_owned());
        }
    }
    found
}

/// Whether a command belongs to a walk-through of several terminals, which `tests/parties/walks.rs` runs.
pub fn is_walked(command: &str) -> bool {
    command.starts_with("hotadd run --name demo ")
        || command.starts_with("examples/agent.py ")
        || ["hotadd rehearse 1", "hotadd add 1", "hotadd add 1 --bus session", "hotadd parties"]
            .contains(&command)
}

/// Reads events: one JSON object a line.
pub fn events(text: &str) -> Vec<Value> {
    let read = |line: &str| {
        serde_json::from_str(line).unwrap_or_else(|e| panic!("not JSON ({e}): {line}"))
    };
    text.lines().map(read).collect()
}

/// The events of one kind.
pub fn of<'a>(events: &'a [Value], kind: &str) -> Vec<&'a Value> {
    events.iter().filter(|e| e["event"] == kind).collect()
}

/// The names of all events, in order.
pub fn names(events: &[Value]) -> Vec<&str> {
    events.iter().map(|e| e["event"].as_str().expect("every object has `event`")).collect()
}

/// The hardware ids that this test may run on.
pub fn allowed() -> Vec<u32> {
    let status = std::fs::read_to_string("/proc/self/status").expect("/proc is mounted");
    let list = status.lines().find_map(|l| l.strip_prefix("Cpus_allowed_list:")).expect("a list");
    let list: hotadd::CpuList = list.parse().expect("the kernel writes cpulists");
    list.ids().iter().map(|id| id.0).collect()
}

/// The absent processors and the reasons, as `hotadd status` prints them.
pub fn stay_out(status: &str) -> Vec<(u32, &str)> {
    let lines = status.lines().filter_map(|line| line.strip_prefix("processor "));
    let parts = lines.filter_map(|line| line.split_once(" stays out: "));
    parts.map(|(id, why)| (id.parse().unwrap(), why)).collect()
}

/// Two processors to test with, or `None` and a line that says why the test is skipped.
pub fn two_processors(test: &str) -> Option<(u32, u32)> {
    if let [first, second, ..] = allowed()[..] {
        return Some((first, second));
    }
    skip(Need::TwoProcessors, test);
    None
}
