//! `hotadd trace` of a running partition.

use std::fs;
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::common::hotadd;
use crate::common::live::{comes_true, ends};
use crate::{events, has};

/// A partition with a name, in a folder of its own.
struct Named {
    folder: TempDir,
    run: Child,
}

impl Named {
    fn start(driver: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let args = [
            "run",
            "--name",
            "try",
            "--simulate",
            "1+3",
            "--add",
            "1",
            "--every",
            "0s",
            "--driver",
            driver,
            "--",
            "cat",
        ];
        let mut command = hotadd(&args);
        command.env("XDG_RUNTIME_DIR", folder.path()).stdin(Stdio::piped()).stderr(Stdio::null());
        let named = Self { run: command.spawn().unwrap(), folder };
        comes_true("the processor joined", || {
            named.ask(&["history", "--json"]).contains("\"joined\"")
        });
        named
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = hotadd(args);
        command.env("XDG_RUNTIME_DIR", self.folder.path());
        command
    }

    fn ask(&self, args: &[&str]) -> String {
        String::from_utf8(self.command(args).output().unwrap().stdout).unwrap()
    }

    fn end(&mut self) {
        drop(self.run.stdin.take());
        self.run.wait().unwrap();
    }
}

impl Drop for Named {
    fn drop(&mut self) {
        let _ = self.run.kill();
        let _ = self.run.wait();
    }
}

#[test]
fn the_trace_of_a_running_partition_has_its_history_and_what_follows_until_ctrl_c() {
    let named = Named::start("sample:veto=2,name=pool");
    let path = named.folder.path().join("trace.json");
    let mut trace = named.command(&["trace", "-o", path.to_str().unwrap()]).spawn().unwrap();
    let written = |what: &str| fs::read_to_string(&path).is_ok_and(|text| text.contains(what));
    comes_true("the history is there", || written("\"add 1\""));
    named.ask(&["add", "2"]);
    comes_true("what follows is there", || written("\"add 2\""));
    kill_process(Pid::from_child(&trace), Signal::INT).unwrap();
    assert_eq!(trace.wait().unwrap().code(), Some(0));
    let events = events(&path);
    let begins = events.iter().find(|event| event["name"] == "trace begins").unwrap();
    assert_eq!(begins["args"]["active"], "0", "before its history");
    assert_eq!(begins["args"]["spare"], "1-3");
    let results: Vec<_> =
        events.iter().filter_map(|event| event["args"]["result"].as_str()).collect();
    assert_eq!(results, ["started", "joined", "refused"]);
    for name in ["AddStart 1", "AddStart 2", "registered"] {
        let count =
            events.iter().filter(|event| event["name"] == name && event["ph"] != "E").count();
        assert!(count > 0, "{name}");
    }
    assert!(!has(&events, "events lost"));
}

#[test]
fn the_trace_ends_with_the_time_and_with_the_partition() {
    let mut named = Named::start("sample:name=pool");
    let short = ends(named.command(&["trace", "--for", "1ms"]));
    assert!(short.status.success());
    assert!(has(
        &hotadd_testing::trace::events(&String::from_utf8(short.stdout).unwrap()),
        "add 1"
    ));
    let path = named.folder.path().join("trace.json");
    let mut trace = named
        .command(&["trace", "-o", path.to_str().unwrap()])
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    comes_true("it traces", || {
        fs::read_to_string(&path).is_ok_and(|text| text.contains("\"add 1\""))
    });
    named.end();
    assert!(trace.wait().unwrap().success());
    events(&path);
    let absent = ends(named.command(&["trace", "-p", "try"]));
    assert_eq!(absent.status.code(), Some(3));
}

#[test]
fn the_page_of_a_running_partition_is_one_file() {
    let named = Named::start("sample:name=pool");
    let page = ends(named.command(&["trace", "--for", "1ms", "--html"]));
    assert!(page.status.success());
    let page = String::from_utf8(page.stdout).unwrap();
    assert!(page.starts_with("<!DOCTYPE html>") && page.contains("\"AddStart 1\""));
    for outside in ["http:", "https:", " src=", " href=", "url(", "@import", " style="] {
        let found = page.match_indices(outside).map(|(at, _)| &page[at..(at + 60).min(page.len())]);
        let found: Vec<_> =
            found.filter(|text| !text.starts_with("http://www.w3.org/2000/svg")).collect();
        assert!(found.is_empty(), "{outside}: {found:?}");
    }
}
