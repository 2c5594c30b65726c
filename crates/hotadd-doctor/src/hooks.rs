//! Folders and files whose scripts are run at boot, at intervals, or when a device, a network or a sleep state comes or goes.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::command::{Follower, Run};
use super::finding::Finding;
use super::script::Subject;
use super::told::Source;
use super::tree::{Content, Tree};
use super::units::Units;

/// A place to examine.
pub(super) struct Hook {
    /// A file, or a folder whose files are examined.
    pub(super) path: &'static str,
    /// The name for what is there.
    pub(super) what: &'static str,
    /// How many levels of folders below it are examined.
    pub(super) depth: usize,
}

pub(super) const fn hook(path: &'static str, what: &'static str, depth: usize) -> Hook {
    Hook { path, what, depth }
}

const CRON: &str = "a cron script";
const BOOT: &str = "a script at boot";
const SLEEP: &str = "a sleep hook";
const NET: &str = "a network hook";

const HOOKS: &[Hook] = &[
    hook("/etc/cron.hourly", CRON, 0),
    hook("/etc/cron.daily", CRON, 0),
    hook("/etc/cron.weekly", CRON, 0),
    hook("/etc/cron.monthly", CRON, 0),
    hook("/etc/periodic", CRON, 1),
    hook("/var/spool/at", "an at job", 0),
    hook("/var/spool/cron/atjobs", "an at job", 0),
    hook("/etc/rc.local", BOOT, 0),
    hook("/etc/rc.d", BOOT, 1),
    hook("/etc/init.d", BOOT, 1),
    hook("/etc/rcS.d", BOOT, 0),
    hook("/etc/rc0.d", BOOT, 0),
    hook("/etc/rc1.d", BOOT, 0),
    hook("/etc/rc2.d", BOOT, 0),
    hook("/etc/rc3.d", BOOT, 0),
    hook("/etc/rc4.d", BOOT, 0),
    hook("/etc/rc5.d", BOOT, 0),
    hook("/etc/rc6.d", BOOT, 0),
    hook("/etc/local.d", BOOT, 0),
    hook("/etc/boot.d", BOOT, 0),
    hook("/etc/runit", BOOT, 1),
    hook("/etc/sv", BOOT, 1),
    hook("/etc/service", BOOT, 1),
    hook("/service", BOOT, 1),
    hook("/etc/s6", BOOT, 3),
    hook("/etc/systemd/system-generators", BOOT, 0),
    hook("/usr/local/lib/systemd/system-generators", BOOT, 0),
    hook("/usr/lib/systemd/system-generators", BOOT, 0),
    hook("/usr/lib/systemd/system-sleep", SLEEP, 0),
    hook("/lib/systemd/system-sleep", SLEEP, 0),
    hook("/etc/pm/sleep.d", SLEEP, 0),
    hook("/etc/pm/power.d", SLEEP, 0),
    hook("/usr/lib/pm-utils/sleep.d", SLEEP, 0),
    hook("/usr/lib/pm-utils/power.d", SLEEP, 0),
    hook("/etc/acpi", "an ACPI event script", 1),
    hook("/etc/apm", SLEEP, 1),
    hook("/etc/NetworkManager/dispatcher.d", NET, 1),
    hook("/usr/lib/NetworkManager/dispatcher.d", NET, 1),
    hook("/etc/networkd-dispatcher", NET, 1),
    hook("/etc/network/if-pre-up.d", NET, 0),
    hook("/etc/network/if-up.d", NET, 0),
    hook("/etc/network/if-down.d", NET, 0),
    hook("/etc/network/if-post-down.d", NET, 0),
    hook("/etc/dhcp/dhclient-enter-hooks.d", NET, 0),
    hook("/etc/dhcp/dhclient-exit-hooks.d", NET, 0),
    hook("/etc/ppp/ip-up.d", NET, 0),
    hook("/var/lib/cloud/scripts", "a cloud-init script", 1),
    hook("/var/lib/cloud/instance/scripts", "a cloud-init script", 0),
    hook("/etc/vmware-tools", "a script of VMware Tools", 2),
    hook("/etc/qemu/fsfreeze-hook.d", "a QEMU guest agent script", 0),
    hook("/etc/qemu/fsfreeze-hook", "a QEMU guest agent script", 0),
    hook("/usr/share/qemu/run", "a QEMU guest agent script", 0),
    hook("/etc/rc.button", "an ACPI event script", 0),
];

/// Examines all hooks.
pub(crate) fn check(tree: &Tree, follower: &Follower<'_>, units: &Units) -> Vec<Finding> {
    let mut findings = Vec::new();
    // Init scripts have several names, so files are told apart by their ids.
    let mut looked = BTreeSet::new();
    for hook in HOOKS {
        for path in files(tree, Path::new(hook.path), hook.depth) {
            if tree.id(&path).is_none_or(|id| !looked.insert(id)) {
                continue;
            }
            let source = Source { what: hook.what, path: &path, line: None };
            match tree.look_into(&path) {
                Content::Text(text) => {
                    let lines = source.lines(&text, Subject::Named);
                    if !lines.is_empty() {
                        findings.extend(lines);
                        continue;
                    }
                    if is_text_alone(&path, &text) || (hook.what == BOOT && units.replaces(&path)) {
                        continue;
                    }
                }
                Content::Folder | Content::Missing => continue,
                Content::Special | Content::Binary(_) | Content::Unread(_) => {}
            }
            if let Some(does) = follower.file(&path, Run::new()) {
                findings.extend(source.findings(follower, does));
            }
        }
    }
    findings
}

/// A file, or the files in a folder.
pub(crate) fn files(tree: &Tree, path: &Path, depth: usize) -> Vec<PathBuf> {
    let mut found = vec![path.to_owned()];
    let mut level = vec![path.to_owned()];
    for _ in 0..=depth {
        let below = level
            .iter()
            .flat_map(|folder| tree.list(folder).into_iter().map(move |name| folder.join(name)));
        level = below.collect();
        // Folders are in the list too; reading them as files yields nothing.
        found.extend(level.iter().cloned());
    }
    found
}

/// Whether a file in a folder of scripts is not a script, but documentation or settings.
fn is_text_alone(path: &Path, text: &[u8]) -> bool {
    if text.starts_with(b"#!") {
        return false;
    }
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let ends = [".txt", ".md", ".conf", ".placeholder", ".example"];
    name.to_ascii_uppercase().starts_with("README")
        || name.starts_with('.')
        || ends.iter().any(|end| name.ends_with(end))
        || path.starts_with("/etc/acpi/events")
}
