//! The oldest compiler: one version, which everything that depends on it agrees with. Clippy (`incompatible_msrv`) checks that the code
//! uses nothing newer of the standard library.

use crate::{packages, read, text};

/// The numbers of a version, of which some may be missing.
fn numbers(version: &str) -> Vec<u32> {
    let mut numbers: Vec<u32> = version.split('.').map(|part| part.parse().unwrap()).collect();
    numbers.resize(3, 0);
    numbers
}

/// The `rust-version` of the workspace.
fn stated() -> String {
    let manifest = read("Cargo.toml");
    let line = manifest.lines().find_map(|line| line.strip_prefix("rust-version = \""));
    line.unwrap().trim_end_matches('"').to_owned()
}

#[test]
fn every_package_states_the_rust_version_of_the_workspace() {
    for package in packages(true) {
        assert_eq!(text(package, "rust_version"), stated(), "{}", package["name"]);
    }
}

#[test]
fn every_package_is_checked_by_the_lints_of_the_workspace() {
    for package in packages(true) {
        let manifest = std::fs::read_to_string(text(package, "manifest_path")).unwrap();
        let inherits = manifest.contains("\n[lints]\nworkspace = true");
        assert!(inherits, "{} lacks `[lints] workspace = true`", package["name"]);
    }
}

#[test]
fn no_dependency_needs_a_newer_compiler_than_is_stated() {
    for package in packages(false) {
        let Some(needed) = package["rust_version"].as_str() else { continue };
        let (name, stated) = (&package["name"], stated());
        assert!(
            numbers(needed) <= numbers(&stated),
            "{name} needs Rust {needed}, and {stated} is stated"
        );
    }
}

#[test]
fn the_pages_name_the_rust_version() {
    for page in ["README.md", "CONTRIBUTING.md", "docs/policy.md"] {
        let words =
            read(page).split_whitespace().collect::<Vec<_>>().join(" ").replace("Rust (", "Rust ");
        assert!(
            words.contains(&format!("Rust {} or later", stated())),
            "{page} names another version"
        );
    }
}
