//! Parties in other processes, used as a new user would: a named partition in one terminal, an agent in
//! Python in another, and commands in a third.

#[path = "../common/mod.rs"]
mod common;
#[path = "../../../hotadd-service/tests/common/daemon.rs"]
mod daemon;
mod history;
mod waiting;
mod walks;

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::process::Command;

use common::terminal::{Agent, Terminal};
use common::{hotadd, stderr, stdout};
use rustix::process::{Pid, Signal, kill_process};

#[test]
fn a_python_agent_refuses_and_when_it_is_killed_the_next_add_works() {
    let mut terminal = Terminal::start("python", &["--simulate", "1+2", "--", "cat"]);
    let agent = Agent::start(&terminal, &["--refuse", "1"]);

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

    // An agent that is slow to answer is killed in the middle of an add.
    let mut slow = Agent::start(&terminal, &["--delay", "600"]);
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
        "the party and the cause: {said}"
    );

    let joined = terminal.hotadd(&["add", "1"]);
    assert_eq!(joined.status.code(), Some(0), "{}", stderr(&joined));
    assert!(stdout(&joined).contains("processor 1 joined"), "{}", stdout(&joined));
    let history = stdout(&terminal.hotadd(&["history"]));
    assert!(history.contains("veto processor 1 agent.py"), "the history has the veto:\n{history}");
}

#[test]
fn commands_without_a_partition_exit_with_status_3() {
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
fn a_name_in_use_is_refused_and_a_stale_one_replaced() {
    let mut terminal = Terminal::start("names", &["--simulate", "1+1", "--", "cat"]);
    let second = terminal.hotadd(&["run", "--name", "demo", "--simulate", "1+1", "--", "true"]);
    assert_ne!(second.status.code(), Some(0));
    assert!(stderr(&second).contains("demo"), "{}", stderr(&second));
    assert_eq!(terminal.hotadd(&["status"]).status.code(), Some(0), "the first is undisturbed");

    kill_process(Pid::from_child(&terminal.run), Signal::KILL).unwrap();
    terminal.run.wait().unwrap();
    assert!(terminal.dir.join("hotadd/demo").exists(), "a killed run leaves its socket behind");
    let gone = terminal.hotadd(&["status"]);
    assert_eq!(gone.status.code(), Some(3), "nothing listens: {}", stderr(&gone));
    let third = terminal.hotadd(&["run", "--name", "demo", "--simulate", "1+1", "--", "true"]);
    assert_eq!(third.status.code(), Some(0), "{}", stderr(&third));
    assert!(!terminal.dir.join("hotadd/demo").exists());
}

/// The usual limit of descriptors allows fewer connections than the service accepts; here it is lower still.
/// Programs that the run starts must keep the original limit.
#[test]
fn a_low_descriptor_limit_is_raised_for_connections_only() {
    const AGENTS: usize = 100;
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("program");
    // The first argument names the output file. As the command it has none.
    let text = "#!/bin/sh\nsaid=$(dirname \"$0\")/${1:-command}\nulimit -Sn > $said.$$\nmv $said.$$ $said\n";
    fs::write(&program, text).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o700)).unwrap();
    let mut low = Command::new("sh");
    low.args(["-c", "ulimit -Sn 60; exec \"$0\" \"$@\"", env!("CARGO_BIN_EXE_hotadd")]);
    let driver = format!("exec:{}", program.display());
    let command = ["--", "sh", "-c", "\"$0\"; exec cat", program.to_str().unwrap()];
    let args = [&["--simulate", "1+1", "--driver", &driver][..], &command].concat();
    let terminal = Terminal::start_by("descriptors", low, &args);

    let agents: Vec<_> = (0..AGENTS)
        .map(|_| {
            let mut agent = UnixStream::connect(terminal.dir.join("hotadd/demo")).unwrap();
            agent.set_read_timeout(Some(std::time::Duration::from_secs(20))).unwrap();
            agent.write_all(b"\0AUTH EXTERNAL\r\nDATA\r\nBEGIN\r\n").unwrap();
            agent
        })
        .collect();
    for (nth, mut agent) in agents.iter().enumerate() {
        let mut answer = [0; 6];
        let read = agent.read_exact(&mut answer);
        read.unwrap_or_else(|error| panic!("agent {nth} is not served: {error}"));
        assert_eq!(&answer, b"DATA\r\n");
    }
    let limit = |of: &str| fs::read_to_string(folder.path().join(of)).unwrap_or_default();
    while limit("command").is_empty() {
        std::thread::yield_now();
    }
    assert_eq!(limit("command"), "60\n", "the command has its own limit");
    // The limit that the replay's call saw.
    fs::remove_file(folder.path().join("add-start")).unwrap();
    let joined = terminal.hotadd(&["add", "1"]);
    assert_eq!(joined.status.code(), Some(0), "{}{}", stdout(&joined), stderr(&joined));
    assert_eq!(limit("add-start"), "60\n", "a driver's program has its own limit too");
}

#[test]
fn bad_names_are_bad_usage() {
    for name in ["", ".hidden", "a/b", "a b", &"x".repeat(65)] {
        let output = hotadd(&["run", "--name", name, "--simulate", "1+1"]).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{name:?}: {}", stderr(&output));
    }
}

#[test]
fn the_history_marks_rehearsals_and_has_dates_and_local_time() {
    let terminal =
        Terminal::start("history", &["--simulate", "1+2", "--driver", "sample", "--", "cat"]);
    terminal.hotadd(&["rehearse", "2"]);
    let history = |zone: &str| {
        let mut command = hotadd(&["history"]);
        command.env("XDG_RUNTIME_DIR", &terminal.dir).env("TZ", zone);
        stdout(&command.output().unwrap())
    };
    let (here, there) = (history("UTC0"), history("XST-9"));
    let asked = |history: &str| {
        let line = history.lines().find(|line| line.contains("add-start processor 2 sample"));
        line.unwrap_or_else(|| panic!("no party was asked: {history}")).to_owned()
    };
    let (here, there) = (asked(&here), asked(&there));
    assert!(here.contains("sample (rehearsal)"), "{here}");
    // 2026-11-29 05:20:11.123 add-start ...
    let hour = |line: &str| -> u32 {
        let (date, time) = (line.get(..10).unwrap(), line.get(11..).unwrap());
        assert_eq!(date.split('-').map(str::len).collect::<Vec<_>>(), [4, 2, 2], "{line}");
        time.get(..2).unwrap().parse().unwrap()
    };
    assert_eq!((hour(&here) + 9) % 24, hour(&there), "{here}, {there}");
}
