//! Successive daemons: a decided processor is not asked about again, an undecided one is, and earlier parties
//! are waited for.

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

/// Two processors are active at first; 2 and 3 are off, and 4 is plugged in later.
fn keys(stage: &Stage) -> String {
    let script = stage.script("careful", REFUSES_THREE);
    format!(
        "[hardware]\nkind = 'simulated'\nsimulate = '2+3'\nplug = '4'\nplug-every = '1ms'\n\
         [[party]]\ndriver = 'exec:{script}'\n"
    )
}

#[test]
fn a4_a_decided_processor_is_not_asked_about_again_after_a_restart() {
    let stage = Stage::new("");
    stage.write(&keys(&stage));
    for life in 0..4 {
        let mut daemon = stage.clone().start();
        // 4 is plugged in anew for each daemon, after the others were handled.
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
fn a_damaged_state_file_is_ignored_and_reported() {
    let stage = Stage::new("");
    stage.write(&keys(&stage));
    let mut daemon = stage.clone().start();
    daemon.until("processor 4 joined");
    daemon.kill();
    let state = stage.path("run/try.decided");
    let whole = fs::read(&state).unwrap();
    fs::write(&state, &whole[..whole.len() / 2]).unwrap();
    let mut daemon = stage.clone().start();
    let output = daemon.until("hotadd: ");
    assert!(output.contains(&state) && output.contains("is ignored"), "{output}");
    for again in ["processor 2 joined", "processor 3 stays out", "processor 4 joined"] {
        daemon.until(again);
    }
    daemon.end(Signal::TERM);
    assert_ne!(
        fs::read(&state).unwrap(),
        whole[..whole.len() / 2],
        "a valid state file was written"
    );
}

#[test]
fn a_second_daemon_does_not_change_the_state_file_of_the_first() {
    let stage = Stage::simulated("simulate = '2+1'\n");
    let mut daemon = stage.clone().start();
    daemon.until("processor 2 joined");
    let state = fs::read(stage.path("run/try.decided")).unwrap();
    stage.write("[hardware]\nkind = 'simulated'\nsimulate = '7+1'\n");
    assert_eq!(stage.fails().status.code(), Some(1), "a daemon is running already");
    assert_eq!(fs::read(stage.path("run/try.decided")).unwrap(), state);
    daemon.end(Signal::TERM);
}

#[test]
fn a_restarted_daemon_waits_for_earlier_parties_and_asks_them() {
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
        // One agent reconnects by itself; the other registers after the daemon has said that it waits.
        drop(late);
        stage.write("[hardware]\nkind = 'simulated'\nsimulate = '1+1'\n[limits]\nrejoin = '10m'\n");
        let mut daemon = stage.clone().start();
        let waits = daemon.until("waiting up to 10m for ");
        assert!(waits.contains("late"), "the line names the party: {waits}");
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
fn l3_a_party_that_does_not_return_in_time_is_named_and_forgotten() {
    let stage = Stage::simulated("simulate = '1+1'\nat-start = 'leave'\n");
    let mut daemon = stage.clone().start();
    daemon.until("simulated processors");
    let gone = agent(&stage, "gone");
    daemon.until("driver gone registered");
    daemon.kill();
    drop(gone);
    stage.write("[hardware]\nkind = 'simulated'\nsimulate = '1+1'\n[limits]\nrejoin = '1ms'\n");
    let mut daemon = stage.clone().start();
    let output = daemon.until("gone did not register again");
    assert!(output.contains("L3"), "{output}");
    daemon.until("processor 1 joined");
    daemon.kill();
    let mut daemon = stage.clone().start();
    daemon.until("simulated processors");
    let output = daemon.end(Signal::TERM);
    assert!(!output.iter().any(|line| line.contains("gone")), "it is forgotten: {output:#?}");
}

#[test]
fn a_party_that_deregistered_is_not_waited_for() {
    let stage = Stage::simulated("simulate = '1+1'\nat-start = 'leave'\n");
    let mut daemon = stage.clone().start();
    daemon.until("simulated processors");
    let pool = agent(&stage, "pool");
    pool.deregister().unwrap();
    daemon.until("driver pool deregistered");
    daemon.kill();
    stage.write("[hardware]\nkind = 'simulated'\nsimulate = '1+1'\n[limits]\nrejoin = '10m'\n");
    // Otherwise the daemon would wait for ten minutes.
    stage.clone().start().until("processor 1 joined");
}

#[test]
#[cfg(not(debug_assertions))]
fn a_released_program_has_no_fault_points() {
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
#[cfg(debug_assertions)]
fn a_program_for_tests_dies_at_the_given_fault_point() {
    let stage = Stage::simulated("simulate = '1+2'\n");
    let mut command = stage.command();
    command.env("HOTADD_FAULT", "joined@2");
    let mut daemon = crate::stage::Daemon::start(stage.clone(), command);
    let ended = daemon.process.wait().unwrap();
    assert_eq!(std::os::unix::process::ExitStatusExt::signal(&ended), Some(9), "{ended}");
    let state = fs::read_to_string(stage.path("run/try.decided")).unwrap();
    assert!(state.contains("{\"0\":0,\"1\":0}"), "1 was decided about, and 2 not yet: {state}");
}
