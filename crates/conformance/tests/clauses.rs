//! Every clause of docs/contract.md is shown by a scenario of the table, or by a test whose name begins with the clause.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use hotadd_conformance::table;

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");

/// The clauses, as the first column of the contract's tables has them.
fn clauses() -> BTreeSet<String> {
    let text =
        fs::read_to_string(format!("{ROOT}/docs/contract.md")).expect("the contract is there");
    let first = text.lines().filter_map(|line| line.strip_prefix("| ")?.split([' ', '|']).next());
    first.filter(|word| is_clause(word)).map(str::to_owned).collect()
}

/// `A3`
fn is_clause(word: &str) -> bool {
    word.starts_with(|c: char| c.is_ascii_uppercase()) && word[1..].parse::<u32>().is_ok()
}

/// How many functions in tests begin with each clause: `d3_...`, also where several clauses begin a name.
fn tests(folder: &Path, found: &mut BTreeMap<String, u32>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for path in entries.map(|entry| entry.expect("it can be listed").path()) {
        if path.is_dir() {
            tests(&path, found);
        } else if path.extension().is_some_and(|end| end == "rs") {
            let text = fs::read_to_string(&path).expect("it can be read");
            for name in text.lines().filter_map(|line| line.trim().strip_prefix("fn ")) {
                for word in name.split('_').map(str::to_uppercase) {
                    if !is_clause(&word) {
                        break;
                    }
                    *found.entry(word).or_default() += 1;
                }
            }
        }
    }
}

#[test]
fn every_clause_has_a_scenario_or_a_test_of_its_name() {
    let mut named = BTreeMap::new();
    let packages = fs::read_dir(format!("{ROOT}/crates")).expect("the packages are there");
    for package in packages.map(|entry| entry.expect("it can be listed").path()) {
        tests(&package.join("src"), &mut named);
        tests(&package.join("tests"), &mut named);
    }
    tests(Path::new(&format!("{ROOT}/lab/tests")), &mut named);
    let scenarios = table();
    let clauses = clauses();
    assert!(clauses.len() > 35, "the contract's tables are read: {clauses:?}");
    println!("clause  scenarios  other tests");
    for clause in &clauses {
        let shown = scenarios.iter().filter(|s| s.clauses().any(|shown| shown == clause)).count();
        let tests = named.get(clause).copied().unwrap_or(0);
        println!("{clause:<6} {shown:>10} {tests:>12}");
        assert!(shown > 0 || tests > 0, "clause {clause} has no scenario and no test");
    }
    for scenario in &scenarios {
        for clause in scenario.clauses() {
            assert!(
                clauses.contains(clause),
                "{}: {}: there is no clause {clause}",
                scenario.file,
                scenario.title
            );
        }
    }
}
