//! Every promise of the threat model and of the limits names tests, and these tests exist.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
const LIMITS: &str = include_str!("../../../docs/limits.md");
const PAGE: &str = include_str!("../../../docs/threat-model.md");

/// The names of all functions in sources below a folder.
fn functions(folder: &Path, names: &mut BTreeSet<String>) {
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let path = entry.path();
        if path.is_dir() {
            functions(&path, names);
        } else if path.extension().is_some_and(|end| end == "rs") {
            let text = fs::read_to_string(&path).unwrap();
            let found = text.lines().filter_map(|line| line.split_once("fn ")?.1.split('(').next());
            names.extend(found.map(str::to_owned));
        }
    }
}

/// The texts between backquotes.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

/// All functions of the project's sources.
fn all() -> BTreeSet<String> {
    let root = Path::new(ROOT);
    let mut names = BTreeSet::new();
    for package in fs::read_dir(root.join("crates")).unwrap().map(Result::unwrap) {
        for folder in ["src", "tests"].map(|folder| package.path().join(folder)) {
            if folder.is_dir() {
                functions(&folder, &mut names);
            }
        }
    }
    functions(&root.join("lab/tests"), &mut names);
    names
}

#[test]
fn every_limit_names_tests_that_exist() {
    let names = all();
    let named: Vec<_> = LIMITS
        .lines()
        .filter_map(|line| line.trim().strip_prefix("<!-- test: ")?.strip_suffix(" -->"))
        .flat_map(|tests| tests.split(", "))
        .collect();
    assert!(named.len() > 40, "the page was read: {}", named.len());
    for test in named {
        assert!(names.contains(test), "docs/limits.md names {test}, which does not exist");
    }
    let sections = [
        "## The machine's own processors",
        "## `hotadd run`",
        "## Drivers' files",
        "## Parties in other processes",
        "### Agents in Rust",
    ];
    for section in sections {
        let text = LIMITS.split(section).nth(1).unwrap().split("\n#").next().unwrap();
        let untested: Vec<_> =
            text.split("\n- ").skip(1).filter(|item| !item.contains("<!-- test: ")).collect();
        // These depend on another system or an odd namespace, which no test has.
        let known = ["Only on x86-64 Linux.", "Where hotadd is root of a user namespace"];
        let unknown =
            untested.iter().find(|item| !known.iter().any(|known| item.starts_with(known)));
        assert_eq!(unknown, None, "docs/limits.md promises this, and names no test");
    }
}

#[test]
fn every_promise_of_the_threat_model_names_tests_that_exist() {
    let (root, names) = (Path::new(ROOT), all());
    let targets = root.join("fuzz/fuzz_targets");
    let rows: Vec<_> = PAGE
        .lines()
        .filter_map(|line| line.strip_prefix("| ")?.strip_suffix(" |")?.rsplit_once(" | "))
        .filter(|(promise, _)| *promise != "promise")
        .collect();
    assert!(rows.len() > 40, "the page was read: {} rows", rows.len());
    for (promise, tests) in rows {
        assert!(quoted(tests).next().is_some(), "no test shows: {promise}");
        for test in quoted(tests) {
            let fuzzed = tests.starts_with("the fuzz target");
            let there = match fuzzed {
                true => targets.join(format!("{test}.rs")).exists(),
                false => names.contains(test),
            };
            assert!(there, "{test} does not exist, but must show: {promise}");
        }
    }
}
