//! Where the daemon can be reached, and by whom: its group and its bus.

use std::fs;
use std::os::unix::fs::MetadataExt;

use rustix::process::{Signal, getegid};

use crate::stage::Stage;

/// The permissions and the group of a file.
fn of(path: &str) -> (u32, u32) {
    let found = fs::symlink_metadata(path).unwrap();
    (found.mode() & 0o7777, found.gid())
}

#[test]
fn the_socket_belongs_to_the_configured_group_until_the_daemon_restarts() {
    let stage = Stage::simulated("");
    let group = getegid().as_raw();
    let simulated = "[hardware]\nkind = 'simulated'\n";
    stage.write_with(simulated, &format!("group = '{group}'"));
    let mut daemon = stage.clone().start();
    daemon.until("simulated processors");
    assert_eq!(of(&stage.path("run/try")), (0o660, group), "its members may connect");
    assert_eq!(of(&stage.path("run")).0, 0o755, "and reach it");

    stage.write_with(simulated, "group = '77'\nbus = 'unix:path=/nowhere'");
    daemon.send(Signal::HUP);
    for key in ["service.group", "service.bus"] {
        daemon.until(&format!("{key} cannot change while the daemon runs and keeps its value"));
    }
    daemon.until("the configuration was reloaded");
    assert_eq!(of(&stage.path("run/try")), (0o660, group), "the group is unchanged");
    daemon.end(Signal::TERM);
}

#[test]
fn a_missing_bus_is_reported_and_does_not_delay_the_daemon() {
    let stage = Stage::simulated("");
    let bus = format!("bus = 'unix:path={}'", stage.path("none"));
    stage.write_with("[hardware]\nkind = 'simulated'\nsimulate = '1+1'\nat-start = 'add'\n", &bus);
    let mut daemon = stage.clone().start();
    let line = daemon.until("simulated processors");
    assert!(!line.contains("bus"), "the daemon is not on the bus: {line}");
    let missing = format!("cannot join the bus at unix:path={} ", stage.path("none"));
    let output = daemon.until(&missing);
    assert!(output.contains("yet; retrying"), "{output}");
    let status = daemon.ask(&["status"]);
    assert!(status.status.success(), "the daemon works without the bus");
    daemon.end(Signal::TERM);
}
