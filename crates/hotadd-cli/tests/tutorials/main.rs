//! The tutorials, followed as they are printed: each file is written, each command is run, and each line that is shown is printed.

mod page;
mod session;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use hotadd_testing::{Need, skip};

use page::steps;
use session::{Session, repository};

const DOCS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs");

fn read(page: &str) -> String {
    fs::read_to_string(Path::new(DOCS).join(page)).unwrap_or_else(|why| panic!("{page}: {why}"))
}

/// Whether a command succeeds. If not, the tutorial is skipped, and this is what it needs.
fn at_hand(command: &mut Command, needs: &'static str, test: &str) -> bool {
    let works = command.output().is_ok_and(|output| output.status.success());
    if !works {
        skip(Need::Program(needs), test);
    }
    works
}

/// Follows a tutorial.
fn follow(page: &str, mut session: Session) {
    let steps = steps(&read(page), "Not tested");
    assert!(steps.len() > 3, "{page} has {} steps", steps.len());
    steps.into_iter().for_each(|step| session.follow(page, step));
}

#[test]
fn a_windows_drivers_author_gets_what_the_tutorial_shows() {
    let test = "the tutorial for Windows drivers";
    let version = |program| at_hand(Command::new(program).arg("--version"), program, test);
    if version("clang") && version("lld-link") {
        follow("tutorials/driver.md", Session::start());
    }
}

/// `cargo run` would build the library and all its dependencies again, so the program is built with the library of this test.
#[test]
fn a_rust_programs_author_gets_what_the_tutorial_shows() {
    if !Need::FirstTwo.is_met("the tutorial for Rust programs") {
        return;
    }
    let session = Session::start();
    let libraries = std::env::current_exe().unwrap();
    let libraries = libraries.parent().unwrap();
    let library = newest(libraries, "libhotadd-");
    let rustc = format!(
        "rustc --edition 2024 src/main.rs -o main -D warnings --extern hotadd='{}' -L dependency='{}'",
        library.display(),
        libraries.display()
    );
    let cargo = env!("CARGO");
    session.has(
        "cargo",
        &format!("[ \"$*\" = 'run -q' ] || exec {cargo} \"$@\"\n{rustc} && exec ./main"),
    );
    follow("tutorials/rust.md", session);
}

/// The library that was built last: older ones may be of other features, or of sources that have changed. Those that were built for
/// fuzzing and for loom, into the same folder, cannot be used by a program.
fn newest(folder: &Path, prefix: &str) -> PathBuf {
    let files = fs::read_dir(folder).unwrap().flatten().map(|entry| entry.path());
    let libraries = files.filter(|path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        name.starts_with(prefix) && name.ends_with(".rlib")
    });
    let is_special = |path: &PathBuf| {
        let mut grep = Command::new("grep");
        grep.args(["-q", "-e", "__sanitizer_cov", "-e", "4loom"]).arg(path);
        grep.status().expect("grep").success()
    };
    let built = |path: &PathBuf| fs::metadata(path).and_then(|file| file.modified()).ok();
    libraries
        .filter(|path| !is_special(path))
        .max_by_key(built)
        .expect("cargo has built the library for this test")
}

#[test]
fn an_agents_author_gets_what_the_tutorial_shows() {
    let test = "the tutorial for agents";
    let python = repository().join("target/clients/python/bin/python");
    let package = repository().join("python/src");
    let bus = ["--exists", "libsystemd"];
    if !at_hand(Command::new(&python).args(["-c", "import jeepney"]), "jeepney", test)
        || !at_hand(Command::new("pkg-config").args(bus), "libsystemd", test)
    {
        return;
    }
    let session = Session::start();
    session.has_the_repository();
    // As after `pip install`, which a test of the package runs.
    let python = format!("PYTHONPATH='{}' exec '{}' \"$@\"", package.display(), python.display());
    session.has("python3", &python);
    follow("tutorials/agent.md", session);
}

#[test]
fn a_virtual_machines_operator_gets_what_the_tutorial_shows() {
    follow("tutorials/vm.md", Session::start());
}

#[test]
fn an_operator_of_containers_gets_what_the_tutorial_shows() {
    let test = "the tutorial for containers";
    if Need::FirstTwo.is_met(test)
        && at_hand(Command::new("python3").arg("--version"), "python3", test)
    {
        follow("tutorials/container.md", Session::start());
    }
}

#[test]
fn a_contributor_finds_what_the_tutorial_shows() {
    follow("tutorials/contributor.md", Session::start());
}

#[test]
fn each_symptom_of_the_page_on_troubleshooting_is_made_by_its_command() {
    if Need::FirstTwo.is_met("the page on troubleshooting") {
        let session = Session::start();
        session.has_the_repository();
        follow("troubleshooting.md", session);
    }
}

#[test]
fn the_japanese_tutorial_has_the_commands_and_files_of_the_english_one() {
    let english = steps(&read("tutorials/driver.md"), "Not tested");
    assert_eq!(steps(&read("ja/tutorial-driver.md"), "未検証"), english);
}
