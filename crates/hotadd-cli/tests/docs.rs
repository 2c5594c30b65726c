//! Every command that the documentation shows is run as it is printed.

mod common;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use hotadd_testing::{Need, skip};

use common::{commands, events, is_walked, names, stderr, stdout};

const PAGES: [(&str, &str); 16] = [
    ("README.md", include_str!("../../../README.md")),
    ("crates/hotadd-cli/README.md", include_str!("../README.md")),
    ("CONTRIBUTING.md", include_str!("../../../CONTRIBUTING.md")),
    ("docs/tutorials/contributor.md", include_str!("../../../docs/tutorials/contributor.md")),
    ("docs/agents.md", include_str!("../../../docs/agents.md")),
    ("docs/daemon.md", include_str!("../../../docs/daemon.md")),
    ("docs/install.md", include_str!("../../../docs/install.md")),
    ("docs/scripts.md", include_str!("../../../docs/scripts.md")),
    ("docs/verify.md", include_str!("../../../docs/verify.md")),
    ("docs/doctor.md", include_str!("../../../docs/doctor.md")),
    ("docs/lab.md", include_str!("../../../docs/lab.md")),
    ("docs/events.md", include_str!("../../../docs/events.md")),
    ("docs/tracing.md", include_str!("../../../docs/tracing.md")),
    ("docs/metrics.md", include_str!("../../../docs/metrics.md")),
    ("docs/limits.md", include_str!("../../../docs/limits.md")),
    ("docs/performance.md", include_str!("../../../docs/performance.md")),
];

/// A folder in which the commands of the examples exist.
fn stage() -> PathBuf {
    let dir = std::env::temp_dir().join(format!("hotadd-docs-{}", std::process::id()));
    fs::create_dir_all(&dir).unwrap();
    // The verifier runs the last one thousands of times, so no shell starts before it.
    let takes_a_moment = "#!/bin/sh\nexec sleep 0.1\n";
    for (name, text) in
        [("server", takes_a_moment), ("make", takes_a_moment), ("ready", "#!/bin/true\n")]
    {
        let path = dir.join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }
    // Where the partitions that are named are found.
    fs::create_dir_all(dir.join("run")).unwrap();
    // A machine whose distribution brings processors online.
    let machine = dir.join("machine");
    for folder in ["usr/lib/udev/rules.d", "etc/udev/rules.d"] {
        fs::create_dir_all(machine.join(folder)).unwrap();
    }
    let rule = "# Processors\nSUBSYSTEM==\"cpu\", ACTION==\"add\", ATTR{online}==\"0\", ATTR{online}=\"1\"\n";
    fs::write(machine.join("usr/lib/udev/rules.d/40-redhat.rules"), rule).unwrap();
    // Paths of this repository, as seen from its folder.
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    std::os::unix::fs::symlink(crates, dir.join("crates")).unwrap();
    let link = dir.join("hotadd");
    let _ = fs::remove_file(&link);
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_hotadd"), &link).unwrap();
    dir
}

/// The command to run here: `cargo run` becomes the binary that cargo built for this test.
fn here(command: &str) -> Option<String> {
    let command = command.replace("cargo run --release --", "hotadd");
    command.starts_with("hotadd ").then_some(command)
}

/// Whether a command that needs root is run in a guest, by the test of `dist/install`.
fn is_run_in_a_guest(command: &str) -> bool {
    let test = include_str!("../../../lab/tests/guests/installed.rs");
    if ["cargo build --release -p hotadd-cli", "sudo dist/install"].contains(&command) {
        return test.contains("{SOURCE}/dist/install");
    }
    let Some(command) = command.strip_prefix("sudo ") else { return false };
    let words: Vec<_> = command.trim_start_matches("hotadd ").split(' ').collect();
    test.contains(&format!("[\"{}\"]", words.join("\", \"")))
}

/// Whether `./test packages` runs a command, perhaps with other folders. Each command stands beside what the script has for it.
fn is_run_with_the_packages(command: &str) -> bool {
    let script = include_str!("../../../.ci/packages");
    let does = match command {
        "dist/deb/build" => "built dist/deb/build ",
        "dist/rpm/build" => "built dist/rpm/build ",
        "sudo apt install ./target/deb/hotadd_*.deb" => "apt_inside install ",
        "sudo apt purge hotadd" => "apt_inside purge hotadd\n",
        "export RUSTFLAGS=\"-C target-feature=+crt-static\"" => {
            "RUSTFLAGS=\"-C target-feature=+crt-static\" cargo build "
        }
        "cargo build --release --locked -p hotadd-cli --target x86_64-unknown-linux-gnu" => {
            "cargo build --locked --profile guest --target x86_64-unknown-linux-gnu "
        }
        "mkdir image && cp target/x86_64-unknown-linux-gnu/release/hotadd image" => {
            "cp \"$STATIC\" \"$context/hotadd\"\n"
        }
        "buildah build -t hotadd -f dist/oci/Containerfile image" => {
            "-t hotadd -f dist/oci/Containerfile \"$context\"\n"
        }
        _ => return false,
    };
    script.contains(does)
}

/// Whether a command is `cargo test` or `cargo bench` of a package and a file that exist.
fn is_test_or_bench(command: &str) -> bool {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    [("cargo test -p ", " --test ", "tests"), ("cargo bench -p ", " --bench ", "benches")]
        .iter()
        .any(|(start, option, folder)| {
            let words = command.strip_prefix(start).and_then(|rest| rest.split_once(option));
            words.is_some_and(|(package, rest)| {
                let name = rest.split(' ').next().unwrap_or_default();
                ["crates", "."].iter().any(|parent| {
                    // Two folders have no prefix.
                    let package = match package.strip_prefix("hotadd-") {
                        Some(short) if root.join(parent).join(short).is_dir() => short,
                        _ => package,
                    };
                    let file = root.join(parent).join(package).join(folder).join(name);
                    file.is_dir() || file.with_extension("rs").is_file()
                })
            })
        })
}

/// Whether a command runs an example of `hotadd` that a test of that crate runs too.
fn is_tested_example(command: &str) -> bool {
    let Some(rest) = command.strip_prefix("cargo run --release -p hotadd ") else { return false };
    let Some((_, name)) = rest.split_once("--example ") else { return false };
    let name = name.split(' ').next().unwrap_or_default();
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("../hotadd/tests");
    let tests = fs::read_dir(tests).unwrap().flatten();
    let mut sources = tests.filter_map(|test| fs::read_to_string(test.path()).ok());
    sources.any(|source| source.contains(&format!("#[path = \"../examples/{name}.rs\"]")))
}

fn run(command: &str, dir: &Path) -> std::process::Output {
    let path = format!("{}:{}", dir.display(), std::env::var("PATH").unwrap_or_default());
    let mut shell = Command::new("sh");
    shell
        .args(["-c", command])
        .current_dir(dir)
        .env("PATH", path)
        .env("XDG_RUNTIME_DIR", dir.join("run"));
    shell.output().expect("a shell")
}

#[test]
fn every_command_in_the_documentation_works_as_printed() {
    let dir = stage();
    let mut ran = 0;
    for (name, page) in PAGES {
        for (command, shown_for) in commands(page) {
            if is_walked(&command) {
                continue;
            }
            let makes = ["make -C crates/hotadd-nt/", "cp crates/", "kit/bin/"];
            if makes.iter().any(|start| command.starts_with(start)) {
                // This builds the example itself, unlike the one of the test folder.
                let made = Command::new("sh").args(["-c", &command]).current_dir(&dir).output();
                let made = made.expect("a shell");
                assert!(made.status.success(), "{name}: {command}: {}", stderr(&made));
                continue;
            }
            let Some(shown) = here(&command) else {
                // `./test` runs every test, and every bench once.
                let known = is_test_or_bench(&command);
                // The tests of the C library run the same installation.
                let known = known || command.starts_with("make -C crates/hotadd-c install ");
                let known = known || is_run_in_a_guest(&command);
                let known = known || is_tested_example(&command);
                let known = known || is_run_with_the_packages(&command);
                // Its tests run the program that the script starts.
                let known = known || command.starts_with("benches/peers/run");
                // Packages and tarballs are not there before a release. `tests/release` checks where both are looked for.
                let known = known || command.ends_with("install hotadd-cli");
                assert!(
                    known
                        || [
                            "./test",
                            "./test quick",
                            "./test lab",
                            "./test lab --long",
                            "./test packages"
                        ]
                        .contains(&&*command),
                    "{name} shows a command that is not tested: {command}"
                );
                continue;
            };
            let known_here = common::allowed().len() > 1 || !shown.contains("--add 1");
            if !known_here {
                skip(Need::TwoProcessors, &command);
                continue;
            }
            let output = run(&shown, &dir);
            assert!(output.status.success(), "{name}: {command}: {}", stderr(&output));
            if name == "docs/doctor.md" {
                let said = stdout(&output);
                for line in shown_for {
                    assert!(
                        said.lines().any(|one| one == line),
                        "{command}: no {line:?} in {said}"
                    );
                }
            }
            if shown.contains("--json") {
                assert_eq!(names(&events(&stdout(&output)))[0], "partition", "{command}");
            }
            ran += 1;
        }
    }
    fs::remove_dir_all(&dir).unwrap();
    assert!(ran >= 6, "only {ran} commands were found in the documentation");
}
