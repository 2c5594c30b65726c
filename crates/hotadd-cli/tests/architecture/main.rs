//! ARCHITECTURE.md is true of the code: files, threads, the order of the crates, the layers of `hotadd-nt`,
//! rings of files, and builds for other systems.

mod imports;
mod rings;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const PAGE: &str = include_str!("../../../../ARCHITECTURE.md");

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The texts between backquotes.
fn quoted(line: &str) -> impl Iterator<Item = &str> {
    line.split('`').skip(1).step_by(2)
}

fn read(path: impl AsRef<Path>) -> String {
    let path = root().join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn every_file_named_exists() {
    let paths = PAGE.lines().flat_map(quoted).filter(|text| text.starts_with("crates/"));
    let mut files = 0;
    for path in paths {
        assert!(root().join(path).is_file(), "ARCHITECTURE.md names {path}, which does not exist");
        files += 1;
    }
    assert!(files >= 20, "the page names only {files} files");
}

#[test]
fn the_table_of_threads_is_complete() {
    let rows: Vec<_> = PAGE.lines().filter(|line| line.starts_with("| `")).collect();
    let listed = |name: &str, path: &str| {
        let row = |row: &&&str| {
            row.starts_with(&format!("| `{name}")) && row.contains(&format!("`{path}`"))
        };
        rows.iter().any(|line| row(&line))
    };
    let files = rust_files(&root().join("crates"));
    let texts: Vec<_> = files.iter().map(read).collect();
    let constant = |name: &str| {
        let line = format!("const {name}: &str = \"");
        texts.iter().find_map(|text| text.split(&line).nth(1)?.split('"').next())
    };
    let mut threads = Vec::new();
    for (file, text) in files.iter().zip(&texts) {
        let path = file
            .strip_prefix(root())
            .expect("it was found there")
            .to_str()
            .expect("names are ASCII");
        // Only what ships: tests name their threads as they like.
        if !path.contains("/src/") || path.contains("test") {
            continue;
        }
        let code = text.split("mod tests {").next().unwrap_or_default();
        // `Builder::new()` and `.name(` may stand on two lines.
        let builders = code
            .split("Builder::new()")
            .skip(1)
            .filter(|rest| rest.trim_start().starts_with(".name("));
        for rest in builders {
            let argument = rest.split(".name(").nth(1).unwrap_or_default();
            // A computed name has no text at its beginning; its row is known by the file.
            let name = match argument.chars().next() {
                Some('"' | 'f') => {
                    let text = argument.split('"').nth(1).unwrap_or_default();
                    text.split('{').next().unwrap_or_default()
                }
                Some('A'..='Z') => constant(argument.split('.').next().unwrap_or_default())
                    .expect("the constant is in this repository"),
                _ => "",
            };
            assert!(listed(name, path), "ARCHITECTURE.md lists no thread `{name}` of {path}");
            threads.push((path.to_owned(), name.to_owned()));
        }
    }
    assert!(threads.len() > 40, "only {} threads were found", threads.len());
    for row in rows.iter().filter(|row| row.starts_with("| `hotadd-")) {
        let mut quoted = quoted(row);
        let (Some(thread), Some(path)) = (quoted.next(), quoted.next()) else { continue };
        if path.starts_with("crates/") {
            // The text of a computed name is in the file too.
            let starts = threads.iter().any(|(file, name)| file == path && name == thread);
            let computes = read(path).contains(&format!("\"{thread}\""));
            assert!(starts || computes, "{path} starts no thread named {thread}");
        }
    }
}

#[test]
fn a_crate_uses_only_crates_below_it() {
    // In order from the bottom. The crates of one row do not use each other.
    let order: [&[&str]; 7] = [
        &["hotadd-core", "hotadd-percpu"],
        &["hotadd-page", "hotadd-wire", "hotadd-driver"],
        &["hotadd"],
        &["hotadd-service", "hotadd-nt", "hotadd-c"],
        &["hotadd-daemon", "hotadd-doctor", "hotadd-verify"],
        &["hotadd-run"],
        &["hotadd-cli"],
    ];
    let mut below = BTreeSet::new();
    for crates in order {
        for name in crates {
            let manifest = read(format!("crates/{name}/Cargo.toml"));
            let tables = manifest.split("\n[").filter_map(|table| table.split_once("]\n"));
            let own = tables.filter(|(head, _)| {
                head.ends_with("dependencies") && !head.ends_with("dev-dependencies")
            });
            let lines = own.flat_map(|(_, body)| body.lines());
            let uses = lines.filter_map(|line| line.split(['.', ' ', '=']).next());
            for used in uses.filter(|used| *used == "hotadd" || used.starts_with("hotadd-")) {
                assert!(below.contains(used), "{name} uses {used}, which is not below it");
            }
        }
        below.extend(crates.iter().map(|name| (*name).to_owned()));
    }
}

#[test]
fn no_layer_of_the_windows_host_uses_a_layer_above_it() {
    let src = root().join("crates/hotadd-nt/src");
    let above = [
        ("ground", &["loaders", "faults", "kernel", "host"][..]),
        ("faults", &["loaders", "kernel", "host"]),
        ("loaders", &["kernel", "host"]),
        ("kernel", &["host"]),
    ];
    for (layer, above) in above {
        let files = rust_files(&src.join(layer));
        assert!(files.len() > 3, "{layer} has only {} files", files.len());
        for file in files {
            // Tests may use everything.
            if file.file_name().is_some_and(|name| name == "tests.rs") {
                continue;
            }
            let text = fs::read_to_string(&file).expect("it was listed");
            let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
            for higher in above {
                let named = text.contains(&format!("crate::{higher}::"));
                assert!(
                    !named,
                    "{} names the layer {higher}, which is above {layer}",
                    file.display()
                );
            }
        }
    }
}

/// No standard library for another system is here to compile with, so this reads what cargo and the compiler would.
#[test]
fn on_other_systems_a_build_of_the_library_ends_in_the_one_error_of_hotadd_page() {
    for target in ["x86_64-pc-windows-msvc", "aarch64-apple-darwin"] {
        let mut tree = Command::new(env!("CARGO"));
        tree.args(["tree", "--offline", "--all-features", "--edges=normal", "--prefix=none"]);
        let output =
            tree.args(["--package=hotadd", "--target", target]).current_dir(root()).output();
        let output = output.expect("cargo runs");
        let text = String::from_utf8(output.stdout).expect("names are ASCII");
        let crates: BTreeSet<_> = text.lines().filter_map(|line| line.split(' ').next()).collect();
        let expected = BTreeSet::from(["hotadd", "hotadd-core", "hotadd-page"]);
        assert_eq!(crates, expected, "{target}: {}", String::from_utf8_lossy(&output.stderr));
    }
    let compiled = |file: &str| {
        let text = read(file);
        let lines: Vec<_> =
            text.lines().filter(|line| !line.starts_with("//")).map(str::to_owned).collect();
        let items = lines.windows(2).filter(|pair| {
            let is_item = pair[1].starts_with("mod ") || pair[1].starts_with("pub ");
            is_item && !(pair[0].starts_with("#[cfg(") && pair[0].contains("target_os = \"linux\""))
        });
        (text.matches("compile_error!").count(), items.count())
    };
    assert_eq!(
        compiled("crates/hotadd-page/src/lib.rs"),
        (1, 0),
        "one error, and no module beside it"
    );
    let hotadd = read("crates/hotadd/src/lib.rs");
    assert!(
        hotadd.contains("\n#![cfg(target_os = \"linux\")]\n"),
        "hotadd has code for other systems"
    );
}

/// `./test` tells tests in guests from others by their names.
#[test]
fn test_programs_have_a_name_with_g_only_if_they_need_guests() {
    let names = |folder: PathBuf| {
        let entries = fs::read_dir(folder).into_iter().flatten().flatten();
        entries.map(|entry| entry.file_name().into_string().unwrap()).collect::<Vec<_>>()
    };
    for package in names(root().join("crates")) {
        for name in names(root().join("crates").join(&package).join("tests")) {
            assert!(!name.starts_with('g'), "{package}: {name} is run only where guests can be");
        }
    }
    let guests = names(root().join("lab/tests"));
    assert!(!guests.is_empty());
    for name in guests {
        assert!(name.starts_with("guests"), "lab: {name} is run with the tests of this machine");
    }
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).expect("a layer is a folder") {
        let path = entry.expect("the folder can be read").path();
        if path.is_dir() {
            files.extend(rust_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files
}
