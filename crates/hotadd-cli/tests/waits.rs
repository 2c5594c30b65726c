//! How long the command line waits for a partition, what it prints meanwhile, and that Ctrl-C ends it.

mod common;

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, ChildStderr, ChildStdin, Command, Stdio};
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use common::fake::{Fake, reply};
use common::live::{LONG, comes_true, ends};
use common::{hotadd, stderr, stdout};
use rustix::process::{Pid, Signal, kill_process};

/// A named run that lasts until it is dropped.
struct Run {
    process: Child,
    _stdin: ChildStdin,
    folder: tempfile::TempDir,
}

impl Run {
    fn new(driver: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let args =
            ["run", "--name", "demo", "--simulate", "1+2", "--add", "none", "--json", "--driver"];
        let mut run = hotadd(&[&args[..], &[driver, "--", "cat"]].concat());
        run.env("XDG_RUNTIME_DIR", folder.path()).stdin(Stdio::piped()).stdout(Stdio::null());
        let mut process = run.spawn().unwrap();
        let stdin = process.stdin.take().unwrap();
        let run = Self { process, _stdin: stdin, folder };
        comes_true("the partition answers", || {
            run.ask(&["status"]).output().unwrap().status.success()
        });
        run
    }

    fn ask(&self, args: &[&str]) -> Command {
        asking(self.folder.path(), args)
    }

    fn send(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.process), signal).unwrap();
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn asking(runtime_dir: &Path, args: &[&str]) -> Command {
    let mut command = hotadd(args);
    command.env("XDG_RUNTIME_DIR", runtime_dir);
    command
}

/// Starts a command whose stderr is read.
fn start(mut command: Command) -> (Child, BufReader<ChildStderr>) {
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let lines = BufReader::new(child.stderr.take().unwrap());
    (child, lines)
}

/// Presses Ctrl-C. Returns what is printed to stderr from then on.
fn interrupt(mut child: Child, mut lines: BufReader<ChildStderr>) -> String {
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    let mut said = String::new();
    lines.read_to_string(&mut said).unwrap();
    let status = child.wait().unwrap();
    assert_eq!(status.code(), Some(130), "it exits, and is not killed: {status}; {said}");
    said
}

#[test]
fn a_stopped_partition_is_reported_after_five_seconds_with_its_process_and_advice() {
    let run = Run::new("sample");
    run.send(Signal::STOP);
    let pid = run.process.id();
    for (args, within) in [
        (&["status"][..], "5s"),
        (&["status", "--timeout", "300ms"], "300ms"),
        (&["parties", "--timeout", "300ms"], "300ms"),
        (&["history", "--timeout", "300ms"], "300ms"),
        (&["add", "1", "--timeout", "300ms"], "300ms"),
        (&["rehearse", "1", "--timeout", "300ms"], "300ms"),
        (&["parties", "--restart", "sample", "--timeout", "300ms"], "300ms"),
    ] {
        let output = ends(run.ask(args));
        assert_eq!(output.status.code(), Some(1), "{args:?}: {}", stdout(&output));
        let said = stderr(&output);
        let says =
            format!("does not answer within {within}, because its process {pid} is stopped; ");
        assert!(said.contains(&says), "{args:?}: {said}");
        assert!(said.contains(&format!("`kill -CONT {pid}` resumes it")), "{args:?}: {said}");
    }
    run.send(Signal::CONT);
    comes_true("it answers again", || run.ask(&["status"]).output().unwrap().status.success());
}

#[test]
fn ctrl_c_ends_a_request_at_once() {
    let (asked, was_asked) = channel();
    let asked = std::sync::Mutex::new(asked);
    let fake = Fake::new(move |_, _| {
        let _ = asked.lock().unwrap().send(());
        None
    });
    for args in [&["status"][..], &["parties"], &["history"]] {
        let (child, lines) = start(asking(fake.runtime_dir(), args));
        was_asked.recv_timeout(LONG).expect("a request");
        assert_eq!(interrupt(child, lines), "", "{args:?}: nothing more is printed");
    }
}

#[test]
fn a_waiting_add_names_the_party_and_continues_in_the_partition_after_ctrl_c() {
    let scripts = tempfile::tempdir().unwrap();
    let script = scripts.path().join("slow");
    fs::write(&script, "#!/bin/sh\ncase \"$1 $2\" in 'add-start 1') sleep 4;; esac\n").unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    let run = Run::new(&format!("exec:{}", script.display()));
    comes_true("its party is registered", || {
        stdout(&run.ask(&["parties"]).output().unwrap()).starts_with("slow (#")
    });
    let (child, mut lines) = start(run.ask(&["add", "1"]));
    let mut line = String::new();
    lines.read_line(&mut line).unwrap();
    assert!(line.starts_with("waiting for slow: AddStart of processor 1, "), "{line}");
    let said = interrupt(child, lines);
    let says = "interrupted; the request continues in the partition; `hotadd status` and ";
    assert!(said.contains(says), "{said}");
    comes_true("it has joined all the same", || {
        stdout(&run.ask(&["status"]).output().unwrap()).contains("active: 0-1 ")
    });
}

#[test]
fn an_add_waits_while_the_partition_answers_or_until_its_time_limit() {
    let answers = Fake::new(|name, call| match name {
        "GetWaiting" => reply(call, &vec![("slow", "AddStart", 1_u32, 1_500_000_u64)]),
        _ => None,
    });
    let (mut child, mut lines) = start(asking(answers.runtime_dir(), &["add", "1"]));
    let mut line = String::new();
    let began = Instant::now();
    // It asks twice a second, for longer than it would wait for one answer.
    for _ in 0..14 {
        line.clear();
        lines.read_line(&mut line).unwrap();
        assert!(line.starts_with("waiting for slow: "), "{line}");
    }
    assert!(
        began.elapsed() > Duration::from_secs(6),
        "it begins after a second and asks twice a second"
    );
    assert_eq!(child.try_wait().unwrap(), None, "it still waits for the party");
    interrupt(child, lines);

    let output = ends(asking(answers.runtime_dir(), &["add", "1", "--timeout", "1500ms"]));
    let said = stderr(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("no answer within 1s 500ms; the request continues "), "{said}");

    let silent = Fake::new(|_, _| None);
    let output = ends(asking(silent.runtime_dir(), &["add", "1"]));
    let said = stderr(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    let says = format!("process {}, does not answer within 5s", std::process::id());
    assert!(
        said.contains(&says) && said.contains("the request may or may not have been carried out"),
        "{said}"
    );
}
