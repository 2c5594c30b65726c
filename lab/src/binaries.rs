//! The project's own programs for guests: linked statically, since a guest has no libraries.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rustix::fs::{FlockOperation, flock};

use crate::{Error, within};

/// The time limit for building the whole workspace from an empty folder on a slow machine.
const LIMIT: Duration = Duration::from_secs(1200);

/// The packages of the programs for guests.
const PACKAGES: [&str; 3] = ["hotadd-cli", "lab", "hotadd-conformance"];

const TARGET: &str = "x86_64-unknown-linux-gnu";

/// Tests use programs that compile fast. Benches measure the released ones.
const PROFILE: &str = if cfg!(debug_assertions) { "guest" } else { "release" };

/// The programs that this process has built. Cargo takes long to find that a program is up to date, and each guest has several.
static BUILT: Mutex<BTreeMap<String, PathBuf>> = Mutex::new(BTreeMap::new());

/// Builds a program of this workspace for guests, with these features, and returns its path. The source is that of the time when this
/// process first asked for the program.
///
/// # Errors
/// If it does not compile; the error has the compiler's output.
pub fn binary(package: &str, name: &str, features: &[&str]) -> Result<PathBuf, Error> {
    let own = [&[name], features].concat().join("-with-");
    // Held during a build: other threads would wait for it in any case.
    let mut built = BUILT.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(path) = built.get(&own) {
        return Ok(path.clone());
    }
    let path = build(package, name, features, &own)?;
    built.insert(own, path.clone());
    Ok(path)
}

fn build(package: &str, name: &str, features: &[&str], own: &str) -> Result<PathBuf, Error> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let target =
        std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
    // A folder of its own, because its flags differ: otherwise each kind of build would invalidate the other's.
    let target = target.join("guest");
    let what = format!("building {name} for guests");
    // Several processes request the same programs at once, with different features. The file that cargo writes belongs to the last
    // build, so it is copied to a path of its own before another build begins.
    let lock = || -> io::Result<File> {
        fs::create_dir_all(&target)?;
        let lock = File::create(target.join("lock"))?;
        flock(&lock, FlockOperation::LockExclusive)?;
        Ok(lock)
    };
    let _lock = lock().map_err(Error::here(&*what))?;
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(&root).args(["build", "--quiet", "--locked", "--profile", PROFILE]);
    // With an explicit target, the flags apply to the program and not to procedural macros.
    cargo.args(["--target", TARGET, "--bin", name, "--target-dir"]).arg(&target);
    // The same packages for all programs: other packages would change the features of dependencies, which would be built twice.
    let more = (!PACKAGES.contains(&package)).then_some(package);
    cargo.args(PACKAGES.into_iter().chain(more).flat_map(|package| ["-p", package]));
    for feature in features {
        cargo.arg("--features").arg(format!("{package}/{feature}"));
    }
    cargo.env_remove("CARGO_ENCODED_RUSTFLAGS").env("RUSTFLAGS", "-C target-feature=+crt-static");
    let output = within::output(&mut cargo, LIMIT).map_err(Error::here(&*what))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        return Err(Error::here(what)(io::Error::other(said)));
    }
    let own = target.join(format!("{own}-{PROFILE}"));
    let keep = || {
        fs::copy(target.join(TARGET).join(PROFILE).join(name), own.with_extension("new"))?;
        fs::rename(own.with_extension("new"), &own)
    };
    keep().map_err(Error::here(what))?;
    Ok(own)
}
