//! `dist/tarball`: the files of a release's tarball work in any folder, and the program is at the path that `cargo binstall` expects.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;
use tempfile::TempDir;

use crate::{VERSION, packages, root, text};

/// The packed name of this machine's release.
fn name() -> String {
    format!("hotadd-{VERSION}-x86_64-linux-gnu")
}

fn run(command: &mut Command) -> Output {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{command:?}: {output:?}");
    output
}

fn said(command: &mut Command) -> String {
    String::from_utf8(run(command).stdout).unwrap()
}

/// Packs the program of this test. It is linked dynamically, and without its symbols it is small enough to compress often.
fn packed(folder: &Path) -> PathBuf {
    let program = folder.join("stripped");
    run(Command::new("strip").arg("-o").arg(&program).arg(env!("CARGO_BIN_EXE_hotadd")));
    tarball(folder, &program, &["--dynamic"])
}

fn tarball(folder: &Path, program: &Path, words: &[&str]) -> PathBuf {
    let mut command = Command::new(root().join("dist/tarball"));
    command.args(words).arg(format!("FOLDER={}", folder.display()));
    command.arg(format!("BINARY={}", program.display())).env("SOURCE_DATE_EPOCH", "1700000000");
    PathBuf::from(said(&mut command).trim_end())
}

#[test]
fn a_tarball_works_where_it_is_unpacked() {
    let folder = TempDir::new().unwrap();
    let tarball = packed(folder.path());
    // The checksum is of this file, by its name.
    let sum = format!("{}.sha256", tarball.file_name().unwrap().to_str().unwrap());
    run(Command::new("sha256sum").args(["--check", "--strict", &sum]).current_dir(folder.path()));

    let elsewhere = TempDir::new().unwrap();
    run(Command::new("tar").arg("-xzf").arg(&tarball).arg("-C").arg(elsewhere.path()));
    let unpacked: Vec<_> =
        fs::read_dir(elsewhere.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    let [only] = &unpacked[..] else { panic!("one folder: {unpacked:?}") };
    let at = elsewhere.path().join(only);

    let program = at.join("bin/hotadd");
    assert_eq!(said(Command::new(&program).arg("--version")), format!("hotadd {VERSION}\n"));
    let events = said(Command::new(&program).args([
        "run",
        "--simulate",
        "2+2",
        "--every",
        "1ms",
        "--json",
        "--",
        "true",
    ]));
    let kinds: Vec<Value> =
        events.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let ends = [&kinds[0]["event"], &kinds[kinds.len() - 1]["event"]];
    assert_eq!(ends, ["partition", "exit"], "{events}");
    for file in [
        "share/man/man1/hotadd.1",
        "share/bash-completion/completions/hotadd",
        "LICENSE-MIT",
        "CHANGELOG.md",
    ] {
        assert!(at.join(file).is_file(), "{file}");
    }
    // Crates of each kind of licence, and their texts.
    let notices = fs::read_to_string(at.join("THIRD-PARTY.txt")).unwrap();
    for text in
        ["\nclap ", "\nzbus ", "Permission is hereby granted, free of charge", "Apache License"]
    {
        assert!(notices.contains(text), "{text:?}");
    }
    assert!(!notices.contains("\nproptest "), "only tests need it");

    let system = TempDir::new().unwrap();
    let mut install = Command::new(at.join("dist/install"));
    install
        .arg(format!("DESTDIR={}", system.path().display()))
        .env_remove("BINARY")
        .env_remove("PREFIX");
    run(&mut install);
    assert_eq!(
        said(Command::new(system.path().join("usr/bin/hotadd")).arg("--version")),
        format!("hotadd {VERSION}\n")
    );
    assert!(system.path().join("usr/lib/systemd/system/hotadd.service").is_file());
}

#[test]
fn the_same_program_gives_the_same_tarball() {
    let (one, other) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    // Any program that can be asked for man pages and completions.
    let program = one.path().join("program");
    fs::write(&program, "#!/bin/sh\n[ \"$1\" != man ] || echo page >\"$2/hotadd.1\"\n").unwrap();
    fs::set_permissions(&program, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let [first, second] = [&one, &other]
        .map(|folder| fs::read(tarball(folder.path(), &program, &["--dynamic"])).unwrap());
    assert!(first == second, "{} and {} bytes", first.len(), second.len());
}

#[test]
fn a_program_that_needs_a_c_library_is_not_packed() {
    let folder = TempDir::new().unwrap();
    let program = format!("BINARY={}", env!("CARGO_BIN_EXE_hotadd"));
    let to = format!("FOLDER={}", folder.path().display());
    let output = Command::new(root().join("dist/tarball")).args([program, to]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && said.contains("linked dynamically"), "{output:?}");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "nothing is left behind");
}

#[test]
fn binstall_looks_for_the_program_where_the_tarball_has_it() {
    let cli = packages(true).find(|package| text(package, "name") == "hotadd-cli").unwrap();
    let overrides = cli["metadata"]["binstall"]["overrides"].as_object().unwrap();
    // A static program runs on both kinds of system.
    let targets: Vec<_> = overrides.keys().map(String::as_str).collect();
    assert_eq!(targets, ["x86_64-unknown-linux-gnu", "x86_64-unknown-linux-musl"]);
    let filled = |template: &str| {
        let fields = [("repo", text(cli, "repository")), ("version", VERSION), ("bin", "hotadd")];
        let whole = fields.iter().fold(template.to_owned(), |whole, (field, value)| {
            whole.replace(&format!("{{ {field} }}"), value)
        });
        assert!(!whole.contains('{'), "{whole} has a field that this test does not know");
        whole
    };
    for place in overrides.values() {
        assert_eq!(text(place, "pkg-fmt"), "tgz");
        let url = filled(text(place, "pkg-url"));
        assert_eq!(
            url,
            format!(
                "https://github.com/hotadd/hotadd/releases/download/v{VERSION}/{}.tar.gz",
                name()
            )
        );
        assert_eq!(filled(text(place, "bin-dir")), format!("{}/bin/hotadd", name()));
    }
    // The names that dist/tarball gives.
    let script = fs::read_to_string(root().join("dist/tarball")).unwrap();
    assert!(script.contains("name=hotadd-$version-x86_64-linux-gnu"));
}
