//! Metrics: served over HTTP, printed once, and what is made of them for Prometheus.

mod common;

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Command, Stdio};

use hotadd_testing::{Need, skip};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use common::live::{LONG, Live, comes_true};
use common::{hotadd, output, stderr, stdout};

const GET: &str = "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n";

/// The whole reply to a request.
fn reply(mut stream: impl Read + Write, request: &str) -> String {
    stream.write_all(request.as_bytes()).unwrap();
    let mut reply = String::new();
    // Bytes beyond the limit are not read, so the kernel resets the connection.
    let _ = stream.read_to_string(&mut reply);
    reply
}

fn connect(path: &Path) -> UnixStream {
    let stream = UnixStream::connect(path).unwrap();
    stream.set_read_timeout(Some(LONG)).unwrap();
    stream
}

/// A run that serves metrics at a socket, and in which processor 1 joined and 2 was refused by a party with this name.
fn served(folder: &Path, name: &str) -> (Live, std::path::PathBuf) {
    let path = folder.join("metrics.sock");
    let (driver, at) = (format!("sample:veto=2,name={name}"), format!("unix:{}", path.display()));
    let mut live = Live::start(&["--driver", &driver, "--metrics", &at]);
    live.until("refused");
    // Counted after the event was written.
    let refused = "hotadd_adds_total{result=\"vetoed\"} 1\n";
    comes_true("the refusal is counted", || reply(connect(&path), GET).contains(refused));
    (live, path)
}

/// Whether promtool accepts this, if it is installed.
fn promtool(arguments: &[&str], input: &str) -> Option<bool> {
    let mut command = Command::new("promtool");
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut running = match command.spawn() {
        Err(error) if error.kind() == ErrorKind::NotFound => return None,
        running => running.unwrap(),
    };
    running.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = running.wait_with_output().unwrap();
    let said = format!("{}{}", stdout(&output), stderr(&output));
    if !output.status.success() || !said.trim().is_empty() {
        eprintln!("promtool {arguments:?}: {said}");
    }
    Some(output.status.success())
}

#[test]
fn metrics_are_served_over_http_in_both_formats_and_promtool_accepts_them() {
    let folder = tempfile::tempdir().unwrap();
    let (live, path) = served(folder.path(), "a\"b\\c");
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let (head, text) = {
        let reply = reply(connect(&path), GET);
        let (head, text) = reply.split_once("\r\n\r\n").unwrap();
        (head.to_owned(), text.to_owned())
    };
    assert!(
        head.starts_with("HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4"),
        "{head}"
    );
    for line in [
        "hotadd_adds_total{result=\"joined\"} 1",
        "hotadd_adds_total{result=\"vetoed\"} 1",
        "hotadd_vetoes_total{party=\"a\\\"b\\\\c\"} 1",
        "hotadd_processors{state=\"active\"} 2",
        "hotadd_processors{state=\"refused\"} 1",
        "hotadd_parties{state=\"local\"} 1",
        "hotadd_parties{state=\"missing\"} 0",
        "hotadd_phase_duration_seconds_count{phase=\"ask\"} 2",
        "hotadd_phase_duration_seconds_count{phase=\"start\"} 1",
        "hotadd_longest_wait_seconds 0",
    ] {
        assert!(text.lines().any(|each| each == line), "no {line} in {text}");
    }
    let open = reply(
        connect(&path),
        "GET /metrics HTTP/1.1\r\nAccept: application/openmetrics-text\r\n\r\n",
    );
    assert!(
        open.contains("Content-Type: application/openmetrics-text") && open.ends_with("# EOF\n"),
        "{open}"
    );
    live.end();
    assert!(!path.exists(), "the socket is removed");
    match promtool(&["check", "metrics"], &text) {
        None => skip(Need::Program("promtool"), "the text of metrics"),
        Some(accepted) => assert!(accepted, "promtool refuses {text}"),
    }
}

#[test]
fn a_request_that_is_too_large_too_slow_or_no_request_delays_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let (live, path) = served(folder.path(), "pool");
    for (request, status) in [
        ("nonsense\r\n\r\n", "400"),
        ("GET /secret HTTP/1.1\r\n\r\n", "404"),
        ("DELETE /metrics HTTP/1.1\r\n\r\n", "405"),
        (&*format!("GET /metrics HTTP/1.1\r\nX: {}", "x".repeat(10_000)), "431"),
    ] {
        let reply = reply(connect(&path), request);
        assert!(reply.starts_with(&format!("HTTP/1.1 {status} ")), "{request:?}: {reply:?}");
    }
    // More than are served at a time, and none says anything.
    let idle: Vec<_> = (0..10).map(|_| connect(&path)).collect();
    assert!(reply(connect(&path), GET).contains("hotadd_epoch 2\n"), "the idle ones are dropped");
    drop(idle);
    live.end();
}

#[test]
fn the_metrics_of_a_daemon_are_at_the_port_of_its_configuration_and_count_what_is_missing() {
    let folder = tempfile::tempdir().unwrap();
    let [config, socket] = ["hotadd.toml", "run/try"].map(|name| folder.path().join(name));
    let text = format!(
        "[hardware]\nkind = 'simulated'\nsimulate = '1+1'\n[service]\nname = 'try'\nsocket = '{}'\nmetrics = '127.0.0.1:0'\n\
         [[party]]\ndriver = 'exec:/nonexistent/ready'\n",
        socket.display()
    );
    fs::write(&config, text).unwrap();
    let mut command = hotadd(&["daemon", "--config", config.to_str().unwrap()]);
    for name in ["NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "JOURNAL_STREAM"] {
        command.env_remove(name);
    }
    let mut daemon = command.stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(daemon.stderr.take().unwrap()).lines();
    let port = lines.find_map(|line| {
        let line = line.unwrap();
        line.split_once("with metrics at 127.0.0.1:").map(|(_, port)| {
            port.chars()
                .take_while(char::is_ascii_digit)
                .collect::<String>()
                .parse::<u16>()
                .unwrap()
        })
    });
    let port = port.expect("the log says where metrics are");
    let get = || reply(TcpStream::connect(("127.0.0.1", port)).unwrap(), GET);
    comes_true("the add is refused", || {
        get().contains("hotadd_adds_total{result=\"missing\"} 1\n")
    });
    let text = get();
    assert!(text.contains("hotadd_parties{state=\"missing\"} 1\n"), "{text}");
    assert!(
        text.contains("hotadd_party_missing_since_timestamp_seconds{party=\"ready\"} 1"),
        "{text}"
    );
    kill_process(Pid::from_child(&daemon), Signal::TERM).unwrap();
    assert!(daemon.wait().unwrap().success());
}

#[test]
fn the_file_for_node_exporter_is_replaced_as_a_whole() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("hotadd.prom");
    fs::write(&file, "old").unwrap();
    let command = [
        "run",
        "--name",
        "try",
        "--simulate",
        "1+1",
        "--every",
        "0s",
        "--",
        env!("CARGO_BIN_EXE_hotadd"),
        "metrics",
        "-p",
        "try",
        "-o",
        file.to_str().unwrap(),
    ];
    let run = hotadd(&command).env("XDG_RUNTIME_DIR", folder.path()).output().unwrap();
    assert!(run.status.success(), "{}", stderr(&run));
    let text = fs::read_to_string(&file).unwrap();
    assert!(text.contains("hotadd_build_info{version=\"") && text.ends_with('\n'), "{text}");
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o644, "others read it");
    let left: Vec<_> =
        fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(left.iter().all(|name| name == "hotadd.prom" || name == "hotadd"), "{left:?}");
}

#[test]
fn metrics_that_cannot_be_served_are_an_error_before_anything_runs() {
    let folder = tempfile::tempdir().unwrap();
    let (_live, path) = served(folder.path(), "pool");
    let at = format!("unix:{}", path.display());
    for (address, says) in [
        (&*at, "another process listens there"),
        ("unix:/nonexistent/x", "No such file"),
        ("192.0.2.1:1", "Cannot assign"),
    ] {
        let output = output(&["run", "--simulate", "1+1", "--metrics", address, "--", "true"]);
        assert_eq!(output.status.code(), Some(1), "{address}");
        let said = stderr(&output);
        assert!(
            said.contains(&format!("metrics cannot be served at {address}: "))
                && said.contains(says),
            "{said}"
        );
    }
    assert_eq!(output(&["run", "--metrics", "localhost", "--", "true"]).status.code(), Some(2));
    assert!(reply(connect(&path), GET).contains("200 OK"), "the first is still there");
}

/// The names of metrics that a text uses.
fn named(text: &str) -> BTreeSet<String> {
    let words = text.split(|at: char| !(at.is_ascii_alphanumeric() || at == '_'));
    words.filter(|word| word.starts_with("hotadd_")).map(str::to_owned).collect()
}

#[test]
fn the_dashboard_the_alerts_and_the_page_name_only_metrics_that_exist() {
    let folder = tempfile::tempdir().unwrap();
    let (live, path) = served(folder.path(), "pool");
    let metrics = named(&reply(connect(&path), GET));
    live.end();
    let dist = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../dist/monitoring");
    let read = |name: &str| fs::read_to_string(dist.join(name)).unwrap();
    let dashboard: Value = serde_json::from_str(&read("hotadd.dashboard.json")).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let mut queries = String::new();
    for target in panels.iter().flat_map(|panel| panel["targets"].as_array().unwrap()) {
        queries += target["expr"].as_str().unwrap();
        queries.push('\n');
    }
    let rules = read("hotadd.rules.yml");
    let page = include_str!("../../../docs/metrics.md");
    for (what, text) in
        [("the dashboard", queries.as_str()), ("the rules", &rules), ("docs/metrics.md", page)]
    {
        let used = named(text);
        assert!(used.len() > 4, "{what} was read: {used:?}");
        let unknown: Vec<_> = used.difference(&metrics).collect();
        assert!(unknown.is_empty(), "{what} has {unknown:?}, and there is only {metrics:?}");
    }
    let families = metrics
        .iter()
        .filter(|name| !["_bucket", "_sum", "_count"].iter().any(|end| name.ends_with(end)));
    let unnamed: Vec<_> = families.filter(|name| !page.contains(&format!("`{name}`"))).collect();
    assert!(unnamed.is_empty(), "docs/metrics.md lacks {unnamed:?}");
}

#[test]
fn promtool_accepts_the_alert_rules_and_their_tests() {
    let dist = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../dist/monitoring");
    let path = |name: &str| dist.join(name).display().to_string();
    let checked = promtool(&["check", "rules", &path("hotadd.rules.yml")], "");
    let tested = promtool(&["test", "rules", &path("hotadd.rules.test.yml")], "");
    let (Some(checked), Some(tested)) = (checked, tested) else {
        return skip(Need::Program("promtool"), "the alert rules");
    };
    assert!(checked && tested);
    let [rules, tests] = ["hotadd.rules.yml", "hotadd.rules.test.yml"]
        .map(|name| fs::read_to_string(dist.join(name)).unwrap());
    for alert in rules.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")) {
        assert!(tests.contains(&format!("alertname: {alert}\n")), "{alert} has no test");
    }
}
