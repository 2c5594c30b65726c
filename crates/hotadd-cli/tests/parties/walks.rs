//! The walk-throughs of the documentation, run as they are printed. The output of each command must be as shown.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use hotadd_testing::Need;
use rustix::process::{Pid, Signal, kill_process};

use crate::common::terminal::{Agent, python};
use crate::common::{commands, hotadd, is_walked, stdout};
use crate::daemon::Daemon;

/// The first terminal: a run in the background, and the folder of its socket.
struct First {
    dir: PathBuf,
    run: Child,
}

impl First {
    fn start(dir: &Path, mut command: Command) -> Self {
        command.stdin(Stdio::null());
        let run = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let mut this = Self { dir: dir.to_owned(), run };
        while !this.dir.join("hotadd/demo").exists() {
            assert!(this.run.try_wait().unwrap().is_none(), "it ended before it listened");
            std::thread::yield_now();
        }
        this
    }
}

impl Drop for First {
    fn drop(&mut self) {
        let _ = kill_process(Pid::from_child(&self.run), Signal::TERM);
        let _ = self.run.wait();
    }
}

/// Waits until the partition has noticed that the agent is gone.
fn until_nobody_is_registered(dir: &Path) {
    let ask = || hotadd(&["parties"]).env("XDG_RUNTIME_DIR", dir).output().unwrap();
    while !ask().stdout.is_empty() {
        std::thread::yield_now();
    }
}

/// A line without times, which vary: `in 0.41 ms` becomes `in some ms`.
fn timeless(line: &str) -> String {
    let is_time = |word: &str| word.starts_with(|c: char| c.is_ascii_digit()) && word.contains('.');
    let words = line.split(' ').map(|word| if is_time(word) { "some" } else { word });
    words.collect::<Vec<_>>().join(" ")
}

/// Runs a page's walk-through. Returns how many commands were run.
fn walk(page: &str, test: &str) -> Option<usize> {
    if !Need::FirstTwo.is_met(test) {
        return None;
    }
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path();
    let bus = Daemon::start(dir);
    let place = |mut command: Command| {
        command.env("XDG_RUNTIME_DIR", dir).env("DBUS_SESSION_BUS_ADDRESS", &bus.address);
        command
    };
    let (mut first, mut agent, mut slow) = (None, None::<Agent>, false);
    let mut steps = 0;
    for (command, shown) in commands(page).into_iter().filter(|(c, _)| is_walked(c)) {
        let words: Vec<&str> = command.split(' ').collect();
        steps += 1;
        match words.as_slice() {
            ["hotadd", "run", ..] => {
                // The previous command has ended, and the terminal is free.
                drop((agent.take(), first.take()));
                first = Some(First::start(dir, place(hotadd(&words[1..]))));
            }
            ["examples/agent.py", "demo", args @ ..] => {
                slow = args.contains(&"--delay");
                drop(agent.take());
                until_nobody_is_registered(dir);
                agent = Some(Agent::start_by(place(python()), args));
            }
            ["hotadd", args @ ..] => {
                let mut third = place(hotadd(args));
                third.stdout(Stdio::piped()).stderr(Stdio::piped());
                let third = third.spawn().unwrap();
                if let Some(mut asked) = agent.take_if(|_| slow) {
                    asked.until("asked about 1");
                    asked.kill();
                }
                let said = stdout(&third.wait_with_output().unwrap());
                let said: Vec<_> = said.lines().map(timeless).collect();
                let shown: Vec<_> = shown.iter().map(|line| timeless(line)).collect();
                assert_eq!(said, shown, "{command} says what {test} shows");
            }
            _ => panic!("{test} shows a command that is not tested: {command}"),
        }
    }
    drop((agent, first));
    Some(steps)
}

#[test]
fn the_walk_through_of_the_readme_works_as_printed() {
    let steps = walk(include_str!("../../../../README.md"), "readme");
    assert!(steps.is_none_or(|steps| steps == 7), "{steps:?} commands were found");
}

#[test]
fn the_walk_through_of_the_page_on_agents_works_as_printed() {
    let steps = walk(include_str!("../../../../docs/agents.md"), "agents");
    assert!(steps.is_none_or(|steps| steps == 7), "{steps:?} commands were found");
}
