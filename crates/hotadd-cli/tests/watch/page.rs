//! The commands of docs/watch.md, each run as it is printed.

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use crate::common::live::comes_true;
use crate::common::{commands, hotadd, stderr};
use crate::tmux::{Tmux, exists};
use crate::{USUAL, partition};

#[test]
fn every_command_of_the_page_runs_as_it_is_printed() {
    let test = "watch-page";
    if !exists(test) {
        return;
    }
    let terminal = partition(test, &[]);
    assert!(terminal.hotadd(&["add", "1"]).status.success());
    let mut web = hotadd(&["run", "--name", "web", "--add", "none", "--simulate", "5+0", "--json"]);
    terminal.place(&mut web);
    let web = web.args(["--", "cat"]).stdin(Stdio::piped()).stdout(Stdio::null());
    let mut web = web.spawn().unwrap();
    comes_true("it listens", || terminal.hotadd(&["status", "-p", "web"]).status.success());
    let commands = commands(include_str!("../../../../docs/watch.md"));
    assert!(commands.len() >= 5, "{commands:?}");
    for (command, _) in commands {
        let words: Vec<&str> = command.split(' ').collect();
        assert_eq!(words[0], "hotadd", "{command}");
        if words[1] == "watch" {
            let watch = Tmux::watch(&terminal, USUAL, &[], &words[2..].join(" "));
            watch.until("[demo]  web");
            watch.press(&["q"]);
            watch.until("status 0");
        } else if words.contains(&"--follow") {
            let mut follow = hotadd(&words[1..]);
            terminal.place(&mut follow);
            let mut follow = follow.stdout(Stdio::piped()).spawn().unwrap();
            let mut first = String::new();
            BufReader::new(follow.stdout.take().unwrap()).read_line(&mut first).unwrap();
            assert!(!first.is_empty(), "{command}");
            follow.kill().unwrap();
            follow.wait().unwrap();
        } else {
            let output = terminal.hotadd(&words[1..]);
            assert!(output.status.success() && !output.stdout.is_empty(), "{}", stderr(&output));
        }
    }
    drop(web.stdin.take());
    assert!(web.wait().unwrap().success());
}
