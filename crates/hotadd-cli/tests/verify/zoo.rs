//! The zoo: each driver has one fault, and is found by exactly the checks that name it. Good drivers are found by none.
//!
//! What a check sees does not depend on the driver's form. So of the faulty Windows drivers, one is verified for each check. With
//! `HOTADD_WHOLE=1` all are.

use std::collections::BTreeSet;

use super::zoo_files::{self, Expected};
use super::{Report, for_each};

/// Of these drivers those that must be found by a check, or by one of several, by which no earlier one must be found.
fn one_for_each_check(all: Vec<Expected>) -> Vec<Expected> {
    let mut known = BTreeSet::new();
    let mut is_first = |one: &Expected| {
        let new = one.must.iter().filter(|ids| known.insert(ids.to_vec()));
        new.count() > 0
    };
    all.into_iter().filter(|one| is_first(one)).collect()
}

/// Builds the zoo with one ending, and verifies the chosen ones of the faulty drivers, and the good ones.
fn verify_all(goals: &[&str], ending: &str, choose: impl Fn(Vec<Expected>) -> Vec<Expected>) {
    let folder = tempfile::tempdir().unwrap();
    zoo_files::make(goals, folder.path());
    let good = zoo_files::good().into_iter().map(|driver| {
        let (must, may, needs_normal) = (Vec::new(), Vec::new(), false);
        Expected { driver, must, may, needs_normal }
    });
    let is_built = |one: &Expected| folder.path().join(&one.driver).with_extension(ending).exists();
    let faulty = zoo_files::expected().into_iter().filter(is_built).collect();
    let all: Vec<Expected> = choose(faulty).into_iter().chain(good.filter(is_built)).collect();
    // Rust drivers are built in one form.
    for below in ["", "good"] {
        let built = zoo_files::names(&folder.path().join(below), ending);
        assert_eq!(built, zoo_files::sources(below), "each is built as .{ending}");
    }
    let wrong = for_each(&all, |expected| {
        // A busy machine must not look like a slow driver.
        let limit = if expected.driver.contains("over-budget") { "3s" } else { "20s" };
        let depth: &[&str] = if expected.needs_normal { &[] } else { &["--quick"] };
        let driver = folder.path().join(&expected.driver).with_extension(ending);
        let report = Report::of(&driver, &[depth, &["--timeout", limit]].concat());
        let found: Vec<&str> = report.checks().into_iter().collect();
        let not_run = report.not_run();
        let differs = expected.differs(&found).or_else(|| {
            (!not_run.is_empty()).then(|| format!("{}: not run: {not_run:?}", expected.driver))
        });
        differs.map(|why| format!("{why}\n{}", report.findings()))
    });
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), all.len(), wrong.join("\n"));
}

#[test]
fn each_native_driver_of_the_zoo_is_found_by_exactly_the_checks_that_name_its_fault() {
    verify_all(&["native", "rust"], "so", |all| all);
}

#[test]
fn each_check_finds_a_windows_driver_of_the_zoo_and_none_finds_what_is_not_there() {
    let choose = |all| if hotadd_testing::whole() { all } else { one_for_each_check(all) };
    verify_all(&["windows"], "sys", choose);
}
