//! The examples that run for as long as their caller wants: each in a process of its own, whose mask the test widens as a container's
//! manager does.
#![cfg(not(hotadd_loom))]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use hotadd_testing::Need;
use rustix::thread::{CpuSet, Pid, sched_setaffinity};

#[path = "../examples/counter_server.rs"]
mod counter_server;
#[path = "../examples/percpu_cache.rs"]
#[expect(dead_code, reason = "its arguments are read only where it is a program")]
mod percpu_cache;

/// The role that a process of this test plays.
const ROLE: &str = "HOTADD_EXAMPLE";

/// The entry point of the processes that the tests start. Without a role it does nothing.
#[test]
fn play() {
    let role = std::env::var(ROLE).unwrap_or_default();
    let ended = match role.as_str() {
        "" => return,
        "unprepared" => percpu_cache::run(true, usize::MAX).map(drop),
        "prepared" => percpu_cache::run(false, usize::MAX).map(drop),
        "one cache" => percpu_cache::run(false, 1).map(drop),
        "server" => counter_server::main(),
        other => panic!("no role {other}"),
    };
    ended.unwrap();
}

/// An example that runs.
struct Example {
    child: Child,
    output: Receiver<String>,
}

/// How long an example may take to print a line. A line that never comes is a failure, and no hang.
const PATIENCE: Duration = Duration::from_secs(60);

impl Example {
    fn start(role: &str) -> Self {
        let mut command = Command::new("taskset");
        command.args(["-c", "0"]).arg(std::env::current_exe().unwrap());
        command.args(["--exact", "play", "--nocapture"]).env(ROLE, role);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        // A thread that crashes says so there.
        let mut child = command.stderr(Stdio::null()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let (to, output) = channel();
        std::thread::spawn(move || {
            lines.map_while(Result::ok).try_for_each(|line| to.send(line).map_err(drop))
        });
        Self { child, output }
    }

    /// Reads until a line contains this text. Returns the line.
    fn line(&self, text: &str) -> String {
        let mut seen = String::new();
        loop {
            let line = self.output.recv_timeout(PATIENCE);
            let line = line.unwrap_or_else(|why| panic!("no {text:?}: {why}; printed:\n{seen}"));
            if line.contains(text) {
                return line;
            }
            seen += &format!("{line}\n");
        }
    }

    /// Lets each of its threads run on processors 0 and 1.
    fn widen(&self) {
        let mut mask = CpuSet::new();
        mask.set(0);
        mask.set(1);
        for thread in std::fs::read_dir(format!("/proc/{}/task", self.child.id())).unwrap() {
            let thread = thread.unwrap().file_name().to_str().unwrap().parse().unwrap();
            // A thread may have ended.
            let _ = sched_setaffinity(Pid::from_raw(thread), &mask);
        }
    }

    /// Closes its input, and reads the rest of its output.
    fn end(mut self) -> String {
        drop(self.child.stdin.take());
        let lines = std::iter::from_fn(|| self.output.recv_timeout(PATIENCE).ok());
        lines.collect::<Vec<_>>().join("\n")
    }
}

impl Drop for Example {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Starts an example on processor 0, if the test may use processor 1 too.
fn start(role: &str) -> Option<Example> {
    Need::FirstTwo.is_met(role).then(|| Example::start(role))
}

#[test]
fn a_per_cpu_cache_that_is_not_asked_crashes_when_a_processor_joins() {
    let Some(example) = start("unprepared") else { return };
    example.line("a table of 1 caches");
    example.widen();
    example.line("threads crashed");
}

#[test]
fn a_per_cpu_cache_that_is_asked_works_on_with_one_more_processor() {
    let Some(example) = start("prepared") else { return };
    example.line("a cache for each of 1 processors");
    example.widen();
    example.line("processor 1 joined: it has a cache");
    assert!(example.end().contains("worked to the end"), "no thread crashed");
}

#[test]
fn a_per_cpu_cache_without_memory_refuses_the_processor_and_works_on() {
    let Some(example) = start("one cache") else { return };
    example.line("a cache for each of 1 processors");
    example.widen();
    let line = example.line("processor 1 was refused");
    assert!(line.contains("there is memory for 1 caches"), "{line}");
    assert!(example.end().contains("worked to the end"), "no thread crashed");
}

#[test]
fn a_counter_server_has_a_shard_for_a_processor_before_it_joins_and_loses_no_count() {
    let Some(example) = start("server") else { return };
    let line = example.line("1 shards behind");
    let address = line.trim().rsplit(' ').next().unwrap().to_owned();
    let ask = |requests: &str| {
        let mut stream = TcpStream::connect(&address).unwrap();
        stream.write_all(requests.as_bytes()).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    };
    assert_eq!(ask("hit\nhit 5\nsum\n"), "6\n");
    example.widen();
    example.line("processor 1 joined: it has shard 1");
    for _ in 0..100 {
        assert_eq!(ask("hit\n"), "");
    }
    assert_eq!(ask("sum\n"), "106\n", "nothing is lost");
    let shards = ask("shards\n");
    assert!(shards.contains("0: ") && shards.contains(", 1: "), "{shards}");
    assert_eq!(ask("stop\n"), "requests are: hit, hit N, sum, shards\n");
    assert_eq!(ask("hit many\n"), "many is not a number\n");
}
