//! Fault points, at which tests kill the daemon: only debug builds have them. With `cargo test --release`, the tests of the daemon try a
//! released program as well.

use std::path::{Path, PathBuf};

use crate::{read, root};

/// What asks a daemon for a fault.
const VARIABLE: &str = "HOTADD_FAULT";

/// The only file that reads it.
const MODULE: &str = "crates/hotadd-daemon/src/fault.rs";

/// All files of Rust in a folder.
fn sources(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let of = |path: PathBuf| if path.is_dir() { sources(&path) } else { vec![path] };
    entries.flat_map(of).filter(|path| path.extension().is_some_and(|is| is == "rs")).collect()
}

#[test]
fn a_release_has_no_fault_points() {
    let packages = std::fs::read_dir(root().join("crates")).unwrap();
    let folders = packages.map(|package| package.unwrap().path().join("src"));
    let found: Vec<_> = folders
        .flat_map(|folder| sources(&folder))
        .filter(|path| std::fs::read_to_string(path).unwrap().contains(VARIABLE))
        .collect();
    assert_eq!(found, [root().join(MODULE)], "nothing else reads {VARIABLE}");
    let module = read("crates/hotadd-daemon/src/lib.rs");
    assert!(module.contains("#[cfg(debug_assertions)]\nmod fault;"), "it is in debug builds only");
    let manifest = read("Cargo.toml");
    assert!(!manifest.contains("debug-assertions"), "no other profile has what debug builds have");
}
