//! C: sd-bus (`examples/agent.c`).

use std::process::Command;

use crate::{at_hand, example, refuses_by_name, stdout};

#[test]
fn an_agent_with_sd_bus_refuses_by_name() {
    let test = "an agent with sd-bus";
    let flags = ["--cflags", "--libs", "libsystemd"];
    if !at_hand(Command::new("pkg-config").args(flags), "libsystemd", test) {
        return;
    }
    let flags = stdout(&Command::new("pkg-config").args(flags).output().unwrap());
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("agent");
    let mut build = Command::new("cc");
    build.args(["-Wall", "-Wextra", "-Werror"]).arg(example("agent.c")).arg("-o").arg(&program);
    let built = build.args(flags.split_whitespace()).output().unwrap();
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    let mut agent = Command::new(program);
    agent.args(["demo", "--refuse", "1"]);
    refuses_by_name("sd-bus", "agent.c", agent);
}
