//! What is said about a release: the compiler that it needs, its dependencies, its changes, its tarball, no fault points.

mod changelog;
mod crates;
mod dependencies;
mod faults;
mod rust_version;
mod tarball;

use std::path::PathBuf;
use std::process::Command;
use std::sync::LazyLock;

use serde_json::Value;

/// The folder of the repository.
fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The version of all packages.
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// What cargo knows of the packages of this workspace and of those that they need on this system.
static METADATA: LazyLock<Value> = LazyLock::new(|| {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    // The build of this test has fetched what is needed.
    cargo.args(["metadata", "--locked", "--offline", "--format-version=1"]);
    cargo.arg("--filter-platform=x86_64-unknown-linux-gnu").current_dir(root());
    let output = cargo.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "cargo metadata: {said}");
    serde_json::from_slice(&output.stdout).unwrap()
});

/// The packages of this workspace, or those that they need.
fn packages(own: bool) -> impl Iterator<Item = &'static Value> {
    let all = METADATA["packages"].as_array().unwrap().iter();
    all.filter(move |package| package["source"].is_null() == own)
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_else(|| panic!("{} has no {key}", value["name"]))
}
