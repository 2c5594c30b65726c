//! The project's own programs for guests: linked statically, since a guest has no libraries.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::time::Duration;

use crate::{Error, within};

/// The time limit for building the whole workspace from an empty folder on a slow machine.
const LIMIT: Duration = Duration::from_secs(1200);

/// The packages of the programs for guests.
const PACKAGES: [&str; 3] = ["hotadd-cli", "lab", "hotadd-conformance"];

const TARGET: &str = "x86_64-unknown-linux-gnu";

/// Builds a program of this workspace for guests, from the current source and with these features, and returns its path.
///
/// # Errors
/// If it does not compile; the error has the compiler's output.
pub fn binary(package: &str, name: &str, features: &[&str]) -> Result<PathBuf, Error> {
    // Tests request the same programs at once. Cargo would make them wait too, and print that each time.
    static ONE: Mutex<()> = Mutex::new(());
    let _one = ONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);

    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let target =
        std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
    // A folder of its own, because its flags differ: otherwise each kind of build would invalidate the other's.
    let target = target.join("guest");
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(&root).args(["build", "--quiet", "--locked", "--profile", "guest"]);
    // With an explicit target, the flags apply to the program and not to procedural macros.
    cargo.args(["--target", TARGET, "--bin", name, "--target-dir"]).arg(&target);
    // The same packages for all programs: other packages would change the features of dependencies, which would be built twice.
    let more = (!PACKAGES.contains(&package)).then_some(package);
    cargo.args(PACKAGES.into_iter().chain(more).flat_map(|package| ["-p", package]));
    for feature in features {
        cargo.arg("--features").arg(format!("{package}/{feature}"));
    }
    cargo.env_remove("CARGO_ENCODED_RUSTFLAGS").env("RUSTFLAGS", "-C target-feature=+crt-static");
    let what = format!("building {name} for guests");
    let output = within::output(&mut cargo, LIMIT).map_err(Error::here(&*what))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        return Err(Error::here(what)(std::io::Error::other(said)));
    }
    let built = target.join(TARGET).join("guest");
    if features.is_empty() {
        return Ok(built.join(name));
    }
    // The name belongs to the last build, whatever its features were. So this build is copied to a path of its own.
    let own = built.join(format!("{name}-with-{}", features.join("-")));
    let keep = || {
        std::fs::copy(built.join(name), own.with_extension("new"))?;
        std::fs::rename(own.with_extension("new"), &own)
    };
    keep().map_err(Error::here(what))?;
    Ok(own)
}
