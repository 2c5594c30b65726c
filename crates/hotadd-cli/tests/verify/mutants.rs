//! Mutation: in each case one line of the good sample is removed or damaged, and the verifier finds what is wrong. By default, every third
//! damage that it must find is tried. With `HOTADD_WHOLE=1`, all are.

use super::{Report, for_each, zoo_files};

/// One of the quick scenarios, which finds most of the damages by itself.
const FIRST: &str = "existing-64";

#[test]
fn at_least_95_of_100_damages_of_the_good_sample_are_found() {
    let folder = tempfile::tempdir().unwrap();
    let mut mutants = zoo_files::mutants();
    if !hotadd_testing::whole() {
        mutants.retain(|mutant| !mutant.may_survive);
        mutants = mutants.into_iter().step_by(3).collect();
    }
    let survivors = for_each(&mutants, |mutant| {
        let driver = mutant.build(folder.path());
        let finds = |which: &[&str]| {
            let report = Report::of(&driver, &[which, &["--timeout", "3s"]].concat());
            !report.checks().is_empty()
        };
        let known = if mutant.may_survive { ", as mutants.txt says" } else { "" };
        // What the first scenario finds needs no other.
        let survives = !finds(&["--scenario", FIRST]) && !finds(&["--quick"]);
        survives.then(|| format!("{}{known}", mutant.name))
    });
    println!("{} of {} survive: {survivors:#?}", survivors.len(), mutants.len());
    assert!(
        survivors.len() * 20 <= mutants.len(),
        "{} of {}: {survivors:#?}",
        survivors.len(),
        mutants.len()
    );
}
