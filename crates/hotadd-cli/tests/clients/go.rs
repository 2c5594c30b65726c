//! Go: godbus, as the distribution packages it (`examples/agent.go`).

use std::path::Path;
use std::process::Command;

use hotadd_testing::{Need, skip};

use crate::{at_hand, example, refuses_by_name};

/// Where the distribution's package is.
const GODBUS: &str = "/usr/share/gocode/src/github.com/godbus/dbus";

#[test]
fn an_agent_with_godbus_refuses_by_name() {
    let test = "an agent with godbus";
    if !at_hand(Command::new("go").arg("version"), "go", test) {
        return;
    }
    if !Path::new(GODBUS).join("go.mod").exists() {
        skip(Need::Program("godbus"), test);
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    std::fs::copy(example("agent.go"), folder.path().join("agent.go")).unwrap();
    // The package is used in place of the module, so nothing is downloaded.
    let module = format!(
        "module agent\n\ngo 1.18\n\nrequire github.com/godbus/dbus/v5 v5.0.0\n\n\
         replace github.com/godbus/dbus/v5 => {GODBUS}\n"
    );
    std::fs::write(folder.path().join("go.mod"), module).unwrap();
    let mut build = Command::new("go");
    build.args(["build", "-o", "agent", "."]).current_dir(folder.path());
    build.env("GOFLAGS", "-mod=mod").env("GOPROXY", "off").env("GOTOOLCHAIN", "local");
    let built = build.output().unwrap();
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    let mut agent = Command::new(folder.path().join("agent"));
    agent.args(["demo", "--refuse", "1"]);
    refuses_by_name("godbus", "agent.go", agent);
}
