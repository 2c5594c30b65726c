//! Settings of what runs at boot: inittab, upstart, cloud-init, tuned, tmpfiles, sysfs.conf. Their text is searched; the scripts
//! of tuned's active profile and the commands of inittab are followed.

use std::collections::BTreeSet;
use std::path::Path;

use super::command::{Does, Follower, Run};
use super::finding::{Finding, Level, MOST};
use super::hooks::{self, Hook, hook};
use super::script::{self, Hit, Subject};
use super::told::{Source, WHY};
use super::tree::Tree;

const PLACES: [Hook; 10] = [
    hook("/etc/init", "an upstart job", 0),
    hook("/etc/cloud/cloud.cfg", "cloud-init", 0),
    hook("/etc/cloud/cloud.cfg.d", "cloud-init", 0),
    hook("/var/lib/cloud/instance/user-data.txt", "cloud-init", 0),
    hook("/var/lib/cloud/instance/cloud-config.txt", "cloud-init", 0),
    hook("/etc/tuned", "a tuned profile", 2),
    hook("/usr/lib/tuned", "a tuned profile", 2),
    hook("/etc/sysfs.conf", "a sysfsutils setting", 0),
    hook("/etc/sysfs.d", "a sysfsutils setting", 0),
    hook("/etc/laptop-mode", "a laptop-mode setting", 1),
];

/// The folders of tmpfiles settings. A file replaces those of the same name in later folders.
const TMPFILES: [&str; 4] =
    ["/etc/tmpfiles.d", "/run/tmpfiles.d", "/usr/local/lib/tmpfiles.d", "/usr/lib/tmpfiles.d"];

/// Examines all of these.
pub(crate) fn check(tree: &Tree, follower: &Follower<'_>) -> Vec<Finding> {
    let active = tree.read(Path::new("/etc/tuned/active_profile"));
    let active = active.map(|names| String::from_utf8_lossy(&names).into_owned());
    let mut findings = inittab(tree, follower);
    findings.extend(modprobe(tree, follower));
    let mut looked = BTreeSet::new();
    for place in PLACES {
        for path in hooks::files(tree, Path::new(place.path), place.depth) {
            if tree.id(&path).is_none_or(|id| !looked.insert(id)) {
                continue;
            }
            let source = Source { what: place.what, path: &path, line: None };
            let Some(text) = source.text(tree.look_into(&path), &mut findings) else { continue };
            let found = source.lines(&text, Subject::Named);
            let asleep = active.as_ref().is_some_and(|active| is_other_profile(&path, active));
            if found.is_empty() && !asleep && text.starts_with(b"#!") {
                let does = follower.file(&path, Run::new()).unwrap_or(Does::Else);
                findings.extend(source.findings(follower, does));
            }
            findings.extend(
                found.into_iter().map(|finding| if asleep { unused(finding) } else { finding }),
            );
        }
    }
    let mut seen = BTreeSet::new();
    for folder in TMPFILES.map(Path::new) {
        for name in tree.list(folder) {
            let path = folder.join(&name);
            if seen.insert(name) {
                let source = Source { what: "a tmpfiles line", path: &path, line: None };
                let text = source.text(tree.look_into(&path), &mut findings).unwrap_or_default();
                findings.extend(found(&path, "a tmpfiles line", tmpfiles(&text)));
            }
        }
    }
    findings
}

/// `install MODULE COMMAND`, which is run instead of loading a module (modprobe.d(5)).
fn modprobe(tree: &Tree, follower: &Follower<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for folder in ["/etc/modprobe.d", "/run/modprobe.d", "/usr/lib/modprobe.d", "/lib/modprobe.d"] {
        for path in hooks::files(tree, Path::new(folder), 0) {
            let source = Source { what: "a modprobe command", path: &path, line: None };
            let Some(text) = source.text(tree.look_into(&path), &mut findings) else { continue };
            for (number, line) in (1..).zip(String::from_utf8_lossy(&text).lines()) {
                let mut words = line.trim().splitn(3, char::is_whitespace);
                let runs = matches!(words.next(), Some("install" | "remove"));
                let Some(command) = words.nth(1).filter(|_| runs) else { continue };
                let does = follower.command(command.as_bytes(), Run::new());
                let source = Source { line: Some(number), ..source };
                findings.extend(source.findings(follower, does));
            }
        }
    }
    findings.truncate(MOST);
    findings
}

/// `ID:LEVELS:ACTION:COMMAND`
fn inittab(tree: &Tree, follower: &Follower<'_>) -> Vec<Finding> {
    let path = Path::new("/etc/inittab");
    let mut findings = Vec::new();
    let source = Source { what: "an inittab line", path, line: None };
    let Some(text) = source.text(tree.look_into(path), &mut findings) else { return findings };
    findings.extend(source.lines(&text, Subject::Named));
    for (number, line) in (1..).zip(String::from_utf8_lossy(&text).lines()).take(MOST) {
        let mut fields = line.splitn(4, ':');
        let Some(command) = fields.nth(3).filter(|_| !line.starts_with('#')) else { continue };
        let command = command.trim_start_matches(['+', '-', '@']);
        let source = Source { line: Some(number), ..source };
        findings
            .extend(source.findings(follower, follower.command(command.as_bytes(), Run::new())));
    }
    findings
}

/// Whether a path belongs to a tuned profile that is not in use.
fn is_other_profile(path: &Path, active: &str) -> bool {
    let tuned = ["/etc/tuned", "/usr/lib/tuned"].iter().any(|folder| path.starts_with(folder));
    let mut names = active.split_whitespace();
    tuned && !names.any(|name| path.components().any(|part| part.as_os_str() == name))
}

fn unused(finding: Finding) -> Finding {
    let what = format!(
        "{}; the profile is not active, but the active profile may include it",
        finding.what
    );
    Finding { level: Level::Note, what, ..finding }
}

fn found(path: &Path, what: &str, hits: Vec<Hit>) -> impl Iterator<Item = Finding> {
    hits.into_iter().take(MOST).map(move |hit| {
        Finding::new(Level::Problem, format!("{what} brings processors online: {}", hit.text))
            .at(path, hit.line)
            .why(WHY)
            .fix("remove the line; hotadd add brings a processor online with consent")
    })
}

/// The lines of a tmpfiles file that write to a processor's switch.
fn tmpfiles(text: &[u8]) -> Vec<Hit> {
    let text = String::from_utf8_lossy(text);
    let lines = (1..).zip(text.lines()).filter(|(_, line)| {
        let words: Vec<_> = line.split_whitespace().collect();
        let [kind, path, .., value] = words[..] else { return false };
        kind.starts_with(['w', 'f', 'F', 'C'])
            && script::is_switch(path)
            && words.len() > 5
            && !script::is_off(value)
    });
    lines.map(|(line, text)| Hit { line, text: super::finding::excerpt(text.as_bytes()) }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_tmpfiles_that_write_to_switches_are_found() {
        let text = b"# w /sys/devices/system/cpu/cpu1/online - - - - 1\n\
            w /sys/devices/system/cpu/cpu1/online - - - - 1\n\
            w /sys/devices/system/cpu/cpu2/online - - - - 0\n\
            w- /sys/devices/system/cpu/cpu[1-9]*/online - - - - 1\n\
            z /sys/devices/system/cpu/cpu1/online 0644 root root\n\
            w /sys/kernel/mm/ksm/run - - - - 1\n";
        let lines: Vec<_> = tmpfiles(text).iter().map(|hit| hit.line).collect();
        assert_eq!(lines, [2, 4]);
    }
}
