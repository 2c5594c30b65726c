//! What is run when the kernel reports a new device, beside udev: OpenWrt's hotplug.d, busybox's mdev, the kernel's own helper,
//! and acpid.

use std::collections::BTreeMap;
use std::path::Path;

use super::command::{Does, Follower, Run};
use super::finding::{Finding, MOST};
use super::hooks;
use super::script::Subject;
use super::told::{Source, quoted};
use super::tree::{Content, Tree};

/// OpenWrt's hotplug-call reads in each file of the folder named after the device's subsystem (package/base-files of openwrt).
const FOLDERS: [&str; 2] = ["/etc/hotplug.d", "/etc/hotplug"];
const MDEV: &str = "/etc/mdev.conf";
/// The program that the kernel runs for each event (CONFIG_UEVENT_HELPER, lib/kobject_uevent.c of Linux).
const HELPERS: [&str; 2] = ["/proc/sys/kernel/hotplug", "/sys/kernel/uevent_helper"];
const ACPI: &str = "/etc/acpi/events";

/// Examines all of these.
pub(crate) fn check(tree: &Tree, follower: &Follower<'_>) -> Vec<Finding> {
    let mut findings = folders(tree, follower);
    findings.extend(mdev(tree, follower));
    findings.extend(helpers(tree, follower));
    findings.extend(acpid(tree, follower));
    findings
}

fn folders(tree: &Tree, follower: &Follower<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for folder in FOLDERS.map(Path::new) {
        for path in hooks::files(tree, folder, 1) {
            let for_processors =
                path.strip_prefix(folder).is_ok_and(|inside| inside.starts_with("cpu"));
            let subject = if for_processors { Subject::Processor } else { Subject::Named };
            let what = "a script for device events (hotplug.d)";
            let source = Source { what, path: &path, line: None };
            let run = Run { subject, ..Run::new() };
            match tree.look_into(&path) {
                Content::Text(text) => {
                    let lines = source.lines(&text, subject);
                    if lines.is_empty() {
                        findings
                            .extend(source.findings(follower, follower.text(&path, &text, run)));
                    }
                    findings.extend(lines);
                }
                Content::Missing | Content::Folder => {}
                _ => {
                    let does = follower.file(&path, run);
                    findings.extend(source.findings(follower, does.unwrap_or(Does::Else)));
                }
            }
        }
    }
    findings
}

/// `REGEX USER:GROUP MODE [@|$|*COMMAND]` (docs/mdev.txt of busybox)
fn mdev(tree: &Tree, follower: &Follower<'_>) -> Vec<Finding> {
    let path = Path::new(MDEV);
    let mut findings = Vec::new();
    let source = Source { what: "an mdev rule", path, line: None };
    let Some(text) = source.text(tree.look_into(path), &mut findings) else { return findings };
    let text = String::from_utf8_lossy(&text);
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.trim();
        if line.starts_with('#') {
            continue;
        }
        let mut words = line.split_whitespace();
        let Some(name) = words.next() else { continue };
        let rest = line[name.len()..].trim_start();
        // The command is the rest of the line from the first word on that begins with one of these.
        let command = rest.split_inclusive(char::is_whitespace).scan(0, |at, word| {
            let from = *at;
            *at += word.len();
            Some((from, word))
        });
        let command = command
            .skip(2)
            .find(|(_, word)| word.starts_with(['@', '$', '*']))
            .map(|(from, _)| &rest[from + 1..]);
        let Some(command) = command else { continue };
        let subject = match name.contains("cpu") {
            true => Subject::Processor,
            // A pattern may match the name of a processor.
            false if name.contains(['*', '.', '$']) => Subject::Device,
            false => Subject::Named,
        };
        let what = format!("an mdev rule ({})", quoted(command));
        let source = Source { what: &what, path, line: Some(number) };
        let does = follower.command(command.as_bytes(), Run { subject, ..Run::new() });
        findings.extend(source.findings(follower, does));
        if findings.len() >= MOST {
            break;
        }
    }
    findings
}

fn helpers(tree: &Tree, follower: &Follower<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for path in HELPERS.map(Path::new) {
        let Content::Text(text) = tree.look_into(path) else { continue };
        let program = String::from_utf8_lossy(&text).trim().to_owned();
        // mdev's rules and hotplug-call's folder are examined separately.
        let known = ["mdev", "hotplug-call", "hotplug2"];
        if program.is_empty() || known.contains(&super::programs::base(&program)) {
            continue;
        }
        let what = format!("the kernel's hotplug helper ({})", quoted(&program));
        let source = Source { what: &what, path, line: None };
        let run = Run { subject: Subject::Processor, ..Run::new() };
        findings.extend(source.findings(follower, follower.command(program.as_bytes(), run)));
    }
    findings
}

/// `event=REGEX` and `action=COMMAND` (acpid(8)). Plugging in a processor is an ACPI event too.
fn acpid(tree: &Tree, follower: &Follower<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for name in tree.list(Path::new(ACPI)) {
        let path = Path::new(ACPI).join(name);
        let source = Source { what: "an acpid event", path: &path, line: None };
        let Some(text) = source.text(tree.look_into(&path), &mut findings) else { continue };
        let text = String::from_utf8_lossy(&text);
        let settings: BTreeMap<_, _> = (1..)
            .zip(text.lines())
            .filter_map(|(number, line)| {
                let (key, value) = line.trim().split_once('=')?;
                Some((key.trim(), (number, value.trim())))
            })
            .collect();
        let Some((number, action)) = settings.get("action") else { continue };
        let event = settings.get("event").map_or("", |(_, event)| event);
        let about = ["processor", "cpu", ".*"].iter().any(|word| event.contains(word));
        let subject = if about { Subject::Device } else { Subject::Named };
        let source = Source { what: "an acpid event", path: &path, line: Some(*number) };
        let does = follower.command(action.as_bytes(), Run { subject, ..Run::new() });
        findings.extend(source.findings(follower, does));
    }
    findings
}
