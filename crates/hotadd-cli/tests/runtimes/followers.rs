//! The lines that make a runtime follow (examples/follow): a program on one processor uses both when a second one joins.

use hotadd_testing::Need;

use super::program::{Program, at_hand, built, built_by_go, built_by_mcs, example};

/// Starts the example on one processor, adds one, and observes that the example uses both.
fn follows(name: &str, command: Vec<String>) {
    let program = Program::start_with_page(name, |page| [command, vec![page.to_owned()]].concat());
    let Some(mut program) = program else { return };
    assert_eq!(program.says("workers").text(), "1", "{name} starts with one processor");
    program.add();
    assert_eq!(program.says("workers").text(), "2", "{name} is told by the page");
    program.uses_two_processors();
    program.stop();
}

#[test]
fn a_python_pool_follows() {
    if at_hand("python3", "--version") {
        follows("follow-python", vec!["python3".to_owned(), example("follow.py")]);
    }
}

#[test]
fn a_go_program_follows() {
    let dir = tempfile::tempdir().unwrap();
    if let Some(built) = built_by_go(dir.path(), &example("follow.go")) {
        follows("follow-go", vec![built]);
    }
}

#[test]
fn a_java_pool_follows() {
    if at_hand("java", "-version") {
        follows("follow-java", vec!["java".to_owned(), example("Follow.java")]);
    }
}

#[test]
fn node_workers_follow() {
    if at_hand("node", "--version") {
        follows("follow-node", vec!["node".to_owned(), example("follow.js")]);
    }
}

#[test]
fn an_openmp_program_follows_with_either_library() {
    for (compiler, need) in [("gcc", Need::OpenMp), ("clang", Need::Library("libomp"))] {
        let dir = tempfile::tempdir().unwrap();
        let flags = ["-fopenmp", "-Wall", "-Wextra", "-Werror"];
        let source = example("openmp.c");
        if let Some(built) = built(dir.path(), &source, compiler, &flags, Some(need)) {
            follows(&format!("follow-openmp-{compiler}"), vec![built]);
        }
    }
}

#[test]
fn a_c_sharp_program_follows_in_mono_and_dot_net() {
    for runtime in ["mono", "dotnet"] {
        let dir = tempfile::tempdir().unwrap();
        if let Some(command) = built_by_mcs(dir.path(), &example("Follow.cs"), runtime) {
            follows(&format!("follow-{runtime}"), command);
        }
    }
}
