//! What else runs at boot or from time to time: cron, init scripts, cloud-init, tuned, tmpfiles, sysfs.conf. Only their text is
//! looked at.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::finding::{Finding, Level, MOST};
use super::script::{self, Hit, Subject};
use super::tree::Tree;

/// Somewhere to look.
struct Place {
    /// A file, or a folder whose files are meant.
    path: &'static str,
    /// How what is there is called.
    what: &'static str,
    /// How many folders further down.
    depth: usize,
}

const fn place(path: &'static str, what: &'static str, depth: usize) -> Place {
    Place { path, what, depth }
}

const PLACES: [Place; 25] = [
    place("/etc/crontab", "a line of cron", 0),
    place("/etc/anacrontab", "a line of cron", 0),
    place("/etc/cron.d", "a line of cron", 0),
    place("/etc/cron.hourly", "a script of cron", 0),
    place("/etc/cron.daily", "a script of cron", 0),
    place("/etc/cron.weekly", "a script of cron", 0),
    place("/etc/cron.monthly", "a script of cron", 0),
    place("/var/spool/cron", "a line of cron", 1),
    place("/etc/rc.local", "a script at boot", 0),
    place("/etc/rc.d", "a script at boot", 1),
    place("/etc/init.d", "a script at boot", 0),
    place("/etc/init", "a script at boot", 0),
    place("/etc/local.d", "a script at boot", 0),
    place("/etc/cloud/cloud.cfg", "cloud-init", 0),
    place("/etc/cloud/cloud.cfg.d", "cloud-init", 0),
    place("/var/lib/cloud/scripts", "a script of cloud-init", 1),
    place("/var/lib/cloud/instance/scripts", "a script of cloud-init", 0),
    place("/var/lib/cloud/instance/user-data.txt", "cloud-init", 0),
    place("/var/lib/cloud/instance/cloud-config.txt", "cloud-init", 0),
    place("/etc/tuned", "a profile of tuned", 2),
    place("/usr/lib/tuned", "a profile of tuned", 2),
    place("/etc/sysfs.conf", "a setting of sysfsutils", 0),
    place("/etc/sysfs.d", "a setting of sysfsutils", 0),
    place("/usr/lib/systemd/system-sleep", "a script after sleep", 0),
    place("/etc/acpi", "a script for events of ACPI", 1),
];

/// Where settings of tmpfiles are. A file takes the place of those of the same name in later folders.
const TMPFILES: [&str; 4] =
    ["/etc/tmpfiles.d", "/run/tmpfiles.d", "/usr/local/lib/tmpfiles.d", "/usr/lib/tmpfiles.d"];

const WHY: &str = "processors come online before anybody was asked (A1), and count as joined without agreement (Q3)";

/// Looks everywhere.
pub(crate) fn check(tree: &Tree) -> Vec<Finding> {
    let active = tree.read(Path::new("/etc/tuned/active_profile"));
    let active = active.map(|names| String::from_utf8_lossy(&names).into_owned());
    let mut findings = Vec::new();
    // Init scripts have many names.
    let mut looked = BTreeSet::new();
    for place in PLACES {
        for path in files(tree, Path::new(place.path), place.depth) {
            if tree.id(&path).is_none_or(|id| !looked.insert(id)) {
                continue;
            }
            let Some(text) = tree.read_text(&path) else { continue };
            let found = found(&path, place.what, script::scan(&text, Subject::Named));
            let asleep = active.as_ref().is_some_and(|active| is_other_profile(&path, active));
            findings.extend(found.map(|finding| if asleep { unused(finding) } else { finding }));
        }
    }
    let mut seen = BTreeSet::new();
    for folder in TMPFILES.map(Path::new) {
        for name in tree.list(folder) {
            let path = folder.join(&name);
            if seen.insert(name) {
                let text = tree.read_text(&path).unwrap_or_default();
                findings.extend(found(&path, "a line of tmpfiles", tmpfiles(&text)));
            }
        }
    }
    findings
}

/// Whether a path belongs to a profile of tuned that is not in use.
fn is_other_profile(path: &Path, active: &str) -> bool {
    let tuned = ["/etc/tuned", "/usr/lib/tuned"].iter().any(|folder| path.starts_with(folder));
    let mut names = active.split_whitespace();
    tuned && !names.any(|name| path.components().any(|part| part.as_os_str() == name))
}

fn unused(finding: Finding) -> Finding {
    let what =
        format!("{}; the profile is not the active one, and may be included by it", finding.what);
    Finding { level: Level::Note, what, ..finding }
}

fn found(path: &Path, what: &str, hits: Vec<Hit>) -> impl Iterator<Item = Finding> {
    hits.into_iter().take(MOST).map(move |hit| {
        Finding::new(Level::Problem, format!("{what} brings processors online: {}", hit.text))
            .at(path, hit.line)
            .why(WHY)
            .fix("take the line out; hotadd add brings a processor online by agreement")
    })
}

/// A file, or those in a folder.
fn files(tree: &Tree, path: &Path, depth: usize) -> Vec<PathBuf> {
    let mut found = vec![path.to_owned()];
    let mut level = vec![path.to_owned()];
    for _ in 0..=depth {
        let below = level
            .iter()
            .flat_map(|folder| tree.list(folder).into_iter().map(move |name| folder.join(name)));
        level = below.collect();
        // A folder is no file, and one that is not read is not missed.
        found.extend(level.iter().cloned());
    }
    found
}

/// The lines of a file of tmpfiles that write to a processor's switch.
fn tmpfiles(text: &[u8]) -> Vec<Hit> {
    let text = String::from_utf8_lossy(text);
    let lines = (1..).zip(text.lines()).filter(|(_, line)| {
        let words: Vec<_> = line.split_whitespace().collect();
        let [kind, path, .., value] = words[..] else { return false };
        kind.starts_with(['w', 'f', 'F'])
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
    fn tmpfiles_write_to_switches_by_lines_of_their_own_form() {
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
