//! SIGHUP: the daemon reads the configuration again. Unchanged parties are not called.

use std::fs;
use std::os::unix::net::UnixDatagram;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use hotadd::{Notice, Partition};
use rustix::process::Signal;

use crate::common::live::LONG;
use crate::common::stdout;
use crate::notification;
use crate::stage::{Daemon, Stage};

const ANEW: &str = "the configuration was reloaded";
const STAYS: &str = "hotadd: the configuration was not reloaded: ";

/// A program that records its calls.
fn script(stage: &Stage, name: &str) -> String {
    stage.script(name, &format!("echo \"$1 $HOTADD_ID\" >>$stage/{name}.heard"))
}

fn heard(stage: &Stage, name: &str) -> Vec<String> {
    let heard = fs::read_to_string(stage.path(&format!("{name}.heard"))).unwrap_or_default();
    heard.lines().map(str::to_owned).collect()
}

/// A configuration with these programs as parties.
fn with(stage: &Stage, keys: &str, names: &[&str]) -> String {
    let mut config = format!("[hardware]\nkind = 'simulated'\n{keys}\n");
    for name in names {
        config += &format!("[[party]]\ndriver = 'exec:{}'\n", script(stage, name));
    }
    config
}

fn parties(daemon: &Daemon) -> Vec<String> {
    let output = stdout(&daemon.ask(&["parties"]));
    output.lines().filter_map(|line| line.split_whitespace().next()).map(str::to_owned).collect()
}

#[test]
fn d1_r3_a_reload_registers_new_parties_deregisters_removed_ones_and_leaves_the_rest() {
    let stage = Stage::new("");
    let keys = "simulate = '2+1'\nat-start = 'leave'";
    stage.write(&with(&stage, keys, &["stays", "goes", "stays"]));
    let mut daemon = stage.clone().start();
    daemon.until("simulated processors");
    let calls = Arc::new(AtomicUsize::new(0));
    let counts = Arc::clone(&calls);
    let partition = Partition::connect(stage.path("run/try")).unwrap();
    let count = move |_: &Notice| {
        counts.fetch_add(1, Ordering::SeqCst);
        Ok(())
    };
    let _agent = partition.register("agent", count).unwrap();
    let before = (heard(&stage, "stays"), calls.load(Ordering::SeqCst));
    assert_eq!(
        before.0.len(),
        8,
        "AddStart and AddComplete of two processors for two parties: {:?}",
        before.0
    );

    stage.write(&with(&stage, keys, &["comes", "stays", "stays"]));
    daemon.send(Signal::HUP);
    daemon.until("driver comes registered");
    daemon.until("driver goes deregistered");
    daemon.until(ANEW);
    let after = (heard(&stage, "stays"), calls.load(Ordering::SeqCst));
    assert_eq!(after, before, "unchanged parties and agents are not called");
    let notification = ["add-start 0", "add-start 1", "add-complete 0", "add-complete 1"];
    assert_eq!(heard(&stage, "comes"), notification, "a new party gets the whole replay (R3)");
    assert_eq!(parties(&daemon), ["stays", "stays", "comes", "agent"]);

    let gone = heard(&stage, "goes");
    assert!(daemon.ask(&["add", "2"]).status.success());
    assert_eq!(heard(&stage, "goes"), gone, "D1: it is not called again");
    assert_eq!(heard(&stage, "comes").len(), 6, "it is asked and told");

    // One of two equal entries is removed.
    stage.write(&with(&stage, keys, &["comes", "stays"]));
    daemon.send(Signal::HUP);
    daemon.until(ANEW);
    assert_eq!(parties(&daemon), ["stays", "comes", "agent"]);
    daemon.end(Signal::TERM);
}

#[test]
fn an_invalid_configuration_changes_nothing_and_is_reported_with_line_and_key() {
    let stage = Stage::new("");
    let keys = "simulate = '2+1'\nat-start = 'leave'";
    stage.write(&with(&stage, keys, &["stays"]));
    let mut daemon = stage.clone().start();
    daemon.until("simulated processors");
    stage.write("[hardware]\nkind = 'simulated'\nat-start = 'later'\n");
    daemon.send(Signal::HUP);
    let output = daemon.until(STAYS);
    let place = format!("{}:3: hardware.at-start: unknown variant", stage.path("hotadd.toml"));
    assert!(output.contains(&place), "{output}");
    fs::remove_file(stage.path("hotadd.toml")).unwrap();
    daemon.send(Signal::HUP);
    daemon.until(STAYS);
    assert_eq!(parties(&daemon), ["stays"]);
    daemon.end(Signal::TERM);
}

#[test]
fn r4_a_new_party_that_refuses_to_register_makes_the_reload_change_nothing() {
    let stage = Stage::new("");
    let keys = "simulate = '2+1'\nat-start = 'leave'";
    stage.write(&with(&stage, keys, &["stays"]));
    let mut daemon = stage.clone().start();
    daemon.until("simulated processors");
    let refuses = "[[party]]\ndriver = 'sample:veto=1'\n";
    let add = keys.replace("leave", "add");
    stage.write(&(with(&stage, &add, &["comes"]) + refuses));
    daemon.send(Signal::HUP);
    let output = daemon.until(STAYS);
    assert!(
        output.contains("sample refused processor 1"),
        "the message names the party and the processor: {output}"
    );
    assert_eq!(parties(&daemon), ["stays"], "no other party was registered or deregistered");
    assert_eq!(heard(&stage, "stays").len(), 4, "no party was asked about processor 2");
    stage.write(&with(&stage, &add, &["stays"]));
    daemon.send(Signal::HUP);
    daemon.until("processor 2 joined");
    daemon.end(Signal::TERM);
}

#[test]
fn a_reload_reports_fixed_settings_and_applies_the_rest() {
    let stage = Stage::new("");
    let keys = "simulate = '2+1'\nat-start = 'leave'";
    stage.write(&with(&stage, keys, &["stays"]));
    let mut daemon = stage.clone().start();
    daemon.until("simulated processors");
    let other = with(&stage, "simulate = '2+2'\nat-start = 'undecided'", &["stays"]);
    let other = format!("{other}[limits]\ntimeout = '7s'\n[service]\nname = 'another'\n");
    fs::write(stage.path("hotadd.toml"), other).unwrap();
    daemon.send(Signal::HUP);
    for key in ["hardware.simulate", "service.name", "service.socket"] {
        let output = daemon.until(key);
        assert!(output.contains("cannot change while the daemon runs"), "{output}");
    }
    daemon.until("stays keeps its time limit of 5s");
    daemon.until(ANEW);
    // The new at-start takes effect at once.
    daemon.until("processor 2 joined");
    let refused = daemon.ask(&["add", "3"]);
    assert_eq!(refused.status.code(), Some(1), "the partition is the same and has no processor 3");
    fs::write(stage.path("hotadd.toml"), "[limits]\ntimeout = '7s'\n").unwrap();
    daemon.send(Signal::HUP);
    assert!(daemon.until("hardware.kind").contains("cannot change"));
    daemon.until("driver stays deregistered");
    daemon.until(ANEW);
    daemon.end(Signal::TERM);
}

#[test]
fn the_service_manager_is_told_the_begin_and_the_end_of_a_reload() {
    let stage = Stage::simulated("");
    let socket = UnixDatagram::bind(stage.path("notify")).unwrap();
    socket.set_read_timeout(Some(LONG)).unwrap();
    let mut command = stage.command();
    command.env("NOTIFY_SOCKET", stage.path("notify"));
    let daemon = Daemon::start(stage.clone(), command);
    assert!(notification(&socket).starts_with("READY=1\n"));
    for (config, ends) in [("[hardware\n", "the previous one stays in force"), ("", "parties: 0")] {
        let simulated = format!("[hardware]\nkind = 'simulated'\n{config}");
        stage.write(&simulated);
        daemon.send(Signal::HUP);
        let begins = notification(&socket);
        let time = begins.strip_prefix("RELOADING=1\nMONOTONIC_USEC=").expect(&begins);
        assert!(time.parse::<u64>().is_ok_and(|micros| micros > 0), "{begins}");
        let done = notification(&socket);
        assert!(done.starts_with("READY=1\nSTATUS=") && done.ends_with(ends), "{done}");
    }
    daemon.end(Signal::TERM);
}
