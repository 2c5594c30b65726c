//! Who decides: the daemon, whether it is there; and the hypervisor, whether it has a way in of its own.

use std::path::Path;

use rustix::fs::FileType;

use super::finding::{Finding, Level};
use super::tree::Tree;
use super::units::Units;

const SOCKET: &str = "/run/hotadd/system";
const CONFIG: &str = "/etc/hotadd/hotadd.toml";
const UNIT: &str = "hotadd.service";

/// Programs and units of the QEMU guest agent.
const AGENTS: [&str; 3] = ["/usr/bin/qemu-ga", "/usr/sbin/qemu-ga", "/usr/local/bin/qemu-ga"];
const AGENT_UNITS: [&str; 2] = ["qemu-guest-agent.service", "qemu-ga.service"];
/// Where it is told what it may do.
const AGENT_SETTINGS: [&str; 4] = [
    "/etc/qemu/qemu-ga.conf",
    "/etc/sysconfig/qemu-ga",
    "/etc/default/qemu-guest-agent",
    "/etc/qemu-ga.conf",
];

/// Looks for both.
pub(crate) fn check(tree: &Tree, units: &Units) -> Vec<Finding> {
    daemon(tree, units).into_iter().chain(agent(tree, units)).collect()
}

fn daemon(tree: &Tree, units: &Units) -> Vec<Finding> {
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

/// The guest agent brings processors online when the hypervisor asks it to.
fn agent(tree: &Tree, units: &Units) -> Option<Finding> {
    let program = AGENTS.iter().find(|path| tree.kind(Path::new(path)).is_some());
    let unit = AGENT_UNITS.iter().any(|unit| units.has(unit));
    if (program.is_none() && !unit) || AGENT_SETTINGS.iter().any(|path| blocks(tree, path)) {
        return None;
    }
    let what = "the QEMU guest agent is installed, and may bring processors online when the hypervisor says so (guest-set-vcpus)";
    let mut finding = Finding::new(Level::Note, what)
        .why("a processor that comes online that way was not agreed to (Q3)")
        .fix("block guest-set-vcpus in /etc/qemu/qemu-ga.conf (block-rpcs, before QEMU 8.2 blacklist), or do not use virsh setvcpus --guest");
    if let Some(program) = program {
        finding = finding.at(Path::new(program), None);
    }
    Some(finding)
}

/// Whether a file of settings forbids the agent to switch processors: by a list of what it may not do, or of all that it may.
fn blocks(tree: &Tree, path: &str) -> bool {
    let text = tree.read(Path::new(path)).unwrap_or_default();
    let text = String::from_utf8_lossy(&text).to_ascii_lowercase();
    let lines = text.lines().map(str::trim).filter(|line| !line.starts_with('#'));
    lines.into_iter().any(|line| {
        let named = line.contains("guest-set-vcpus");
        let allows = line.contains("allow-rpcs") || line.contains("allow_rpcs");
        let forbids = line.contains("block") || line.contains("black");
        (forbids && !allows && named) || (allows && !forbids && !named)
    })
}
