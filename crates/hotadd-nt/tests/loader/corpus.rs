//! The committed binaries: the fixtures and the fuzzing corpus.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use hotadd_nt::pe::{inspect, load};
use hotadd_testing::{Need, skip};

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

/// Whether this machine has the tools, in the version that built the fixtures.
fn has_tools() -> bool {
    ["clang", "lld-link", "llvm-dlltool"].iter().all(|tool| {
        let output = Command::new(tool).arg("--version").output();
        let version = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
        // llvm-dlltool has no version option.
        version.is_ok_and(|version| *tool == "llvm-dlltool" || version.contains(" 14."))
    })
}

#[test]
fn the_fixtures_are_reproduced_from_their_sources() {
    if !has_tools() {
        return skip(Need::Clang14, "the fixtures are what their sources make");
    }
    let to = std::env::temp_dir().join(format!("hotadd-fixtures-{}", std::process::id()));
    fs::create_dir_all(&to).unwrap();
    let output = Command::new(folder("tests/fixtures/build")).arg(&to).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    for name in ["crash.sys", "seh.sys"] {
        let built = fs::read(to.join(name)).unwrap();
        let committed = fs::read(folder("tests/fixtures").join(name)).unwrap();
        assert!(
            built == committed,
            "{name} is not what its source makes: run tests/fixtures/build"
        );
    }
    fs::remove_dir_all(&to).unwrap();
}

#[test]
fn the_fuzzing_corpus_is_loaded_without_a_crash() {
    let mut drivers = 0;
    for entry in fs::read_dir(folder("../../fuzz/corpus/loader")).unwrap() {
        let bytes = fs::read(entry.unwrap().path()).unwrap();
        // As in the fuzz target.
        if inspect(&bytes).is_ok() {
            drivers += u32::from(load(&bytes, "corpus.sys", false).is_ok());
        }
    }
    assert!(drivers >= 2, "at least two files of the corpus are drivers");
}

#[test]
fn every_command_on_the_fuzzing_page_names_an_existing_target() {
    let page = include_str!("../../../../docs/fuzzing.md");
    let manifest = include_str!("../../../../fuzz/Cargo.toml");
    let commands: Vec<&str> = page.lines().filter_map(|line| line.strip_prefix("$ ")).collect();
    assert!(!commands.is_empty(), "the page shows commands");
    for command in commands {
        let words: Vec<&str> =
            command.split_whitespace().filter(|word| !word.contains('=')).collect();
        let known = match words[..] {
            ["cargo", "install", "cargo-fuzz", ..] => true,
            ["cd", to] => Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(to).is_dir(),
            [
                "cargo",
                "+nightly",
                "fuzz",
                "run",
                "--fuzz-dir",
                ".",
                "--features",
                "run",
                target,
                ..,
            ] => manifest
                .contains(&format!("name = \"{target}\"\npath = \"fuzz_targets/{target}.rs\"")),
            _ => false,
        };
        assert!(known, "unknown command: {command}");
    }
}
