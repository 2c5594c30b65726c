//! `hotadd history --follow` and `--since`, and `hotadd rehearse --remove`.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Stdio};

use serde_json::Value;

use crate::common::live::comes_true;
use crate::common::terminal::Terminal;
use crate::common::{events, hotadd, names, stderr, stdout};

fn follow(terminal: &Terminal, args: &[&str]) -> Child {
    let mut command = hotadd(&[&["history", "--follow"], args].concat());
    terminal.place(&mut command);
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

#[test]
fn a_followed_history_has_every_event_once_and_ends_with_the_partition_in_a_sentence() {
    let mut terminal =
        Terminal::start("follow", &["--simulate", "1+9", "--driver", "sample", "--", "cat"]);
    assert!(terminal.hotadd(&["add", "1"]).status.success());
    let mut follower = follow(&terminal, &["--json"]);
    let mut lines = BufReader::new(follower.stdout.take().unwrap()).lines();
    let mut seen: Vec<Value> = Vec::new();
    let mut until = |id: u32| {
        while !seen.iter().any(|event| event["event"] == "joined" && event["id"] == id) {
            let line = lines.next().expect("the history goes on").unwrap();
            seen.push(serde_json::from_str(&line).unwrap());
        }
    };
    until(1);
    for id in 2..6 {
        assert!(terminal.hotadd(&["add", &id.to_string()]).status.success());
        until(id);
    }
    let whole = terminal.json(&["history"]);
    assert_eq!(seen, whole, "the same as the history, in its order");
    terminal.end();
    let mut said = String::new();
    follower.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert_eq!(said, "hotadd: the partition has ended\n");
    assert!(follower.wait().unwrap().success());
}

#[test]
fn a_followed_history_begins_with_as_many_events_as_wanted() {
    let terminal = Terminal::start("follow-most", &["--simulate", "1+2", "--", "cat"]);
    assert!(terminal.hotadd(&["add", "1"]).status.success());
    let mut follower = follow(&terminal, &["-n", "1"]);
    let mut first = String::new();
    BufReader::new(follower.stdout.take().unwrap()).read_line(&mut first).unwrap();
    assert!(first.contains(" joined processor 1 "), "{first}");
    follower.kill().unwrap();
    follower.wait().unwrap();
}

#[test]
fn a_followed_history_ends_quietly_when_its_reader_is_gone_though_nothing_happens() {
    let terminal = Terminal::start("follow-closed", &["--simulate", "1+2", "--", "cat"]);
    assert!(terminal.hotadd(&["add", "1"]).status.success());
    let mut follower = follow(&terminal, &[]);
    let mut output = BufReader::new(follower.stdout.take().unwrap());
    output.read_line(&mut String::new()).unwrap();
    drop(output);
    comes_true("it ends", || follower.try_wait().unwrap().is_some());
    let mut said = String::new();
    follower.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert_eq!((said.as_str(), follower.wait().unwrap().code()), ("", Some(0)));
}

#[test]
fn since_a_time_only_later_events_are_shown() {
    let terminal = Terminal::start("since", &["--simulate", "1+2", "--", "cat"]);
    assert!(terminal.hotadd(&["add", "1"]).status.success());
    let whole = terminal.json(&["history"]);
    assert_eq!(terminal.json(&["history", "--since", "1h"]), whole);
    assert_eq!(
        terminal.json(&["history", "--since", "4102444800"]),
        Vec::<Value>::new(),
        "in 2100"
    );
    let last = whole.last().unwrap()["time"].as_u64().unwrap();
    // In milliseconds, as the records have it.
    let expected: Vec<_> = whole.iter().filter(|event| event["time"] == last).cloned().collect();
    assert_eq!(terminal.json(&["history", "--since", &last.to_string()]), expected);
    assert_eq!(terminal.json(&["history", "--since", "1h", "-n", "1"]), whole[whole.len() - 1..]);
    let wrong = terminal.hotadd(&["history", "--since", "soon"]);
    assert_eq!(wrong.status.code(), Some(2));
    assert!(stderr(&wrong).contains("a duration such as 10m"), "{}", stderr(&wrong));
}

#[test]
fn a10_a_removal_is_rehearsed_and_removes_nothing() {
    let terminal = Terminal::start(
        "rehearse-removal",
        &["--simulate", "2+1", "--driver", "exec:/bin/true,name=script", "--", "cat"],
    );
    let could = terminal.hotadd(&["rehearse", "--remove", "1"]);
    let said = stdout(&could);
    assert!(could.status.success(), "{said}{}", stderr(&could));
    assert!(said.starts_with("processor 1 could leave; asked: "), "{said}");
    let cannot = terminal.hotadd(&["rehearse", "--remove", "2"]);
    assert_eq!(cannot.status.code(), Some(1));
    assert!(stdout(&cannot).contains("processor 2"), "{}", stdout(&cannot));
    let json = terminal.json(&["rehearse", "--remove", "1"]);
    assert_eq!((&json[0]["agreed"], &json[0]["removal"]), (&true.into(), &true.into()));
    let status = stdout(&terminal.hotadd(&["status"]));
    assert!(status.contains("active: 0-1 "), "{status}");
    let history = events(&stdout(&terminal.hotadd(&["history", "--json"])));
    assert!(!names(&history).contains(&"left"), "{history:#?}");
}
