//! Mutation: one line at a time of the good sample is removed or damaged, and the verifier finds what is wrong.

use super::{Report, for_each, zoo_files};

#[test]
fn at_least_95_of_100_damages_of_the_good_sample_are_found() {
    let folder = tempfile::tempdir().unwrap();
    let mutants = zoo_files::mutants();
    let survivors = for_each(&mutants, |mutant| {
        let driver = mutant.build(folder.path());
        let report = Report::of(&driver, &["--quick", "--timeout", "3s"]);
        let known = if mutant.may_survive { ", as mutants.txt says" } else { "" };
        report.checks().is_empty().then(|| format!("{}{known}", mutant.name))
    });
    println!("{} of {} survive: {survivors:#?}", survivors.len(), mutants.len());
    assert!(
        survivors.len() * 20 <= mutants.len(),
        "{} of {}: {survivors:#?}",
        survivors.len(),
        mutants.len()
    );
}
