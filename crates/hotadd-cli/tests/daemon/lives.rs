//! One daemon after another: what was asked is not asked again, what was not is, and those who were there are waited for.

use std::fs;

use hotadd::{Notice, Partition, Registration};
use rustix::process::Signal;

use crate::common::of;
use crate::refusals;
use crate::stage::Stage;

/// A party that agrees to everything, over the socket.
fn agent(stage: &Stage, name: &str) -> Registration {
    let partition = Partition::connect(stage.path("run/try")).unwrap();
    partition.register(name, |_: &Notice| Ok(())).unwrap()
}

const REFUSES_THREE: &str = "[ \"$1 $HOTADD_ID\" != 'add-start 3' ]";

/// Two at first; 2 and 3 are off, 4 comes later.
fn keys(stage: &Stage) -> String {
    let script = stage.script("careful", REFUSES_THREE);
    format!(
        "[hardware]\nkind = 'simulated'\nsimulate = '2+3'\nplug = '4'\nplug-every = '1ms'\n\
         [[party]]\ndriver = 'exec:{script}'\n"
    )
}

#[test]
fn what_was_decided_is_not_asked_again_however_the_daemon_ended_a4() {
    let stage = Stage::new("");
    stage.write(&keys(&stage));
    for life in 0..4 {
        let mut daemon = stage.clone().start();
        // 4 comes anew each time, and behind the others.
        daemon.until("processor 4 joined");
        let asked = of(&daemon.history(), "joined").len() + refusals(&daemon.history(), 3);
        assert_eq!(asked, if life == 0 { 3 } else { 1 }, "life {life}: {:#?}", daemon.history());
        if life % 2 == 0 {
            daemon.kill();
        } else {
            daemon.end(Signal::TERM);
        }
    }
}

#[test]
fn a_damaged_note_of_what_was_decided_counts_as_none_and_that_is_said() {
    let stage = Stage::new("");
    stage.write(&keys(&stage));
    let mut daemon = stage.clone().start();
    daemon.until("processor 4 joined");
    daemon.kill();
    let note = stage.path("run/try.decided");
    let half = fs::read(&note).unwrap();
    fs::write(&note, &half[..half.len() / 2]).unwrap();
    let mut daemon = stage.clone().start();
    let said = daemon.until("hotadd: ");
    assert!(said.contains(&note) && said.contains("is ignored"), "{said}");
    for again in ["processor 2 joined", "processor 3 stays out", "processor 4 joined"] {
        daemon.until(again);
    }
    daemon.end(Signal::TERM);
    assert_ne!(fs::read(&note).unwrap(), half[..half.len() / 2], "there is a good one now");
}

#[test]
fn a_second_daemon_leaves_the_note_of_the_first_alone() {
    let stage = Stage::simulated("simulate = '2+1'\n");
    let mut daemon = stage.clone().start();
    daemon.until("processor 2 joined");
    let note = fs::read(stage.path("run/try.decided")).unwrap();
    stage.write("[hardware]\nkind = 'simulated'\nsimulate = '7+1'\n");
    assert_eq!(stage.fails().status.code(), Some(1), "there is one already");
    assert_eq!(fs::read(stage.path("run/try.decided")).unwrap(), note);
    daemon.end(Signal::TERM);
}

#[test]
fn those_who_were_registered_are_asked_when_the_daemon_is_back() {
    for killed in [true, false] {
        let leave = "simulate = '1+1'\nat-start = 'leave'\n";
        let stage = Stage::simulated(leave);
        let mut daemon = stage.clone().start();
        daemon.until("simulated processors");
        let pool = agent(&stage, "pool");
        let late = agent(&stage, "late");
        daemon.until("driver late registered");
        if killed {
            daemon.kill();
        } else {
            daemon.end(Signal::TERM);
        }
        // One comes back by itself, the other when the daemon has said that it waits.
        drop(late);
        stage.write("[hardware]\nkind = 'simulated'\nsimulate = '1+1'\n[limits]\nrejoin = '10m'\n");
        let mut daemon = stage.clone().start();
        let waits = daemon.until("waiting up to 10m for ");
        assert!(waits.contains("late"), "for whom is said: {waits}");
        let late = agent(&stage, "late");
        let joined = daemon.until("processor 1 joined");
        assert!(
            joined.contains("pool") && joined.contains("late"),
            "both were asked (killed: {killed}): {joined}"
        );
        drop((pool, late));
        daemon.end(Signal::TERM);
    }
}

#[test]
fn who_does_not_come_back_in_time_is_named_and_not_waited_for_l3() {
    let stage = Stage::simulated("simulate = '1+1'\nat-start = 'leave'\n");
    let mut daemon = stage.clone().start();
    daemon.until("simulated processors");
    let gone = agent(&stage, "gone");
    daemon.until("driver gone registered");
    daemon.kill();
    drop(gone);
    stage.write("[hardware]\nkind = 'simulated'\nsimulate = '1+1'\n[limits]\nrejoin = '1ms'\n");
    let mut daemon = stage.clone().start();
    let said = daemon.until("gone did not register again");
    assert!(said.contains("L3"), "{said}");
    daemon.until("processor 1 joined");
    daemon.kill();
    let mut daemon = stage.clone().start();
    daemon.until("simulated processors");
    let said = daemon.end(Signal::TERM);
    assert!(!said.iter().any(|line| line.contains("gone")), "it is forgotten: {said:#?}");
}

#[test]
fn who_left_by_itself_is_not_waited_for() {
    let stage = Stage::simulated("simulate = '1+1'\nat-start = 'leave'\n");
    let mut daemon = stage.clone().start();
    daemon.until("simulated processors");
    let pool = agent(&stage, "pool");
    pool.deregister().unwrap();
    daemon.until("driver pool deregistered");
    daemon.kill();
    stage.write("[hardware]\nkind = 'simulated'\nsimulate = '1+1'\n[limits]\nrejoin = '10m'\n");
    // Waited for it would be for ten minutes.
    stage.clone().start().until("processor 1 joined");
}

#[test]
#[cfg(not(feature = "fault-points"))]
fn what_tests_have_it_die_by_is_not_in_a_program_that_was_built_without() {
    for point in ["appeared", "asked", "before-write", "joined", "decided", "nonsense"] {
        let stage = Stage::simulated("simulate = '1+2'\nplug = '2'\nplug-every = '1ms'\n");
        let mut command = stage.command();
        command.env("HOTADD_FAULT", point);
        let mut daemon = crate::stage::Daemon::start(stage, command);
        daemon.until("processor 1 joined");
        daemon.until("processor 2 joined");
        daemon.end(Signal::TERM);
    }
}

#[test]
#[cfg(feature = "fault-points")]
fn a_program_that_was_built_with_them_dies_at_its_point() {
    let stage = Stage::simulated("simulate = '1+2'\n");
    let mut command = stage.command();
    command.env("HOTADD_FAULT", "joined@2");
    let mut daemon = crate::stage::Daemon::start(stage.clone(), command);
    let ended = daemon.process.wait().unwrap();
    assert_eq!(std::os::unix::process::ExitStatusExt::signal(&ended), Some(9), "{ended}");
    let note = fs::read_to_string(stage.path("run/try.decided")).unwrap();
    assert!(note.contains("{\"0\":0,\"1\":0}"), "1 was decided about, and 2 not yet: {note}");
}
