//! The Python package in `python/`: its wheel is built, installed in an environment of its own, and used.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::python::{has, python};
use crate::{beside, partition, refuses_by_name, root, stdout};

/// Copies a folder: building a wheel writes beside its sources.
fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), to).unwrap();
        }
    }
}

fn runs(command: &mut Command) {
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {said}");
}

/// Installs the wheel in an environment, whose Python this returns. jeepney comes from the environment that `./test` has made.
fn installed(folder: &Path) -> PathBuf {
    let sources = folder.join("sources");
    copy(&root().join("python"), &sources);
    let pip = |python: &Path| {
        let mut pip = Command::new(python);
        pip.args(["-m", "pip", "--quiet", "--disable-pip-version-check"]);
        pip
    };
    let wheels = folder.join("wheels");
    let build = ["wheel", "--no-deps", "--no-build-isolation", "--wheel-dir"];
    runs(pip(&python()).args(build).arg(&wheels).arg(&sources));
    let wheel = fs::read_dir(&wheels).unwrap().next().unwrap().unwrap().path();
    assert!(wheel.to_str().unwrap().ends_with("-py3-none-any.whl"), "no compiled part: {wheel:?}");

    let environment = folder.join("environment");
    runs(Command::new(python()).args(["-m", "venv", "--without-pip"]).arg(&environment));
    let site = fs::read_dir(environment.join("lib")).unwrap().next().unwrap().unwrap().path();
    let site = site.join("site-packages");
    runs(pip(&python()).args(["install", "--no-deps", "--target"]).arg(&site).arg(wheel));
    let jeepney = Command::new(python())
        .args(["-c", "import jeepney, os; print(os.path.dirname(jeepney.__path__[0]))"])
        .output()
        .unwrap();
    let beside = String::from_utf8(jeepney.stdout).unwrap();
    std::os::unix::fs::symlink(Path::new(beside.trim()).join("jeepney"), site.join("jeepney"))
        .unwrap();
    environment.join("bin/python")
}

/// Runs the programs of the package's README: one that reads, an agent, and one that makes requests.
fn the_readme_is_true(python: &Path) {
    let readme = fs::read_to_string(root().join("python/README.md")).unwrap();
    let blocks = readme.split("```python\n").skip(1).map(|rest| rest.split("```").next().unwrap());
    let [reads, agent, requests] = blocks.collect::<Vec<_>>()[..] else {
        panic!("the README has three programs")
    };
    let mut terminal = partition("readme");
    let program = |text: &str| {
        let mut program = Command::new(python);
        program.args(["-W", "error", "-c", &format!("import hotadd\n{text}")]);
        terminal.place(&mut program);
        program
    };
    runs(&mut program(reads));
    let (mut agent, mut requests) = (program(agent), program(requests));
    let agent = agent.stderr(Stdio::piped()).spawn().unwrap();
    assert_eq!(terminal.event("registered")["driver"], "pool");
    let refused = stdout(&terminal.hotadd(&["add", "3"]));
    assert!(
        refused.contains("pool refused to add processor 3: no memory for a fourth block"),
        "{refused}"
    );
    runs(&mut requests);
    assert!(stdout(&terminal.hotadd(&["status"])).contains("active: 0,2"), "the program adds one");
    terminal.end();
    let ended = agent.wait_with_output();
    let said = String::from_utf8(ended.unwrap().stderr).unwrap();
    assert!(said.contains("the connection to the partition was lost"), "{said}");
}

#[test]
fn the_wheel_is_built_installed_and_used() {
    let test = "the Python package";
    let there = |module, name| has(Command::new(python()), module, name, test);
    if !there("jeepney", "jeepney") || !there("setuptools", "setuptools") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let python = installed(folder.path());

    let mut agent = Command::new(&python);
    agent.arg(beside("agent_package.py")).arg("demo");
    refuses_by_name("package-agent", "agent_package.py", agent);

    the_readme_is_true(&python);
    let terminal = partition("package");
    let mut uses = Command::new(&python);
    uses.args(["-W", "error"]).arg(beside("uses_package.py")).arg("demo");
    terminal.place(&mut uses);
    let output = uses.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.is_empty(), "{said}");
    assert_eq!(output.stdout, b"done\n");
}
