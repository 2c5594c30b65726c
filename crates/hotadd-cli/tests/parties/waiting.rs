//! A caller that waits is told for which party: as lines if the output is not a terminal, as one line that is
//! overwritten if it is.

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Read};
use std::process::Stdio;

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

use crate::common::terminal::{Agent, Terminal};
use crate::common::{hotadd, stdout};

const WAITING: &str = "waiting for agent.py: AddStart of processor 1, ";

#[test]
fn a_waiting_add_names_the_party_in_lines() {
    let terminal = Terminal::start("lines", &["--simulate", "1+1", "--", "cat"]);
    let slow = Agent::start(&terminal, &["--delay", "600"]);
    let mut add = hotadd(&["add", "1"]);
    add.env("XDG_RUNTIME_DIR", &terminal.dir).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut add = add.spawn().unwrap();
    let mut said = BufReader::new(add.stderr.take().unwrap()).lines();
    for _ in 0..2 {
        let line = said.next().expect("it waits, and says so again and again").unwrap();
        assert!(line.starts_with(WAITING), "{line}");
    }
    slow.kill();
    let answer = stdout(&add.wait_with_output().unwrap());
    assert!(
        answer.starts_with("agent.py refused to add processor 1"),
        "the answer follows: {answer}"
    );
    assert!(!answer.contains("waiting"), "the answer is on its own line");
}

#[test]
fn a_waiting_add_names_the_party_in_one_line_of_a_terminal() {
    let terminal = Terminal::start("line", &["--simulate", "1+1", "--", "cat"]);
    let slow = Agent::start(&terminal, &["--delay", "600"]);
    let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&master).unwrap();
    unlockpt(&master).unwrap();
    let name = ptsname(&master, Vec::new()).unwrap().into_string().unwrap();
    let slave = OpenOptions::new().read(true).write(true).open(name).unwrap();
    let mut command = hotadd(&["add", "1"]);
    command.env("XDG_RUNTIME_DIR", &terminal.dir).stdin(Stdio::null());
    command.stdout(slave.try_clone().unwrap()).stderr(slave);
    let mut add = command.spawn().unwrap();
    // The command holds copies of the terminal's other end. Reading ends when they are closed.
    drop(command);
    let mut master = File::from(master);
    let (mut written, mut buffer) = (String::new(), [0; 4096]);
    let mut killed = false;
    while let Ok(length @ 1..) = master.read(&mut buffer) {
        written += std::str::from_utf8(&buffer[..length]).expect("hotadd writes UTF-8");
        if !killed && written.matches(WAITING).count() >= 2 {
            slow.kill();
            killed = true;
        }
    }
    assert_eq!(add.wait().unwrap().code(), Some(1));
    let (waiting, answer) = written.rsplit_once("\r\x1b[K").expect("the line is cleared");
    assert!(!waiting.contains('\n'), "the line is overwritten: {written:?}");
    assert!(waiting.starts_with("\r\x1b[K"), "{written:?}");
    assert!(answer.starts_with("agent.py refused to add processor 1"), "{written:?}");
}
