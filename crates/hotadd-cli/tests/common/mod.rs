//! Running `hotadd` as a person would, and reading what it says.

#![allow(dead_code, unreachable_pub, reason = "each test file uses its part")]

pub mod terminal;

use std::process::{Command, Output};

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

/// Two processors to work with, or a line that says why a test is skipped.
pub fn two_processors(test: &str) -> Option<(u32, u32)> {
    if let [first, second, ..] = allowed()[..] {
        return Some((first, second));
    }
    eprintln!("skipped: {test}: needs two allowed processors, and there is one");
    None
}
