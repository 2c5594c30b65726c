//! The commands and the program of `docs/c.md` and the program of this crate's README, as they are printed there.
#![cfg(target_os = "linux")]

mod common;

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use common::{HERE, make, run, text};
use hotadd_testing::Need;
use tempfile::TempDir;

const PAGE: &str = include_str!("../../../docs/c.md");

/// The blocks of a language in a page.
fn blocks(page: &'static str, language: &str) -> Vec<&'static str> {
    let parts = page.split("```").skip(1).step_by(2);
    parts.filter_map(|part| part.strip_prefix(language)?.strip_prefix('\n')).collect()
}

#[test]
fn the_page_about_c_is_true() {
    let home = TempDir::new().unwrap();
    symlink(Path::new(HERE).parent().unwrap(), home.path().join("crates")).unwrap();
    let [program] = *blocks(PAGE, "c") else { panic!("the page shows one program") };
    fs::write(home.path().join("first.c"), program).unwrap();
    let lines = blocks(PAGE, "console").into_iter().flat_map(str::lines);
    let commands: Vec<_> = lines.filter_map(|line| line.strip_prefix("$ ")).collect();
    assert_eq!(commands.len(), 5, "{commands:?}");
    let (start, before) = commands.split_last().unwrap();
    // What cargo built is given in the environment, so that the command is the printed one.
    let variables = make("install", &[]);
    let archive = variables.get_args().filter_map(|word| word.to_str()?.split_once('='));
    // The README's program is built in the same way.
    let [shown] = *blocks(include_str!("../README.md"), "c") else {
        panic!("the README shows one program")
    };
    fs::write(home.path().join("readme.c"), shown).unwrap();
    let mut before = before.join("\n");
    let compile = before.lines().last().unwrap().replace("first", "readme");
    before = format!("{before}\n{compile}");
    let mut shell = Command::new("sh");
    shell.args(["-ec", &before]).current_dir(home.path()).env("HOME", home.path());
    run(shell.envs(archive));
    let said = run(&mut Command::new(home.path().join("readme")));
    assert!(text(&said.stdout).ends_with(" processors\n"), "{said:?}");

    if !Need::FirstTwo.is_met("the first program of docs/c.md") {
        return;
    }
    let mut shell = Command::new("sh");
    let said = run(shell.args(["-ec", start]).current_dir(home.path()));
    let expected = "AddStart cpu0\nAddComplete cpu0\nAddStart cpu1\nAddComplete cpu1\n";
    assert_eq!((text(&said.stdout).as_str(), text(&said.stderr).as_str()), (expected, ""));
}
