//! `hotadd verify`: every driver of the zoo is found by exactly the checks that name its fault, good drivers by none, and damages of the
//! sample are found.
#![cfg(all(target_os = "linux", target_arch = "x86_64"))]

#[path = "../common/mod.rs"]
mod common;

mod command;
mod mutants;
mod zoo;
#[path = "../../../hotadd-verify/tests/zoo/mod.rs"]
mod zoo_files;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use serde_json::Value;

use common::{output, stderr, stdout};

/// The folder of the sample drivers.
fn samples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../hotadd-nt/samples").canonicalize().unwrap()
}

/// Builds one driver of the zoo.
fn zoo(folder: &tempfile::TempDir, name: &str) -> PathBuf {
    let path = folder.path().join(name);
    zoo_files::make(&[path.to_str().unwrap()], folder.path());
    path
}

/// A report as JSON.
struct Report(Value);

impl Report {
    /// Verifies a driver.
    fn of(driver: &Path, options: &[&str]) -> Self {
        let mut arguments = vec!["verify", driver.to_str().unwrap(), "--json"];
        arguments.extend(options);
        let done = output(&arguments);
        let report = serde_json::from_str(&stdout(&done));
        Self(report.unwrap_or_else(|error| panic!("{arguments:?}: {error}: {}", stderr(&done))))
    }

    fn list(&self, name: &str) -> &[Value] {
        self.0[name].as_array().unwrap()
    }

    /// The checks that found something.
    fn checks(&self) -> BTreeSet<&str> {
        self.list("findings").iter().map(|finding| finding["check"].as_str().unwrap()).collect()
    }

    /// Scenarios that could not be played, each with the reason.
    fn not_run(&self) -> Vec<String> {
        let scenarios = self.list("scenarios").iter();
        let not = scenarios.filter(|scenario| scenario["outcome"]["is"] == "not-run");
        not.map(|scenario| format!("{}: {}", scenario["name"], scenario["outcome"]["why"]))
            .collect()
    }

    /// All findings in lines.
    fn findings(&self) -> String {
        let line = |finding: &Value| {
            let text = |name: &str| finding[name].as_str().unwrap_or_default().to_owned();
            format!(
                "  {} ({}): {} at {}\n",
                text("check"),
                text("scenario"),
                text("what"),
                finding["place"]
            )
        };
        self.list("findings").iter().map(line).collect()
    }
}

/// Runs a function for each item, two at a time. Returns what went wrong.
fn for_each<T: Sync>(items: &[T], act: impl Fn(&T) -> Option<String> + Sync) -> Vec<String> {
    let next = Mutex::new(items.iter());
    let wrong = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                loop {
                    let item = next.lock().unwrap_or_else(PoisonError::into_inner).next();
                    let Some(item) = item else { return };
                    if let Some(why) = act(item) {
                        wrong.lock().unwrap().push(why);
                    }
                }
            });
        }
    });
    let mut wrong = wrong.into_inner().unwrap();
    wrong.sort();
    wrong
}
