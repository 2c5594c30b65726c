//! Where the daemon is found, and who may: its group and its bus.

use std::fs;
use std::os::unix::fs::MetadataExt;

use rustix::process::{Signal, getegid};

use crate::stage::Stage;

/// What is known of a file: its permissions and its group.
fn of(path: &str) -> (u32, u32) {
    let found = fs::symlink_metadata(path).unwrap();
    (found.mode() & 0o7777, found.gid())
}

#[test]
fn with_a_group_the_socket_is_the_groups_and_its_folder_can_be_seen_and_neither_changes() {
    let stage = Stage::simulated("");
    let group = getegid().as_raw();
    let simulated = "[hardware]\nkind = 'simulated'\n";
    stage.write_with(simulated, &format!("group = '{group}'"));
    let mut daemon = stage.clone().start();
    daemon.until("simulated processors");
    assert_eq!(of(&stage.path("run/try")), (0o660, group), "its members get in");
    assert_eq!(of(&stage.path("run")).0, 0o755, "and find it");

    stage.write_with(simulated, "group = '77'\nbus = 'unix:path=/nowhere'");
    daemon.send(Signal::HUP);
    for key in ["service.group", "service.bus"] {
        daemon.until(&format!("{key} cannot change while the daemon runs and keeps its value"));
    }
    daemon.until("the configuration was reloaded");
    assert_eq!(of(&stage.path("run/try")), (0o660, group), "it stays");
    daemon.end(Signal::TERM);
}

#[test]
fn a_bus_that_is_not_there_is_said_and_keeps_nobody_waiting() {
    let stage = Stage::simulated("");
    let bus = format!("bus = 'unix:path={}'", stage.path("none"));
    stage.write_with("[hardware]\nkind = 'simulated'\nsimulate = '1+1'\nat-start = 'add'\n", &bus);
    let mut daemon = stage.clone().start();
    let line = daemon.until("simulated processors");
    assert!(!line.contains("bus"), "it is not on it: {line}");
    let said = daemon.until(&format!("cannot join the bus at unix:path={} ", stage.path("none")));
    assert!(said.contains("yet; retrying"), "{said}");
    let status = daemon.ask(&["status"]);
    assert!(status.status.success(), "it governs without");
    daemon.end(Signal::TERM);
}
