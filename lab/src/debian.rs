//! Debian's userland for guests: its unpacked packages, and the effects of their maintainer scripts as far as they are needed.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use crate::cache::Cache;
use crate::initramfs::Archive;
use crate::qemu::Lists;
use crate::{Error, Guest, within};

/// The memory that it needs, in MiB: for the archive, the unpacked files, and the running programs.
pub(crate) const MEMORY: u32 = 1536;

/// The path of the lab's own program in the guest.
pub(crate) const AGENT: &str = "/usr/lib/lab/agent";

/// The packages of a guest, to which dependencies are added. `usr-is-merged` stands in for the package that would merge `/usr`
/// by a Perl script. `init-system-helpers` and Perl are for the scripts of packages that are installed in a guest.
const PACKAGES: [&str; 18] = [
    "base-files",
    "base-passwd",
    "coreutils",
    "dash",
    "dbus",
    "dpkg",
    "findutils",
    "gir1.2-glib-2.0",
    "grep",
    "init-system-helpers",
    "perl-base",
    "polkitd",
    "procps",
    "python3-gi",
    "systemd-sysv",
    "udev",
    "usr-is-merged",
    "util-linux",
];

/// Folders that no guest needs. They are half of everything.
const LEFT_OUT: [&str; 14] = [
    "boot",
    // Twelve programs, which run at each reload of systemd and find nothing in a guest.
    "usr/lib/systemd/system-generators",
    "usr/lib/udev/hwdb.d",
    "usr/lib/x86_64-linux-gnu/gconv",
    "usr/share/bash-completion",
    "usr/share/bug",
    "usr/share/common-licenses",
    "usr/share/doc",
    "usr/share/doc-base",
    "usr/share/info",
    "usr/share/lintian",
    "usr/share/locale",
    "usr/share/man",
    "usr/share/zsh",
];

/// Folders that later archives must not replace: some are links.
pub(crate) const FOLDERS: [&str; 6] = ["bin", "lib", "lib64", "sbin", "etc", "usr"];

/// The links into `usr`.
const MERGED: [&str; 4] = ["bin", "lib", "lib64", "sbin"];

/// Users and groups beside those of every machine. Their numbers are arbitrary.
const USERS: [(&str, u32); 3] = [("systemd-network", 998), ("polkitd", 996), ("messagebus", 100)];
const GROUPS: [(&str, u32); 6] = [
    ("systemd-journal", 999),
    ("systemd-network", 998),
    ("polkitd", 996),
    ("messagebus", 100),
    ("input", 106),
    ("kvm", 105),
];

/// Units whose result no guest uses, or that wait for something that a guest does not have.
const MASKED: [&str; 9] = [
    "console-getty.service",
    "getty-static.service",
    "serial-getty@ttyS0.service",
    "systemd-firstboot.service",
    "systemd-random-seed.service",
    "systemd-tmpfiles-clean.timer",
    "systemd-update-utmp-runlevel.service",
    "systemd-update-utmp.service",
    "systemd-user-sessions.service",
];

const LINKS: [(&str, &str); 6] = [
    ("init", "usr/lib/systemd/systemd"),
    ("var/run", "/run"),
    ("var/lock", "/run/lock"),
    ("var/lib/dbus/machine-id", "/etc/machine-id"),
    ("etc/systemd/system/default.target", "/usr/lib/systemd/system/multi-user.target"),
    ("etc/systemd/system/multi-user.target.wants/lab.service", "/etc/systemd/system/lab.service"),
];

const FILES: [(&str, &str); 6] = [
    ("etc/hostname", "guest\n"),
    ("etc/fstab", ""),
    // Any id is valid. Without one, systemd takes this for the first boot of a new machine, and enables all units.
    ("etc/machine-id", "6c61626c61626c61626c61626c61626c\n"),
    // Stamps that prevent the updates which systemd runs at boot after /usr has changed.
    ("etc/.updated", ""),
    ("var/.updated", ""),
    ("etc/systemd/system/lab.service", SERVICE),
];

/// The agent's unit. When the agent ends, the guest is of no more use: the unit reboots it, and QEMU then ends.
const SERVICE: &str = "\
[Unit]
Description=The lab's agent
FailureAction=reboot-force
SuccessAction=reboot-force
[Service]
Type=exec
ExecStart=/usr/lib/lab/agent agent
Environment=HOME=/root
StandardOutput=file:/dev/console
StandardError=file:/dev/console
TasksMax=infinity
";

/// The archive of the userland, for the kernel to unpack.
pub(crate) fn archive(cache: &Cache, lists: &mut Lists) -> Result<PathBuf, Error> {
    let part = cache.part("debian", good, |part| {
        let apt = lists.get()?;
        let root = tempfile::tempdir_in(part).map_err(Error::here("a folder to unpack in"))?;
        apt.unpack(&apt.all_for(&PACKAGES)?, root.path())?;
        let write = || {
            write(root.path(), &part.join("archive"))?;
            fs::write(part.join("recipe"), recipe())?;
            fs::write(part.join("sum"), sum(&part.join("archive"))?)
        };
        write().map_err(Error::here("an archive of Debian's packages"))
    })?;
    Ok(part.join("archive"))
}

/// Waits until systemd has started everything.
pub(crate) fn is_up(guest: &Guest, until: Instant) -> Result<(), Error> {
    let left = until.saturating_duration_since(Instant::now());
    let output = guest.run_within(left, &["systemctl", "is-system-running", "--wait"])?;
    if output.stdout == b"running\n" {
        return Ok(());
    }
    let failed = guest.run(&["systemctl", "--failed", "--no-legend", "--plain"])?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    let (state, failed) = (text(&output.stdout), text(&failed.stdout));
    Err(Error::Lost { what: format!("is {state}: {failed}"), console: guest.console() })
}

/// Whether an archive is intact and was made by this version of the lab.
fn good(part: &Path) -> Result<(), String> {
    let check = || {
        if fs::read_to_string(part.join("recipe"))? != recipe() {
            return Err(io::Error::other("made in another way"));
        }
        if fs::read_to_string(part.join("sum"))? != sum(&part.join("archive"))? {
            return Err(io::Error::other("damaged"));
        }
        Ok(())
    };
    check().map_err(|e| format!("{}: {e}", part.display()))
}

/// Everything that makes archives differ, except the packages' versions.
fn recipe() -> String {
    format!("{PACKAGES:?}{LEFT_OUT:?}{USERS:?}{GROUPS:?}{MASKED:?}{LINKS:?}{FILES:?}")
}

/// The SHA-256 sum of a file.
pub(crate) fn sum(path: &Path) -> io::Result<String> {
    let output =
        within::output(Command::new("sha256sum").arg("-b").arg(path), Duration::from_secs(60))?;
    let text = String::from_utf8_lossy(&output.stdout);
    // The line of a name with special characters begins with a backslash.
    let sum = text.split_whitespace().next().unwrap_or_default().trim_start_matches('\\');
    if output.status.success() && sum.len() == 64 {
        Ok(sum.to_owned())
    } else {
        Err(io::Error::other(String::from_utf8_lossy(&output.stderr).trim().to_owned()))
    }
}

/// Writes one archive of the unpacked packages and the lab's own files.
fn write(root: &Path, to: &Path) -> io::Result<()> {
    let mut archive = Archive::new(BufWriter::new(File::create(to)?));
    archive.folder(Path::new("usr"))?;
    for name in MERGED {
        archive.folder(&Path::new("usr").join(name))?;
        archive.link(name, &format!("usr/{name}"))?;
    }
    archive.tree(root, &place)?;
    for name in ["passwd", "group"] {
        let all = fs::read_to_string(root.join(format!("usr/share/base-passwd/{name}.master")))?;
        let more: String = match name {
            "passwd" => {
                USERS.iter().map(|(n, id)| format!("{n}:*:{id}:{id}::/:/bin/false\n")).collect()
            }
            _ => GROUPS.iter().map(|(n, id)| format!("{n}:*:{id}:\n")).collect(),
        };
        archive.text(&format!("etc/{name}"), &(all + &more))?;
    }
    for (path, text) in FILES {
        archive.text(path, text)?;
    }
    for (path, target) in LINKS {
        archive.link(path, target)?;
    }
    for unit in MASKED {
        archive.link(&format!("etc/systemd/system/{unit}"), "/dev/null")?;
    }
    archive.finish()?.flush()
}

/// The path of a package's file in the guest: in `usr` if its folder is a link there.
fn place(path: &Path) -> Option<PathBuf> {
    let merged = MERGED.iter().any(|name| path.starts_with(name));
    let to = if merged { Path::new("usr").join(path) } else { path.to_owned() };
    let left_out = LEFT_OUT.iter().any(|folder| to.starts_with(folder));
    (!left_out).then_some(to)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_placed_in_a_merged_usr_and_documentation_is_left_out() {
        let of = |path: &str| place(Path::new(path)).map(|to| to.display().to_string());
        assert_eq!(of("lib/systemd/systemd").as_deref(), Some("usr/lib/systemd/systemd"));
        assert_eq!(of("lib64/ld.so").as_deref(), Some("usr/lib64/ld.so"), "lib64 is not lib");
        assert_eq!(of("libexec/x").as_deref(), Some("libexec/x"), "a name that begins alike");
        assert_eq!(of("usr/bin/env").as_deref(), Some("usr/bin/env"));
        assert_eq!(of("usr/share/doc/a/copyright"), None, "nobody reads it there");
        assert_eq!(of("lib/udev/hwdb.d/20-x.hwdb"), None, "left out under its merged name");
    }

    #[test]
    fn a_damaged_archive_or_one_of_another_recipe_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let part = dir.path();
        let put = |name: &str, text: &str| fs::write(part.join(name), text).unwrap();
        put("archive", "all of it");
        put("recipe", &recipe());
        put("sum", &sum(&part.join("archive")).unwrap());
        assert_eq!(good(part), Ok(()));
        put("archive", "all of ti");
        assert!(good(part).unwrap_err().ends_with("damaged"), "two bytes are swapped");
        put("archive", "all of it");
        put("recipe", "without systemd");
        assert!(good(part).unwrap_err().ends_with("another way"), "another lab has made it");
        fs::remove_file(part.join("archive")).unwrap();
        put("recipe", &recipe());
        assert!(good(part).is_err(), "it is not there");
    }
}
