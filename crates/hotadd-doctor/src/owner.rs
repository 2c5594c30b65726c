//! Checks for the daemon, which decides about processors.

use std::path::Path;

use rustix::fs::FileType;

use super::finding::{Finding, Level};
use super::tree::Tree;
use super::units::Units;

const SOCKET: &str = "/run/hotadd/system";
const CONFIG: &str = "/etc/hotadd/hotadd.toml";
const UNIT: &str = "hotadd.service";

/// Looks for the daemon.
pub(crate) fn check(tree: &Tree, units: &Units) -> Vec<Finding> {
    let note = |what: &str, file: &str| Finding::new(Level::Note, what).at(Path::new(file), None);
    let mut findings = Vec::new();
    if tree.kind(Path::new(SOCKET)) != Some(FileType::Socket) {
        findings.push(
            note("hotadd daemon does not run: it has no socket", SOCKET)
                .why("nobody asks the parties, and nobody adds a processor that is plugged in")
                .fix(if units.has(UNIT) {
                    "systemctl enable --now hotadd"
                } else {
                    "start hotadd daemon"
                }),
        );
    }
    if units.has(UNIT) && !units.is_started(UNIT) {
        findings.push(
            Finding::new(Level::Note, "hotadd.service is not enabled")
                .why("the daemon is not there after the next boot")
                .fix("systemctl enable hotadd"),
        );
    }
    if tree.kind(Path::new(CONFIG)).is_none() {
        findings.push(
            note("hotadd daemon has no configuration", CONFIG)
                .why("all has its default, and no party must agree but those that register")
                .fix("write one if the default is not what is meant"),
        );
    }
    findings
}
