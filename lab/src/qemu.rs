//! The machine's QEMU, or one from packages that are unpacked and not installed.

use std::cell::OnceCell;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::apt::Apt;
use crate::cache::Cache;
use crate::{Error, within};

const PROGRAM: &str = "qemu-system-x86_64";

/// The folders of firmware in the packages. The packages expect links to one place, which an installation makes.
const FIRMWARE: [&str; 3] = ["usr/share/qemu", "usr/share/seabios", "usr/lib/ipxe/qemu"];

/// The first version that is known to work for the lab. With 7.2, kernels with several processors end now and then while they
/// boot (docs/lab.md), and no processor can be added after one was removed.
const FIRST: u32 = 10;

const LIBRARIES: [&str; 2] = ["usr/lib/x86_64-linux-gnu", "lib/x86_64-linux-gnu"];

/// Package lists, which are renewed when they are first needed.
pub(crate) struct Lists {
    dir: tempfile::TempDir,
    apt: OnceCell<Apt>,
}

impl Lists {
    pub(crate) fn new() -> Result<Lists, Error> {
        let dir = tempfile::tempdir().map_err(Error::here("a folder for package lists"))?;
        Ok(Lists { dir, apt: OnceCell::new() })
    }

    pub(crate) fn get(&mut self) -> Result<&Apt, Error> {
        if self.apt.get().is_none() {
            let _ = self.apt.set(Apt::update(self.dir.path())?);
        }
        self.apt.get().ok_or_else(|| Error::Unavailable("there are no package lists".into()))
    }
}

/// A QEMU that was checked to run.
#[derive(Clone, Debug)]
pub(crate) struct Qemu {
    /// The folder into which its packages were unpacked, if it is not installed.
    unpacked: Option<PathBuf>,
}

impl Qemu {
    pub(crate) fn find(cache: &Cache, lists: &mut Lists) -> Result<Qemu, Error> {
        let installed = Qemu { unpacked: None };
        if installed.runs().is_ok() {
            return Ok(installed);
        }
        // It uses the machine's libraries: when those are upgraded, it may have to be fetched again.
        let good = |part: &Path| Qemu { unpacked: Some(part.to_owned()) }.runs();
        let part = cache.part("qemu", good, |part| {
            let apt = lists.get()?;
            apt.unpack(&apt.missing_for("qemu-system-x86")?, part)
        })?;
        Ok(Qemu { unpacked: Some(part) })
    }

    /// The program, with the environment and options that it needs to find its own files.
    pub(crate) fn command(&self) -> Command {
        let Some(root) = &self.unpacked else { return Command::new(PROGRAM) };
        let mut command = Command::new(root.join("usr/bin").join(PROGRAM));
        let libraries: Vec<OsString> = LIBRARIES.map(|lib| root.join(lib).into()).into();
        command.env("LD_LIBRARY_PATH", libraries.join(":".as_ref()));
        for folder in FIRMWARE {
            command.arg("-L").arg(root.join(folder));
        }
        command
    }

    /// Checks that it runs and is new enough.
    fn runs(&self) -> Result<(), String> {
        let mut command = self.command();
        command.arg("--version");
        match within::output(&mut command, Duration::from_secs(30)) {
            Ok(output) if output.status.success() => {
                recent(&String::from_utf8_lossy(&output.stdout))
            }
            Ok(output) => Err(String::from_utf8_lossy(&output.stderr).trim().to_owned()),
            Err(e) => Err(format!("{PROGRAM}: {e}")),
        }
    }
}

/// Checks that a QEMU with this version output is new enough.
fn recent(said: &str) -> Result<(), String> {
    let version = said.split_whitespace().find_map(|word| word.split_once('.'));
    match version.and_then(|(major, _)| major.parse::<u32>().ok()) {
        Some(major) if major >= FIRST => Ok(()),
        _ => {
            let said = said.lines().next().unwrap_or("a version that cannot be read");
            Err(format!("it needs QEMU {FIRST} or later, but the available version is {said}"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_qemu_version_that_crashes_kernels_is_not_used() {
        assert_eq!(recent("QEMU emulator version 10.0.2 (Debian 1:10.0.2+ds-2)\n..."), Ok(()));
        assert_eq!(recent("QEMU emulator version 11.1.50\n"), Ok(()));
        let old =
            recent("QEMU emulator version 7.2.22 (Debian 1:7.2+dfsg-7)\nCopyright").unwrap_err();
        assert!(old.contains("QEMU 10") && old.contains("7.2.22"), "{old}");
        assert!(!old.contains("Copyright"), "one line: {old}");
        assert!(recent("").is_err(), "it says nothing");
    }
}
