//! The kernel's boot parameters and state: whether processors can be brought online at all.

use std::path::Path;

use hotadd::{CpuList, HardwareId};

use super::finding::{Finding, Level};
use super::told::WHY_UNCLEAR;
use super::tree::Tree;

const CPU: &str = "/sys/devices/system/cpu";
const CMDLINE: &str = "/proc/cmdline";

/// Examines the kernel.
pub(crate) fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    if let Some(line) = text(tree, CMDLINE) {
        findings.extend(parameters(&line));
    }
    if let Some(release) = text(tree, "/proc/sys/kernel/osrelease") {
        findings.extend(kernel(&release));
    }
    if let Some(control) = text(tree, &format!("{CPU}/smt/control")) {
        findings.extend(threads(&control));
    }
    findings.extend(room(tree));
    findings
}

fn text(tree: &Tree, path: &str) -> Option<String> {
    let text = tree.read(Path::new(path))?;
    Some(String::from_utf8_lossy(&text).trim().to_owned())
}

fn note(what: String, file: &str) -> Finding {
    Finding::new(Level::Note, what).at(Path::new(file), None)
}

/// Parameters on the kernel's command line that limit the daemon.
fn parameters(line: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    // Words after two dashes are for the first process.
    for word in line.split_whitespace().take_while(|word| *word != "--") {
        let (name, value) = word.split_once('=').unwrap_or((word, ""));
        // The kernel treats both characters as equal.
        let name = name.replace('-', "_");
        let (why, fix) = match &*name {
            "nosmt" => (
                "hyperthreads cannot be started: the kernel reports ECANCELED, then EPERM (A4)",
                "leave it if it is intended; hotadd reports each attempt",
            ),
            "maxcpus" => (
                "processors beyond that number stay offline at boot; they start when they are added",
                "hotadd add, or at-start = \"add\" in the daemon's configuration",
            ),
            "nosmp" => {
                ("only one processor is used, and no others can be started", "remove it and reboot")
            }
            "nr_cpus" | "possible_cpus" => (
                "Linux ignores processors beyond this number, even if the hypervisor adds them",
                "remove or raise it and reboot, if more processors are to be added",
            ),
            "cpu0_hotplug" => (
                "on x86 before Linux 6.5 processor 0 can be taken offline and brought back like any other",
                "leave it if it is intended",
            ),
            "isolcpus" | "nohz_full" => (
                "a processor in its list joins like any other, but the scheduler places no work there by \
                 itself",
                "leave it if programs set their own affinity",
            ),
            "acpi" if value == "off" => (
                "plugged-in processors are announced by ACPI, so they are not noticed",
                "remove it and reboot",
            ),
            "init" | "rdinit" if !INITS.contains(&value) => {
                findings.push(other_program(word));
                continue;
            }
            "systemd.run" => {
                findings.push(other_program(word));
                continue;
            }
            _ => continue,
        };
        findings
            .push(note(format!("the kernel was started with {word}"), CMDLINE).why(why).fix(fix));
    }
    findings
}

/// First programs whose own settings are examined.
const INITS: [&str; 6] = [
    "/sbin/init",
    "/usr/sbin/init",
    "/lib/systemd/systemd",
    "/usr/lib/systemd/systemd",
    "/bin/systemd",
    "/sbin/openrc-init",
];

/// A program that the command line names as the first program.
fn other_program(word: &str) -> Finding {
    let what =
        format!("the kernel was started with {word}, which runs a program that is not analysed");
    Finding::new(Level::CannotTell, what)
        .at(Path::new(CMDLINE), None)
        .why(WHY_UNCLEAR)
        .fix("check what that program does")
}

/// Kernels with known problems.
fn kernel(release: &str) -> Option<Finding> {
    let mut numbers = release.split(|char: char| !char.is_ascii_digit()).map(str::parse::<u32>);
    let (Some(Ok(major)), Some(Ok(minor))) = (numbers.next(), numbers.next()) else { return None };
    ((major, minor) < (6, 2)).then(|| {
        note(format!("the kernel is Linux {release}"), "/proc/sys/kernel/osrelease")
            .why("before 6.2 each hot-plug resets affinity masks inside cgroups with the cpuset \
             controller; on 6.1 starting a processor that was plugged in after an empty slot hangs the \
             machine")
            .fix("fill slots in order (hotadd run restores its masks), or use Linux 6.2 or later")
    })
}

fn threads(control: &str) -> Option<Finding> {
    ["off", "forceoff"].contains(&control).then(|| {
        note(format!("hyperthreads are {control}"), &format!("{CPU}/smt/control"))
            .why("the kernel refuses to start them (A4); writing on to this file would bring all of them \
             online at once, without consent")
            .fix("leave it; to use hyperthreads, boot without nosmt and add them with hotadd")
    })
}

/// Whether there is room for further processors, and which processors are present and offline.
fn room(tree: &Tree) -> Vec<Finding> {
    let list = |name: &str| -> Option<Vec<HardwareId>> {
        let list: CpuList = text(tree, &format!("{CPU}/{name}"))?.parse().ok()?;
        Some(list.ids().to_vec())
    };
    let (Some(possible), Some(present), Some(online)) =
        (list("possible"), list("present"), list("online"))
    else {
        return Vec::new();
    };
    let mut findings = Vec::new();
    if possible.len() <= present.len() {
        let what = format!(
            "no processor can be plugged in: {} possible processors, all present",
            possible.len()
        );
        findings.push(
            note(what, &format!("{CPU}/possible"))
                .why("Linux fixes the number of possible processors at boot")
                .fix("configure the hypervisor with a higher maximum of processors, and reboot"),
        );
    }
    let off: CpuList = present.into_iter().filter(|id| online.binary_search(id).is_err()).collect();
    if !off.is_empty() {
        findings.push(
            note(
                format!("processors that are present and offline: {off}"),
                &format!("{CPU}/online"),
            )
            .why("nothing brings them online by itself")
            .fix("hotadd add, or at-start = \"add\" in the daemon's configuration"),
        );
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limiting_kernel_parameters_are_reported_and_those_of_init_are_not() {
        let seen =
            parameters("quiet nr-cpus=4 nosmt=force acpi=on isolcpus=1-3 x=maxcpus -- maxcpus=1");
        let seen: Vec<_> = seen.iter().map(|finding| &*finding.what).collect();
        let expected = ["nr-cpus=4", "nosmt=force", "isolcpus=1-3"];
        assert_eq!(seen, expected.map(|word| format!("the kernel was started with {word}")));
    }

    #[test]
    fn kernels_before_6_2_are_reported() {
        for (release, known) in [
            ("5.15.0-91-generic", true),
            ("6.1.0-42-cloud-amd64", true),
            ("6.2.0", false),
            ("6.12.0+deb13", false),
            ("10.0-rc1", false),
            ("strange", false),
            ("99999999999.1", false),
        ] {
            assert_eq!(kernel(release).is_some(), known, "{release}");
        }
    }
}
