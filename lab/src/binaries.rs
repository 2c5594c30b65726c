//! The project's own programs for guests, as cargo builds them for the tests of this machine, and the libraries that they need.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rustix::fs::{FlockOperation, flock};
use serde_json::Value;

use crate::{Error, within};

/// The time limit for building the whole workspace from an empty folder on a slow machine.
const LIMIT: Duration = Duration::from_secs(1200);

/// The time limit for anything else.
const SHORT: Duration = Duration::from_secs(60);

/// All of them. They are built together: cargo takes long to find that a program is up to date.
const PROGRAMS: [&str; 7] = [
    "hotadd",
    "lab-agent",
    "lab-cpuset",
    "lab-holder",
    "lab-init",
    "lab-onliner",
    "table-in-guest",
];

/// Tests use what `cargo test` builds, by the selection of `./test`: with other packages or features everything would be built again.
/// Only the target of a test has cargo take the tests' dependencies into account, whose features change those of others.
const TESTED: [&str; 5] =
    ["--workspace", "--features", "hotadd/rayon,hotadd/tokio", "--test", "guests_machine"];

/// Benches measure programs as they are released.
const RELEASED: [&str; 7] =
    ["--release", "-p", "hotadd-cli", "-p", "lab", "-p", "hotadd-conformance"];

/// The programs that this process has built, and their libraries.
static BUILT: Mutex<Option<Built>> = Mutex::new(None);

#[derive(Clone, Debug)]
struct Built {
    programs: BTreeMap<String, PathBuf>,
    libraries: BTreeSet<PathBuf>,
}

/// Builds the programs of this workspace for guests, and returns the path of one. The source is that of the time when this process
/// first asked for a program.
///
/// # Errors
/// If they do not compile; the error has the compiler's output.
pub fn binary(name: &str) -> Result<PathBuf, Error> {
    built(|all| all.programs.get(name).cloned())?.ok_or_else(|| {
        Error::here(format!("{name} for guests"))(io::Error::other("there is no such program"))
    })
}

/// The libraries of all these programs, and the program that loads them. In a guest they must be at the same paths.
pub(crate) fn libraries() -> Result<BTreeSet<PathBuf>, Error> {
    built(|all| all.libraries.clone())
}

fn built<T>(get: impl FnOnce(&Built) -> T) -> Result<T, Error> {
    // Held during a build: other threads would wait for it in any case.
    let mut built = BUILT.lock().unwrap_or_else(PoisonError::into_inner);
    if built.is_none() {
        *built = Some(build()?);
    }
    built
        .as_ref()
        .map(get)
        .ok_or_else(|| Error::here("programs for guests")(io::Error::other("they were not built")))
}

fn build() -> Result<Built, Error> {
    let here = || Error::here("building the programs for guests");
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
    cargo.args(["build", "--quiet", "--locked", "--message-format=json-render-diagnostics"]);
    cargo.args(if cfg!(debug_assertions) { &TESTED[..] } else { &RELEASED[..] });
    cargo.args(PROGRAMS.iter().flat_map(|name| ["--bin", name]));
    let output = within::output(&mut cargo, LIMIT).map_err(here())?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        return Err(here()(io::Error::other(said)));
    }
    let found = executables(&String::from_utf8_lossy(&output.stdout));
    let libraries = needed_by(found.values()).map_err(here())?;
    let mut programs = BTreeMap::new();
    for (name, path) in found {
        let stripped = stripped(&path)
            .map_err(Error::here(format!("a smaller copy of {}", path.display())))?;
        programs.insert(name, stripped);
    }
    Ok(Built { programs, libraries })
}

/// The names and paths of the programs in cargo's messages.
fn executables(messages: &str) -> BTreeMap<String, PathBuf> {
    let program = |line: &str| {
        let message: Value = serde_json::from_str(line).ok()?;
        let name = message["target"]["name"].as_str()?.to_owned();
        let path = message["executable"].as_str()?.into();
        PROGRAMS.contains(&&*name).then_some((name, path))
    };
    messages.lines().filter_map(program).collect()
}

/// A copy of a program without symbols, which are most of it, in the folder `guest` beside it.
fn stripped(program: &Path) -> io::Result<PathBuf> {
    let absent = || io::Error::from(io::ErrorKind::NotFound);
    let folder = program.parent().ok_or_else(absent)?.join("guest");
    let copy = folder.join(program.file_name().ok_or_else(absent)?);
    fs::create_dir_all(&folder)?;
    // Against other processes that make the same copy.
    let lock = File::create(folder.join("lock"))?;
    flock(&lock, FlockOperation::LockExclusive)?;
    let changed = fs::metadata(program)?.modified()?;
    // The copy has the time of the program that it is of.
    if fs::metadata(&copy).and_then(|copy| copy.modified()).is_ok_and(|time| time == changed) {
        return Ok(copy);
    }
    let new = copy.with_extension("new");
    let output = within::output(Command::new("strip").arg("-o").arg(&new).arg(program), SHORT)?;
    if !output.status.success() {
        return Err(io::Error::other(String::from_utf8_lossy(&output.stderr).trim().to_owned()));
    }
    File::options().write(true).open(&new)?.set_modified(changed)?;
    fs::rename(&new, &copy)?;
    Ok(copy)
}

/// The libraries that the loader of this machine finds for these programs, and the loader.
fn needed_by<'a>(programs: impl Iterator<Item = &'a PathBuf>) -> io::Result<BTreeSet<PathBuf>> {
    let mut ldd = Command::new("ldd");
    // Cargo lets tests find libraries in its own folders.
    let output = within::output(ldd.args(programs).env_remove("LD_LIBRARY_PATH"), SHORT)?;
    if !output.status.success() {
        return Err(io::Error::other(String::from_utf8_lossy(&output.stderr).trim().to_owned()));
    }
    Ok(paths(&String::from_utf8_lossy(&output.stdout)))
}

/// The paths that `ldd` prints: `libc.so.6 => /lib/libc.so.6 (0x...)`. The loader has no arrow, and the line of a program no tab.
fn paths(said: &str) -> BTreeSet<PathBuf> {
    let lines = said.lines().filter_map(|line| line.strip_prefix('\t'));
    let words = lines.flat_map(|line| line.split(' '));
    words.filter(|word| word.starts_with('/')).map(PathBuf::from).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_for_guests_have_the_features_of_the_tests() {
        let script = include_str!("../../test");
        let tests = format!("cargo test --locked {} ", TESTED[..3].join(" "));
        assert!(script.contains(&tests), "./test would build everything twice, without {tests:?}");
    }

    #[test]
    fn libraries_and_their_loader_are_found_in_what_ldd_says() {
        let said = "/target/a:\n\tlinux-vdso.so.1 (0x1)\n\tlibc.so.6 => /lib/x/libc.so.6 (0x2)\n\
                    \t/lib64/ld-linux-x86-64.so.2 (0x3)\n/target/b:\n\tlibc.so.6 => /lib/x/libc.so.6 (0x2)\n";
        let found: Vec<_> = paths(said).into_iter().collect();
        assert_eq!(found, ["/lib/x/libc.so.6", "/lib64/ld-linux-x86-64.so.2"].map(PathBuf::from));
    }

    #[test]
    fn a_copy_is_made_again_when_its_program_was_built_again() {
        let dir = tempfile::tempdir().unwrap();
        let program = dir.path().join("program");
        let size = |path: &Path| fs::metadata(path).unwrap().len();
        let made = |from: &str| {
            fs::copy(from, &program).unwrap();
            let copy = stripped(&program).unwrap();
            assert!(size(&copy) <= size(&program), "nothing is added");
            (size(&copy), fs::read(copy).unwrap())
        };
        let first = made("/bin/sh");
        assert_ne!(made("/bin/ls"), first, "another program has another copy");
    }
}
