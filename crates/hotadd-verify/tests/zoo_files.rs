//! The lists of the zoo are complete.

#![cfg(all(target_os = "linux", target_arch = "x86_64"))]

mod zoo;

use std::collections::BTreeSet;

use hotadd_verify::check::{CHECKS, Check};

#[test]
fn every_driver_has_an_expectation() {
    let rust = zoo::names(&zoo::folder().join("rust/examples"), "rs");
    let rust = rust.iter().filter(|name| *name != "good").map(|name| format!("rust/{name}"));
    let drivers: BTreeSet<String> = zoo::sources("").into_iter().chain(rust).collect();
    let expected = zoo::expected();
    let listed: BTreeSet<String> = expected.iter().map(|one| one.driver.clone()).collect();
    assert_eq!(listed.len(), expected.len(), "a driver is listed twice");
    assert_eq!(listed, drivers);
}

#[test]
fn every_check_has_a_driver_of_its_name() {
    let expected = zoo::expected();
    for one in &expected {
        assert!(!one.must.is_empty(), "{}: nothing", one.driver);
        for id in one.must.iter().flatten().chain(&one.may) {
            assert!(Check::find(id).is_some(), "{}: {id} is not a check", one.driver);
        }
    }
    for check in CHECKS {
        let named = expected.iter().find(|one| one.driver == check.id);
        let named = named.unwrap_or_else(|| panic!("no driver for {}", check.id));
        assert!(named.must.len() == 1 && named.must[0].contains(&check.id.to_owned()), "{named:?}");
    }
}

#[test]
fn a_result_is_compared_with_the_expectation() {
    let expected = zoo::Expected {
        driver: "d".to_owned(),
        must: vec![vec!["a".to_owned(), "b".to_owned()]],
        may: vec!["c".to_owned()],
        needs_normal: false,
    };
    assert_eq!(expected.differs(&["b"]), None);
    assert_eq!(expected.differs(&["a", "c"]), None);
    assert_eq!(expected.differs(&["c"]).as_deref(), Some("d: a or b is not found"));
    assert_eq!(expected.differs(&["a", "x"]).as_deref(), Some("d: x is found"));
}

#[test]
fn every_mutant_has_a_name_of_its_own_and_is_made() {
    // The tests of the command build them, as they build the zoo.
    let mutants = zoo::mutants();
    let names: BTreeSet<&str> = mutants.iter().map(|mutant| mutant.name.as_str()).collect();
    assert_eq!(names.len(), mutants.len(), "a name is used twice");
    assert!(mutants.len() >= 45, "{} mutants", mutants.len());
}
