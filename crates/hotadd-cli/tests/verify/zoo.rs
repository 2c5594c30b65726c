//! The zoo: each driver has one fault, and is found by exactly the checks that name it. Good drivers are found by none.
//!
//! What a check sees does not depend on the driver's form. So of the faulty drivers, one for each check is verified as a Windows driver,
//! and the others as native drivers. With `HOTADD_WHOLE=1` all are verified in both forms.

use std::collections::BTreeSet;
use std::path::Path;

use super::zoo_files::{self, Expected};
use super::{Report, for_each};

/// A form of drivers.
#[derive(Clone, Copy, PartialEq)]
enum Form {
    Native,
    Windows,
}

impl Form {
    /// The drivers to verify: of the faulty ones those of this form, and all good ones that have it.
    fn drivers(self) -> Vec<Expected> {
        let mut known = BTreeSet::new();
        // Of these drivers, those that must be found by a check, or by one of several, by which no earlier one must be found.
        let mut is_first = |one: &Expected| {
            let new = one.must.iter().filter(|ids| known.insert(ids.to_vec()));
            new.count() > 0
        };
        let mut form = |one: &Expected| {
            let is_windows = !one.is_rust() && is_first(one);
            if is_windows { Self::Windows } else { Self::Native }
        };
        let faulty = zoo_files::expected().into_iter();
        let faulty = faulty.filter(|one| form(one) == self || hotadd_testing::whole());
        let good = zoo_files::good().into_iter().map(|driver| {
            let (must, may, needs_normal) = (Vec::new(), Vec::new(), false);
            Expected { driver, must, may, needs_normal }
        });
        // Rust drivers are built in one form.
        let has_form = |one: &Expected| self == Self::Native || !one.is_rust();
        faulty.chain(good).filter(has_form).collect()
    }

    const fn ending(self) -> &'static str {
        match self {
            Self::Native => "so",
            Self::Windows => "sys",
        }
    }
}

/// Builds drivers into a folder.
fn build(drivers: &[Expected], ending: &str, folder: &Path) {
    let file = |one: &Expected| format!("{}/{}.{ending}", folder.display(), one.driver);
    let mut goals: Vec<String> = drivers.iter().filter(|one| !one.is_rust()).map(file).collect();
    if drivers.iter().any(Expected::is_rust) {
        goals.push("rust".to_owned());
    }
    zoo_files::make(&goals.iter().map(String::as_str).collect::<Vec<_>>(), folder);
}

fn verify_all(form: Form) {
    let folder = tempfile::tempdir().unwrap();
    let (all, ending) = (form.drivers(), form.ending());
    build(&all, ending, folder.path());
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
    verify_all(Form::Native);
}

#[test]
fn each_check_finds_a_windows_driver_of_the_zoo_and_none_finds_what_is_not_there() {
    verify_all(Form::Windows);
}

#[test]
fn each_driver_of_the_zoo_is_verified_in_some_form_and_each_check_with_a_windows_driver() {
    let [native, windows] = [Form::Native, Form::Windows].map(Form::drivers);
    let names = |all: &[Expected]| all.iter().map(|one| one.driver.clone()).collect();
    let verified = &names(&native) | &names(&windows);
    let faulty: BTreeSet<String> = names(&zoo_files::expected());
    assert_eq!(verified, faulty.into_iter().chain(zoo_files::good()).collect());
    let checks = |all: &[Expected]| -> BTreeSet<Vec<String>> {
        all.iter().filter(|one| !one.is_rust()).flat_map(|one| one.must.clone()).collect()
    };
    let missed = &checks(&native) - &checks(&windows);
    assert!(missed.is_empty(), "no Windows driver is found by {missed:?}");
}
