//! The zoo: each driver has one fault, and is found by exactly the checks that name it.

use std::collections::BTreeSet;
use std::path::PathBuf;

use hotadd_verify::check::CHECKS;

use super::{Report, crate_folder, for_each, make};

/// What is expected of a driver: checks of each of these groups, and of no others.
struct Expected {
    /// The file's name, without its ending.
    name: String,
    /// One check of each group must find it.
    groups: Vec<Vec<String>>,
    /// These may find it too.
    others: Vec<String>,
}

impl Expected {
    /// Reads a line of expected.txt.
    fn parse(line: &str) -> Self {
        let mut words = line.split_whitespace();
        let name = words.next().unwrap().to_owned();
        let (others, groups): (Vec<&str>, Vec<&str>) =
            words.partition(|word| word.starts_with('?'));
        let group = |word: &&str| word.split('|').map(str::to_owned).collect();
        Self {
            name,
            groups: groups.iter().map(group).collect(),
            others: others.iter().map(|word| word[1..].to_owned()).collect(),
        }
    }

    /// All drivers of the zoo.
    fn all() -> Vec<Self> {
        let text = std::fs::read_to_string(crate_folder().join("zoo/expected.txt")).unwrap();
        let lines = text.lines().filter(|line| !line.trim().is_empty() && !line.starts_with('#'));
        let bad = lines.map(Self::parse);
        let good = std::fs::read_dir(crate_folder().join("zoo/good")).unwrap().filter_map(|file| {
            let path = file.unwrap().path();
            let name = path.file_stem()?.to_str()?.to_owned();
            let is_source = path.extension().is_some_and(|ending| ending == "c");
            is_source.then(|| Self {
                name: format!("good/{name}"),
                groups: Vec::new(),
                others: Vec::new(),
            })
        });
        bad.chain(good).collect()
    }

    /// What is wrong with a report.
    fn compare(&self, report: &Report) -> Option<String> {
        let found = report.checks();
        let has = |check: &String| found.contains(check.as_str());
        let missing = self.groups.iter().any(|group| !group.iter().any(has));
        let allowed: BTreeSet<&str> =
            self.groups.iter().flatten().chain(&self.others).map(String::as_str).collect();
        let extra: Vec<_> = found.difference(&allowed).collect();
        let not_run = report.not_run();
        (missing || !extra.is_empty() || !not_run.is_empty()).then(|| {
            let expected = &self.groups;
            format!(
                "{}: expected {expected:?}, found {found:?}, not run {not_run:?}\n{}",
                self.name,
                report.findings()
            )
        })
    }
}

/// Builds the zoo with one ending, and verifies all of it.
fn verify_all(ending: &str) {
    let folder = tempfile::tempdir().unwrap();
    let all = Expected::all();
    let path = |expected: &Expected| -> PathBuf {
        folder.path().join(&expected.name).with_extension(ending)
    };
    let targets: Vec<String> =
        all.iter().map(|expected| path(expected).display().to_string()).collect();
    make(&crate_folder().join("zoo"), folder.path(), &targets);
    let wrong = for_each(&all, |expected| {
        // A busy machine must not look like a slow driver.
        let limit = if expected.name.starts_with("over-budget") { "500ms" } else { "20s" };
        let report = Report::of(&path(expected), &["--quick", "--timeout", limit]);
        expected.compare(&report)
    });
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), all.len(), wrong.join("\n"));
}

#[test]
fn each_native_driver_of_the_zoo_is_found_by_exactly_the_checks_that_name_its_fault() {
    verify_all("so");
}

#[test]
fn each_windows_driver_of_the_zoo_is_found_by_exactly_the_checks_that_name_its_fault() {
    verify_all("sys");
}

#[test]
fn every_check_is_tripped_by_a_driver_of_the_zoo() {
    let all = Expected::all();
    let tripped: BTreeSet<&String> =
        all.iter().flat_map(|expected| &expected.groups).flatten().collect();
    for check in CHECKS {
        assert!(tripped.iter().any(|id| **id == check.id), "no driver trips {}", check.id);
    }
    for id in tripped {
        assert!(CHECKS.iter().any(|check| check.id == id), "{id} in expected.txt is no check");
    }
}
