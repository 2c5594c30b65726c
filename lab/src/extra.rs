//! Debian packages that a test needs in a guest with Debian's userland, and other guests do not.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::cache::Cache;
use crate::debian::{LEFT_OUT, sum};
use crate::qemu::Lists;
use crate::{Error, within};

/// The time limit for writing the archive.
const LIMIT: Duration = Duration::from_secs(60);

/// Fetches Debian packages, without what they depend on, and returns the path of a tar archive of their files, for a guest to unpack at
/// its root. The archive stays in the cache, by this name.
///
/// # Errors
/// If they cannot be fetched.
pub fn packages(name: &str, packages: &[&str]) -> Result<PathBuf, Error> {
    let cache = Cache::open()?;
    let recipe = format!("{} without {}", packages.join(" "), LEFT_OUT.join(" "));
    let good = |part: &Path| {
        let read = |file: &str| {
            fs::read_to_string(part.join(file)).map_err(|e| format!("{}: {e}", part.display()))
        };
        let now = sum(&part.join("archive")).map_err(|e| format!("{}: {e}", part.display()))?;
        if read("recipe")? == recipe && read("sum")? == now {
            Ok(())
        } else {
            Err(format!("{} is damaged or has other packages", part.display()))
        }
    };
    let part = cache.part(name, good, |part| {
        let root = tempfile::tempdir_in(part).map_err(Error::here("a folder to unpack in"))?;
        let names: Vec<_> = packages.iter().map(|&name| name.to_owned()).collect();
        Lists::new()?.get()?.unpack(&names, root.path())?;
        let archive = part.join("archive");
        let mut tar = Command::new("tar");
        tar.args(["--owner=0", "--group=0", "-C"]).arg(root.path()).arg("-cf").arg(&archive);
        tar.args(LEFT_OUT.map(|folder| format!("--exclude=./{folder}")));
        let output = within::output(tar.arg("."), LIMIT).map_err(Error::here("tar"))?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            return Err(Error::here("tar")(std::io::Error::other(said)));
        }
        let write = || {
            fs::write(part.join("recipe"), &recipe)?;
            fs::write(part.join("sum"), sum(&archive)?)
        };
        write().map_err(Error::here("an archive of packages"))
    })?;
    Ok(part.join("archive"))
}
