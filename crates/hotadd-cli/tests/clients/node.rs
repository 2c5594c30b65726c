//! JavaScript: dbus-next (`examples/agent.mjs`).

use std::process::Command;

use hotadd_testing::{Need, skip};

use crate::{at_hand, example, fetched, refuses_by_name};

#[test]
fn an_agent_with_dbus_next_refuses_by_name() {
    let test = "an agent with dbus-next";
    if !at_hand(Command::new("node").arg("--version"), "node", test) {
        return;
    }
    let modules = fetched("node/node_modules");
    if !modules.join("dbus-next").exists() {
        skip(Need::Program("dbus-next"), test);
        return;
    }
    // A module finds its libraries in its folder.
    let folder = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink(modules, folder.path().join("node_modules")).unwrap();
    let copy = folder.path().join("agent.mjs");
    std::fs::copy(example("agent.mjs"), &copy).unwrap();
    let mut agent = Command::new("node");
    agent.arg(copy).args(["demo", "--refuse", "1"]);
    refuses_by_name("dbus-next", "agent.mjs", agent);
}
