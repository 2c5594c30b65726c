//! Debian's packages, fetched and unpacked without root and without being installed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use crate::{Error, within};

/// The time limit of a download. The kernels and QEMU are 90 MB together; a connection slower than 1 Mbit/s counts as none.
const LIMIT: Duration = Duration::from_secs(720);

/// The machine's list of installed packages.
const STATUS: &str = "/var/lib/dpkg/status";

/// The machine's package sources, besides the folder of the same name.
const SOURCES: &str = "/etc/apt/sources.list";

/// The keys with which every Debian verifies Debian's package lists.
const KEYS: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// Package lists for the lab alone, made from the machine's sources and keys: the machine's own lists may be old or missing, and
/// only root may renew them. They include the backports, newer packages that Debian makes for its last release. apt takes a
/// package from there only if it is asked to.
pub(crate) struct Apt {
    dir: PathBuf,
    /// The name of the backports' suite here.
    backports: Option<String>,
    /// The error of renewing the lists. Only reported if a package is not found later.
    complaint: String,
}

impl Apt {
    /// Renews the lists in `dir`.
    pub(crate) fn update(dir: &Path) -> Result<Apt, Error> {
        for folder in ["lists/partial", "archives/partial"] {
            fs::create_dir_all(dir.join(folder)).map_err(Error::here("a folder for apt"))?;
        }
        let mut apt = Apt { dir: dir.to_owned(), backports: None, complaint: String::new() };
        let sources = fs::read_to_string(SOURCES).unwrap_or_default();
        apt.renew(&sources)?;
        if let Some(release) = debian()
            && let Some(mirror) = apt.mirror(&release)?
        {
            let suite = format!("{release}-backports");
            // If the machine's sources have this suite already, none is added.
            if apt.mirror(&suite)?.is_none() {
                apt.renew(&format!("{sources}\ndeb [signed-by={KEYS}] {mirror} {suite} main\n"))?;
            }
            apt.backports = apt.mirror(&suite)?.and(Some(suite));
        }
        Ok(apt)
    }

    fn renew(&mut self, sources: &str) -> Result<(), Error> {
        fs::write(self.sources(), sources).map_err(Error::here("a list of sources"))?;
        let output = self.run(&["apt-get", "update", "-qq"], &self.dir)?;
        // The first line says which source cannot be reached and why; the last one only says that there was one.
        let text = String::from_utf8_lossy(&output.stderr);
        self.complaint = text.lines().next().unwrap_or_default().trim().to_owned();
        Ok(())
    }

    fn sources(&self) -> PathBuf {
        self.dir.join("sources.list")
    }

    /// The source of a release's packages, if their list could be fetched.
    fn mirror(&self, release: &str) -> Result<Option<String>, Error> {
        let codename = format!("Codename: {release}");
        let args = ["apt-get", "indextargets", "--format", "$(REPO_URI)"];
        let which = ["Created-By: Packages", &codename, "Component: main"];
        let output = self.run(&[&args[..], &which].concat(), &self.dir)?;
        let text = String::from_utf8_lossy(&output.stdout);
        Ok(text.lines().next().map(str::to_owned))
    }

    /// The package with a name beginning with `prefix` on which the first suitable metapackage depends.
    pub(crate) fn behind(&self, metas: &[&str], prefix: &str) -> Result<String, Error> {
        for meta in metas {
            let output = self.run(&["apt-cache", "depends", meta], &self.dir)?;
            let text = String::from_utf8_lossy(&output.stdout);
            let mut depends = text.lines().filter_map(|l| l.trim().strip_prefix("Depends: "));
            if let Some(found) = depends.find(|package| package.starts_with(prefix)) {
                return Ok(found.to_owned());
            }
        }
        let what = format!(
            "apt finds no package {prefix}* among the dependencies of {}",
            metas.join(" or ")
        );
        Err(self.unavailable(&what))
    }

    /// The newest version of a package, with its dependencies that the machine does not have.
    pub(crate) fn missing_for(&self, package: &str) -> Result<Vec<String>, Error> {
        let newest = self.backports.as_ref().map(|suite| format!("--target-release={suite}"));
        let options: Vec<&str> = newest.iter().map(String::as_str).collect();
        self.closure(&options, &[package], Path::new(STATUS))
    }

    /// Packages with all dependencies, as on a machine with no packages.
    pub(crate) fn all_for(&self, packages: &[&str]) -> Result<Vec<String>, Error> {
        let nothing = self.dir.join("status");
        fs::write(&nothing, "").map_err(Error::here("a list of no packages"))?;
        self.closure(&[], packages, &nothing)
    }

    /// Each package as `NAME=VERSION`.
    fn closure(
        &self,
        options: &[&str],
        packages: &[&str],
        status: &Path,
    ) -> Result<Vec<String>, Error> {
        let mut args = vec!["apt-get", "install", "-s", "--no-install-recommends"];
        args.extend(options);
        args.extend(packages);
        let output = self.run_with(&args, &self.dir, status)?;
        let text = String::from_utf8_lossy(&output.stdout);
        let found: Vec<_> = text.lines().filter_map(installs).collect();
        if !output.status.success() || found.is_empty() {
            return Err(self.unavailable(&format!(
                "{}: {}",
                packages.join(" "),
                complaint(&output)
            )));
        }
        Ok(found)
    }

    /// Fetches packages and unpacks them into `root`. apt verifies them against the signed lists.
    pub(crate) fn unpack(&self, packages: &[String], root: &Path) -> Result<(), Error> {
        let debs = tempfile::tempdir_in(&self.dir).map_err(Error::here("a folder for packages"))?;
        let mut args = vec!["apt-get", "download", "-qq"];
        args.extend(packages.iter().map(String::as_str));
        let output = self.run(&args, debs.path())?;
        if !output.status.success() {
            let what = format!("{} cannot be fetched: {}", packages.join(" "), complaint(&output));
            return Err(self.unavailable(&what));
        }
        for deb in fs::read_dir(debs.path()).map_err(Error::here("reading packages"))? {
            let deb = deb.map_err(Error::here("reading packages"))?.path();
            let mut dpkg = Command::new("dpkg");
            dpkg.arg("-x").arg(&deb).arg(root);
            let output = within::output(&mut dpkg, LIMIT).map_err(absent("dpkg"))?;
            if !output.status.success() {
                let what = format!("{} cannot be unpacked: {}", deb.display(), complaint(&output));
                return Err(Error::Unavailable(what));
            }
        }
        Ok(())
    }

    fn run(&self, args: &[&str], dir: &Path) -> Result<Output, Error> {
        self.run_with(args, dir, Path::new(STATUS))
    }

    /// Runs apt with this list of installed packages.
    fn run_with(&self, args: &[&str], dir: &Path, status: &Path) -> Result<Output, Error> {
        let mut command = Command::new(args[0]);
        command.current_dir(dir).env("LC_ALL", "C");
        for (name, value) in [
            ("Dir::State", self.dir.as_path()),
            ("Dir::State::status", status),
            ("Dir::Etc::sourcelist", &self.sources()),
            ("Dir::Cache", self.dir.as_path()),
            // As root, apt would switch to another user, who may not write here.
            ("APT::Sandbox::User", Path::new("root")),
            ("Acquire::Languages", Path::new("none")),
            ("Acquire::IndexTargets::deb::DEP-11::DefaultEnabled", Path::new("false")),
            ("Acquire::Retries", Path::new("1")),
            ("Acquire::http::Timeout", Path::new("20")),
            ("Acquire::https::Timeout", Path::new("20")),
        ] {
            command.arg("-o").arg(format!("{name}={}", value.display()));
        }
        command.args(&args[1..]);
        within::output(&mut command, LIMIT).map_err(absent(args[0]))
    }

    fn unavailable(&self, what: &str) -> Error {
        let complaint = &self.complaint;
        let why = if complaint.is_empty() { String::new() } else { format!(" ({complaint})") };
        Error::Unavailable(format!("{what}{why}"))
    }
}

/// The machine's release, if it is one of Debian.
fn debian() -> Option<String> {
    let text = fs::read_to_string("/etc/os-release").ok()?;
    let value = |key: &str| {
        let found = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
        found.map(|value| value.trim_matches('"').to_owned())
    };
    value("VERSION_CODENAME").filter(|_| value("ID").as_deref() == Some("debian"))
}

/// The package and version in a line of apt's simulation: `Inst NAME [OLD] (NEW ...`.
fn installs(line: &str) -> Option<String> {
    let (name, rest) = line.strip_prefix("Inst ")?.split_once(' ')?;
    let version = rest.split_once('(')?.1.split_whitespace().next()?;
    Some(format!("{name}={version}"))
}

fn absent(program: &str) -> impl FnOnce(std::io::Error) -> Error {
    let program = program.to_owned();
    move |e| Error::Unavailable(format!("packages are fetched with {program}, which failed: {e}"))
}

/// The last error message of an apt program.
fn complaint(output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stderr);
    text.lines().rfind(|line| !line.trim().is_empty()).unwrap_or_default().trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_to_install_or_upgrade_are_used_in_their_new_version() {
        let new = "Inst seabios (1.16.3-2~bpo12+1 Debian Backports:oldstable-backports [all])";
        assert_eq!(installs(new).as_deref(), Some("seabios=1.16.3-2~bpo12+1"));
        let renewed = "Inst libc6 [2.36-9] (2.36-10 Debian:12.1/stable [amd64]) []";
        assert_eq!(installs(renewed).as_deref(), Some("libc6=2.36-10"));
        assert_eq!(installs("Conf libc6 (2.36-10 Debian:12.1/stable [amd64])"), None);
    }
}
