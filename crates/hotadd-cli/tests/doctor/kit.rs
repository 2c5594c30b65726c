//! Root folders for the doctor, one for each test.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

use serde_json::Value;
use tempfile::TempDir;

use crate::common::{hotadd, stderr, stdout};

/// A root folder that is removed at the end of the test.
pub struct Root(TempDir);

/// The doctor's answer in JSON.
#[derive(Debug)]
pub struct Seen {
    pub status: i32,
    /// problem, cannot tell or clear.
    pub answer: String,
    pub findings: Vec<Value>,
    pub shadows: Vec<Value>,
}

impl Root {
    pub fn new() -> Self {
        Self(tempfile::tempdir().expect("a folder"))
    }

    /// The path of a file of the root.
    pub fn path(&self, inside: &str) -> PathBuf {
        self.0.path().join(inside)
    }

    /// Writes a file and creates its folders.
    pub fn file(&self, inside: &str, text: &str) {
        let path = self.path(inside);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// Writes a file that is not text.
    pub fn bytes(&self, inside: &str, bytes: &[u8]) {
        let path = self.path(inside);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }

    /// Writes a file that looks like a compiled program and contains this text.
    pub fn program(&self, inside: &str, text: &str) {
        let mut program = vec![0; 64];
        program[..6].copy_from_slice(b"\x7fELF\x02\x01");
        program.extend_from_slice(text.as_bytes());
        program.push(0);
        self.bytes(inside, &program);
    }

    /// The texts of the findings of one level.
    pub fn said(&self, level: &str) -> Vec<String> {
        let findings = self.seen().findings;
        let of = findings.iter().filter(|finding| finding["level"] == level);
        of.map(|finding| finding["what"].as_str().unwrap().to_owned()).collect()
    }

    /// Asserts that the answer is "cannot tell" with a finding about this.
    #[track_caller]
    pub fn cannot_tell(&self, about: &str) {
        let seen = self.seen();
        assert_eq!(seen.answer, "cannot tell", "{about}: {:?}", seen.findings);
        let said = self.said("cannot tell");
        assert!(said.iter().any(|said| said.contains(about)), "nothing about {about:?}: {said:?}");
    }

    #[track_caller]
    pub fn clear(&self) {
        let seen = self.seen();
        assert_eq!(seen.answer, "clear", "{:?}", seen.findings);
    }

    /// Makes a link and creates its folders.
    pub fn link(&self, inside: &str, target: &str) {
        let path = self.path(inside);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::os::unix::fs::symlink(Path::new(target), path).unwrap();
    }

    /// Runs the doctor on this root.
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
        assert_eq!(seen.status == 1, !places.is_empty(), "{:?}", seen.findings);
        places
    }
}

/// Reads the doctor's output with `--json`.
pub fn seen(output: &Output) -> Seen {
    let said: Value = serde_json::from_str(&stdout(output)).unwrap_or_else(|error| {
        panic!("not JSON ({error}): {} {}", stdout(output), stderr(output))
    });
    let status = output.status.code().expect("it ends by itself");
    let list =
        |name: &str| said[name].as_array().unwrap_or_else(|| panic!("no {name}: {said}")).clone();
    let (findings, shadows) = (list("findings"), list("shadows"));
    let answer = said["answer"].as_str().expect("an answer").to_owned();
    if shadows.is_empty() {
        let expected = match &*answer {
            "problem" => 1,
            "cannot tell" => 3,
            "clear" => 0,
            other => panic!("{other:?} is not an answer: {said}"),
        };
        assert_eq!(status, expected, "each answer has its own exit status: {said}");
        assert_eq!(said["clear"], status == 0, "{said}");
    }
    let levels: Vec<_> =
        findings.iter().map(|finding| finding["level"].as_str().unwrap()).collect();
    let weighs = ["problem", "cannot tell"].into_iter().find(|level| levels.contains(level));
    assert_eq!(
        answer,
        weighs.unwrap_or("clear"),
        "the answer is that of the most severe finding: {said}"
    );
    Seen { status, answer, findings, shadows }
}
