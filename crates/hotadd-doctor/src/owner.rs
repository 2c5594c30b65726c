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
            note("hotadd daemon is not running: its socket does not exist", SOCKET)
                .why("a processor that is plugged in is not added, and no party is asked")
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
                .why("the daemon does not start at the next boot")
                .fix("systemctl enable hotadd"),
        );
    }
    if tree.kind(Path::new(CONFIG)).is_none() {
        findings.push(
            note("hotadd daemon has no configuration", CONFIG)
                .why("all settings have their defaults, and only parties that register are asked")
                .fix("write one if the defaults do not fit"),
        );
    }
    findings
}
