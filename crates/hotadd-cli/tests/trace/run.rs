//! `--trace` of runs and daemons.

use std::fs;

use rustix::process::{Pid, Signal, kill_process};

use crate::common::live::{Live, comes_true};
use crate::common::{hotadd, output, stderr};
use crate::{events, has};

#[test]
fn a_run_writes_a_trace_of_all_that_happened() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run.json");
    let trace = path.to_str().unwrap();
    let args = [
        "run",
        "--simulate",
        "1+3,fail-start=2",
        "--every",
        "0s",
        "--driver",
        "sample:veto=3,name=pool",
        "--trace",
        trace,
    ];
    let output = output(&args);
    assert!(output.status.success(), "{}", stderr(&output));
    let events = events(&path);
    for name in [
        "AddStart 1",
        "AddComplete 1",
        "AddStart 3",
        "add 1",
        "add 2",
        "add 3",
        "registered",
        "deregistered",
    ] {
        assert!(has(&events, name), "no {name}: {events:#?}");
    }
    let results: Vec<_> =
        events.iter().filter_map(|event| event["args"]["result"].as_str()).collect();
    assert_eq!(results, ["started", "joined", "start-failed", "refused", "refused"]);
}

#[test]
fn a_killed_run_leaves_a_trace_that_shows_whom_it_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run.json");
    let mut live = Live::start(&[
        "--driver",
        "sample:delay=600000,name=slow",
        "--trace",
        path.to_str().unwrap(),
    ]);
    comes_true("the call is in the trace", || {
        fs::read_to_string(&path)
            .is_ok_and(|text| text.contains("\"AddStart 0\"") && text.ends_with('}'))
    });
    live.run.kill().unwrap();
    live.run.wait().unwrap();
    let text = fs::read_to_string(&path).unwrap();
    // As a viewer reads it: the array has no end.
    let events: Vec<serde_json::Value> = serde_json::from_str(&format!("{text}]")).unwrap();
    let (begins, ends) = ("B", "E");
    let count = |kind: &str| events.iter().filter(|event| event["ph"] == kind).count();
    assert_eq!((count(begins), count(ends)), (1, 0), "{text}");
    let page = hotadd(&["trace", "--html", path.to_str().unwrap()]).output().unwrap();
    assert!(String::from_utf8(page.stdout).unwrap().contains("the trace has no end"));
}

#[test]
fn a_trace_that_cannot_be_written_is_an_error_before_anything_runs() {
    let output =
        output(&["run", "--simulate", "1+1", "--trace", "/nonexistent/trace.json", "--", "true"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(
        stderr(&output)
            .contains("a trace cannot be written to /nonexistent/trace.json: No such file"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn a_daemon_writes_a_trace_where_its_configuration_or_the_option_says() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let [config, socket, first, second] =
        ["hotadd.toml", "run/try", "first.json", "second.json"].map(at);
    let text = format!(
        "[hardware]\nkind = 'simulated'\nsimulate = '1+1'\n[service]\nname = 'try'\nsocket = '{}'\ntrace = '{}'\n",
        socket.display(),
        first.display()
    );
    fs::write(&config, text).unwrap();
    for (more, path) in [(vec![], &first), (vec!["--trace", second.to_str().unwrap()], &second)] {
        let args = [&["daemon", "--config", config.to_str().unwrap()], &more[..]].concat();
        let mut command = hotadd(&args);
        for name in ["NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "JOURNAL_STREAM"] {
            command.env_remove(name);
        }
        let mut daemon = command.stderr(std::process::Stdio::null()).spawn().unwrap();
        comes_true("the processor joined", || {
            fs::read_to_string(path).is_ok_and(|text| text.contains("\"joined\""))
        });
        kill_process(Pid::from_child(&daemon), Signal::TERM).unwrap();
        assert!(daemon.wait().unwrap().success());
        assert!(has(&events(path), "add 1"));
        // The next daemon decides again.
        let _ = fs::remove_file(at("run/try.decided"));
    }
}
