//! Writing a command's output: the reader may have closed it, and the disk may be full.

mod common;

use std::fs::File;
use std::process::{Command, Stdio};

use common::terminal::Terminal;
use common::{hotadd, stderr};

/// Commands that always print something.
const ALL: [&[&str]; 12] = [
    &["status"],
    &["status", "--json"],
    &["history"],
    &["history", "--json"],
    &["history", "--since", "1h"],
    &["rehearse", "2"],
    &["rehearse", "2", "--json"],
    &["parties", "--json", "--restart", "nobody"],
    &["completions", "bash"],
    &["doctor"],
    &["doctor", "--json"],
    &["inspect", "/proc/self/exe"],
];

fn command(terminal: &Terminal, words: &[&str]) -> Command {
    let mut command = hotadd(words);
    command.env("XDG_RUNTIME_DIR", &terminal.dir);
    command
}

#[test]
fn a_closed_output_is_not_an_error_and_does_not_panic() {
    let terminal = Terminal::start("closed", &["--simulate", "1+2", "--", "cat"]);
    terminal.hotadd(&["add", "1"]);
    for words in ALL {
        let whole = command(&terminal, words).output().unwrap();
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = command(&terminal, words).stdout(Stdio::from(writer)).output().unwrap();
        assert_eq!(output.status.code(), whole.status.code(), "{words:?}");
        assert_eq!(
            stderr(&output),
            stderr(&whole),
            "{words:?}: no message about the closed output"
        );
    }
}

#[test]
fn output_that_cannot_be_written_exits_with_its_own_status() {
    let terminal = Terminal::start("full", &["--simulate", "1+2", "--", "cat"]);
    terminal.hotadd(&["add", "1"]);
    for words in ALL {
        let full = File::options().write(true).open("/dev/full").unwrap();
        let output = command(&terminal, words).stdout(full).output().unwrap();
        let said = stderr(&output);
        assert_eq!(output.status.code(), Some(74), "{words:?}: {said}");
        assert!(said.contains("No space left on device"), "{words:?}: {said}");
    }
}
