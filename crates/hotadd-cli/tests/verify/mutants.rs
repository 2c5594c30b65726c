//! Mutation: one line at a time of the good sample is removed or damaged, and the verifier finds what is wrong.

use std::path::Path;
use std::process::Command;

use super::{Report, crate_folder, for_each, samples};

/// A damage.
struct Mutant {
    name: String,
    from: String,
    to: String,
    /// It may survive; mutants.txt says why.
    may_survive: bool,
}

impl Mutant {
    fn parse(line: &str) -> Self {
        let mut parts = line.splitn(3, " | ");
        let mut part = || parts.next().unwrap_or_default().replace("<nl>", "\n");
        let name = part();
        let plain = name.trim_start_matches('?').trim().to_owned();
        Self {
            may_survive: name.starts_with('?'),
            name: plain,
            from: part(),
            to: part().trim_end().to_owned(),
        }
    }

    fn all() -> Vec<Self> {
        let text = std::fs::read_to_string(crate_folder().join("zoo/mutants.txt")).unwrap();
        let lines = text.lines().filter(|line| !line.trim().is_empty() && !line.starts_with('#'));
        lines.map(Self::parse).collect()
    }

    /// Builds it as a native driver.
    fn build(&self, source: &str, folder: &Path) -> std::path::PathBuf {
        assert_eq!(
            source.matches(&self.from).count(),
            1,
            "{}: {:?} must occur once",
            self.name,
            self.from
        );
        let file = folder.join(format!("{}.c", self.name));
        std::fs::write(&file, source.replace(&self.from, &self.to)).unwrap();
        let driver = file.with_extension("so");
        let include = samples().join("../include");
        let built = Command::new("gcc")
            .args(["-O1", "-g", "-w", "-shared", "-Wl,-Bsymbolic"])
            .arg(format!("@{}/native.flags", include.display()))
            .arg(format!("-I{}", include.display()))
            .arg(&file)
            .arg("-o")
            .arg(&driver)
            .output()
            .expect("gcc is installed");
        assert!(built.status.success(), "{}: {}", self.name, super::stderr(&built));
        driver
    }
}

#[test]
fn at_least_95_of_100_damages_of_the_good_sample_are_found() {
    let source = std::fs::read_to_string(samples().join("percpu.c")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let mutants = Mutant::all();
    assert!(mutants.len() >= 30, "there are {}", mutants.len());
    let survivors = for_each(&mutants, |mutant| {
        let driver = mutant.build(&source, folder.path());
        let report = Report::of(&driver, &["--quick", "--timeout", "3s"]);
        let expected = if mutant.may_survive { " (as mutants.txt says)" } else { "" };
        report.checks().is_empty().then(|| format!("{}{expected}", mutant.name))
    });
    println!("{} of {} survive: {survivors:#?}", survivors.len(), mutants.len());
    assert!(
        survivors.len() * 20 <= mutants.len(),
        "{} of {}: {survivors:#?}",
        survivors.len(),
        mutants.len()
    );
}
