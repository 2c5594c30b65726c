//! Child processes: the end of each is known at once, adopted ones are waited for, and it is known when none is left.

use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hotadd_service::children::{Children, Ending, Offspring};
use rustix::process::Signal;

/// Far longer than any step of these tests takes.
const LONG: Duration = Duration::from_secs(30);

/// All tests share one table of children, and some need to be alone.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn sh(script: &str) -> Offspring {
    let mut command = Command::new("/bin/sh");
    command.args(["-c", script]).stdin(Stdio::piped()).process_group(0);
    Children::get().spawn(command).unwrap()
}

#[test]
fn the_way_a_child_ended_is_known_and_described() {
    let _alone = alone();
    let ended = |script| sh(script).wait_timeout(LONG).unwrap();
    assert_eq!(ended("exit 0"), Ending::Exited(0));
    assert_eq!(ended("exit 1").to_string(), "exited with status 1");
    assert_eq!(ended("kill -KILL $$").to_string(), "was killed by SIGKILL");
    assert_eq!(ended("kill -SEGV $$").to_string(), "was killed by SIGSEGV");
    assert_eq!(ended("kill -40 $$").to_string(), "was killed by signal 40");
    assert_eq!((ended("exit 3").code(), ended("kill -TERM $$").code()), (3, 143));
}

#[test]
fn children_that_end_at_once_are_not_missed() {
    let _alone = alone();
    for n in 0..200 {
        let child = Children::get().spawn(Command::new("/bin/true")).unwrap();
        assert_eq!(child.wait_timeout(LONG), Some(Ending::Exited(0)), "child {n}");
        assert!(child.lasted().unwrap() < LONG);
    }
}

#[test]
fn a_running_child_has_no_ending() {
    let _alone = alone();
    let mut child = sh("read x");
    assert_eq!(child.wait_timeout(Duration::ZERO), None);
    assert_eq!((child.ending(), child.lasted()), (None, None));
    drop(child.stdin.take());
    assert_eq!(child.wait_timeout(LONG), Some(Ending::Exited(1)));
}

#[test]
fn a_listener_is_told_of_the_end_even_if_it_registers_late() {
    let _alone = alone();
    let mut child = sh("read x; exit 4");
    let (sender, heard) = mpsc::channel();
    let early = sender.clone();
    child.on_end(move |ending| early.send(ending).unwrap());
    drop(child.stdin.take());
    assert_eq!(heard.recv_timeout(LONG).unwrap(), Ending::Exited(4));
    child.on_end(move |ending| sender.send(ending).unwrap());
    assert_eq!(heard.try_recv().unwrap(), Ending::Exited(4), "at once");
}

#[test]
fn a_process_group_is_signalled_only_while_its_leader_exists() {
    let _alone = alone();
    let child = sh("cat");
    child.kill_group(Signal::TERM);
    assert_eq!(child.wait_timeout(LONG).unwrap().to_string(), "was killed by SIGTERM");
    // Its process id may belong to another process by now.
    child.kill_group(Signal::KILL);
}

#[test]
fn the_table_knows_when_no_child_is_left_including_adopted_ones() {
    let _alone = alone();
    rustix::process::set_child_subreaper(Some(rustix::process::getpid())).unwrap();
    let children = Children::get();
    assert!(children.childless(LONG));
    // `read` becomes our child when its parent ends, and ends when we close the pipe. A background command
    // would get another stdin without the redirection.
    let mut parent = sh("exec 3<&0; cat <&3 >/dev/null & exit 0");
    assert_eq!(parent.wait_timeout(LONG), Some(Ending::Exited(0)));
    assert!(!children.childless(Duration::ZERO), "the orphan is our child");
    drop(parent.stdin.take());
    assert!(children.childless(LONG));
    // Again, after the thread that waits has slept.
    let mut child = sh("read x");
    assert!(!children.childless(Duration::ZERO));
    drop(child.stdin.take());
    assert!(children.childless(LONG));
}

#[test]
fn a_command_that_cannot_be_started_leaves_nothing_behind() {
    let _alone = alone();
    assert!(Children::get().childless(LONG));
    let error = Children::get().spawn(Command::new("/nonexistent")).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::NotFound);
    assert!(Children::get().childless(Duration::ZERO));
}
