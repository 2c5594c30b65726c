//! Roots to look at, made for one test each.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

use serde_json::Value;
use tempfile::TempDir;

use crate::common::{hotadd, stderr, stdout};

/// A root, gone when the test is.
pub struct Root(TempDir);

/// What the doctor said in JSON.
#[derive(Debug)]
pub struct Seen {
    pub status: i32,
    pub findings: Vec<Value>,
    pub shadows: Vec<Value>,
}

impl Root {
    pub fn new() -> Self {
        Self(tempfile::tempdir().expect("a folder"))
    }

    /// Where something is, from the outside.
    pub fn path(&self, inside: &str) -> PathBuf {
        self.0.path().join(inside)
    }

    /// Writes a file, and makes its folders.
    pub fn file(&self, inside: &str, text: &str) {
        let path = self.path(inside);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// Makes a link, and its folders.
    pub fn link(&self, inside: &str, target: &str) {
        let path = self.path(inside);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::os::unix::fs::symlink(Path::new(target), path).unwrap();
    }

    /// Runs the doctor on it.
    pub fn hotadd(&self, args: &[&str]) -> Output {
        let mut command = hotadd(&["doctor", "--root"]);
        command.arg(self.0.path()).args(args).output().expect("hotadd starts")
    }

    pub fn seen(&self) -> Seen {
        seen(&self.hotadd(&["--json"]))
    }

    /// The file and line of each problem.
    pub fn problems(&self) -> Vec<String> {
        let seen = self.seen();
        let problems = seen.findings.iter().filter(|finding| finding["level"] == "problem");
        let places = problems.map(|finding| {
            let place = &finding["where"];
            format!("{}:{}", place["file"].as_str().expect("a file"), place["line"])
        });
        let places: Vec<_> = places.collect();
        assert_eq!(seen.status, i32::from(!places.is_empty()), "{:?}", seen.findings);
        places
    }
}

/// Reads what the doctor said with `--json`.
pub fn seen(output: &Output) -> Seen {
    let said: Value = serde_json::from_str(&stdout(output)).unwrap_or_else(|error| {
        panic!("not JSON ({error}): {} {}", stdout(output), stderr(output))
    });
    let status = output.status.code().expect("it ends by itself");
    let list =
        |name: &str| said[name].as_array().unwrap_or_else(|| panic!("no {name}: {said}")).clone();
    let (findings, shadows) = (list("findings"), list("shadows"));
    if shadows.is_empty() {
        assert_eq!(said["clear"], status == 0, "{said}");
    }
    Seen { status, findings, shadows }
}
