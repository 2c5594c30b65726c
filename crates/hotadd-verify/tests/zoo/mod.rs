//! The zoo: drivers with one fault each, what must be found in them, and the mutants of a sample. The tests of the command use this file
//! too.

#![allow(dead_code, unreachable_pub, reason = "each test file uses its part")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The folder of the zoo.
pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../hotadd-verify/zoo")
}

/// The folder of the Windows drivers' host, with headers and samples.
fn host() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../hotadd-nt")
}

fn text(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn run(command: &mut Command) {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}\n{errors}");
}

/// Builds drivers into a folder: `native`, `windows`, `rust`.
pub fn make(goals: &[&str], out: &Path) {
    let mut make = Command::new("make");
    make.args(["--silent", "-j2", "-C"])
        .arg(folder())
        .arg(format!("OUT={}", out.display()))
        .args(goals);
    run(&mut make);
}

/// What must be found in a driver.
#[derive(Debug)]
pub struct Expected {
    /// Its file below the folder of the builds, without extension.
    pub driver: String,
    /// Of each of these lists one check must be found.
    pub must: Vec<Vec<String>>,
    /// These may be found too.
    pub may: Vec<String>,
    /// The quick scenarios do not show it.
    pub needs_normal: bool,
}

impl Expected {
    /// Whether the driver is written in Rust, not in C.
    pub fn is_rust(&self) -> bool {
        self.driver.starts_with("rust/")
    }

    /// What is wrong with this result, given as ids of checks.
    pub fn differs(&self, found: &[&str]) -> Option<String> {
        let is_found = |id: &String| found.contains(&id.as_str());
        let mut wrong = Vec::new();
        for ids in self.must.iter().filter(|ids| !ids.iter().any(is_found)) {
            wrong.push(format!("{} is not found", ids.join(" or ")));
        }
        let known: Vec<&String> = self.must.iter().flatten().chain(&self.may).collect();
        for id in found.iter().filter(|id| !known.iter().any(|known| known == *id)) {
            wrong.push(format!("{id} is found"));
        }
        (!wrong.is_empty()).then(|| format!("{}: {}", self.driver, wrong.join(", ")))
    }
}

/// All lines of expected.txt.
pub fn expected() -> Vec<Expected> {
    let ids = |text: &str| text.split('|').map(str::to_owned).collect::<Vec<_>>();
    let line = |line: &str| {
        let mut words = line.split_whitespace();
        let driver = words.next()?.to_owned();
        let (options, words): (Vec<_>, Vec<_>) = words.partition(|word| *word == "@normal");
        let (may, must): (Vec<_>, Vec<_>) =
            words.into_iter().partition(|word| word.starts_with('?'));
        let may = may.iter().map(|word| word[1..].to_owned()).collect();
        Some(Expected {
            driver,
            must: must.into_iter().map(ids).collect(),
            may,
            needs_normal: !options.is_empty(),
        })
    };
    lines(&text(&folder().join("expected.txt"))).filter_map(line).collect()
}

/// The drivers in which nothing may be found.
pub fn good() -> Vec<String> {
    let mut good = vec!["rust/good".to_owned()];
    good.extend(sources("good").into_iter().map(|name| format!("good/{name}")));
    good
}

/// The names of a subfolder's C files, without extension.
pub fn sources(below: &str) -> Vec<String> {
    names(&folder().join(below), "c")
}

/// The names of a folder's files with this extension, without it.
pub fn names(folder: &Path, extension: &str) -> Vec<String> {
    let entries = fs::read_dir(folder).expect("a folder");
    let paths = entries.map(|entry| entry.expect("an entry").path());
    let wanted = paths.filter(|path| path.extension().is_some_and(|is| is == extension));
    let stem = |path: PathBuf| path.file_stem().expect("a name").to_str().expect("text").to_owned();
    let mut names: Vec<String> = wanted.map(stem).collect();
    names.sort();
    names
}

fn lines(text: &str) -> impl Iterator<Item = &str> {
    text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'))
}

/// A damaged percpu.c.
#[derive(Debug)]
pub struct Mutant {
    pub name: String,
    /// It may be that nothing is found.
    pub may_survive: bool,
    /// The source.
    pub source: String,
}

impl Mutant {
    /// Builds it as a native driver.
    pub fn build(&self, out: &Path) -> PathBuf {
        let driver = out.join(format!("{}.so", self.name));
        let flags = ["-O2", "-g", "-shared", "-Wl,-Bsymbolic", "-o"];
        run(self.compiler(out).args(flags).arg(&driver));
        driver
    }

    fn compiler(&self, out: &Path) -> Command {
        let source = out.join(format!("{}.c", self.name));
        fs::write(&source, &self.source).expect("a source file");
        let include = host().join("include");
        let mut gcc = Command::new("gcc");
        gcc.arg("-w").arg(format!("@{}", include.join("native.flags").display()));
        gcc.arg("-I").arg(&include).arg(&source);
        gcc
    }
}

/// All mutants.
pub fn mutants() -> Vec<Mutant> {
    let original = text(&host().join("samples/percpu.c"));
    let list = text(&folder().join("mutants.txt"));
    let mutant = |line: &str| {
        let columns: Vec<String> =
            line.split(" | ").map(|column| column.replace("<nl>", "\n")).collect();
        let [name, old, new] = &columns[..] else { panic!("three columns: {line}") };
        let count = original.matches(old.as_str()).count();
        assert_eq!(count, 1, "{name}: its text must occur once in percpu.c");
        let may_survive = name.starts_with('?');
        let name = name.trim_start_matches('?').to_owned();
        Mutant { name, may_survive, source: original.replace(old.as_str(), new) }
    };
    lines(&list).map(mutant).collect()
}
