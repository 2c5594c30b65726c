//! Programs that are written from the headers alone, with each compiler, under sanitizers and valgrind.
#![cfg(target_os = "linux")]

mod common;

use std::path::Path;
use std::process::Command;

use common::{has, installed, run, text};
use hotadd_testing::{Need, skip};

/// Builds and runs a program in each way, which prints "done" at its end.
fn every_way(source: &str, compilers: [&'static str; 2], standard: &str) {
    for compiler in compilers {
        if has(compiler, source) {
            let program = installed().compile(compiler, &[standard], source);
            done(Command::new(&program));
            if compiler.starts_with('g') && has("valgrind", source) {
                done(valgrind(&program));
            }
        }
    }
    let sanitizers = [standard, "-fsanitize=address,undefined", "-fno-sanitize-recover=all"];
    if has_sanitizers(compilers[0]) {
        done(Command::new(installed().compile(compilers[0], &sanitizers, source)));
    } else {
        skip(Need::Program("sanitizers"), source);
    }
}

fn has_sanitizers(compiler: &str) -> bool {
    let folder = tempfile::TempDir::new().unwrap();
    let source = folder.path().join("empty.c");
    std::fs::write(&source, "int main(void) { return 0; }\n").unwrap();
    let mut command = Command::new(compiler);
    command.arg("-fsanitize=address,undefined").arg(&source).arg("-o");
    command.arg(folder.path().join("empty")).output().is_ok_and(|output| output.status.success())
}

/// Invalid accesses, and memory to which nothing points any more. The standard library of Rust points into blocks, which valgrind
/// calls possibly lost.
fn valgrind(program: &Path) -> Command {
    let mut valgrind = Command::new("valgrind");
    valgrind.args(["-q", "--leak-check=full", "--show-leak-kinds=definite"]);
    valgrind.args(["--errors-for-leak-kinds=definite", "--error-exitcode=9"]).arg(program);
    valgrind
}

fn done(mut command: Command) {
    let said = text(&run(&mut command).stdout);
    assert_eq!(said, "done\n", "{command:?}");
}

const C: [&str; 2] = ["gcc", "clang"];

#[test]
fn callbacks_hear_adds_and_removals_and_refuse_with_reasons() {
    every_way("tests/c/notices.c", C, "-std=c99");
}

#[test]
fn in_descriptor_mode_every_callback_runs_on_the_thread_that_dispatches() {
    every_way("tests/c/loop.c", C, "-std=c99");
}

#[test]
fn d3_callbacks_stop_registrations_and_nothing_deadlocks() {
    every_way("tests/c/inside.c", C, "-std=c99");
}

#[test]
fn d2_wrong_arguments_and_stale_handles_are_errors() {
    every_way("tests/c/wrong.c", C, "-std=c99");
}

#[test]
fn a_forked_child_is_told_that_it_cannot_use_the_library() {
    every_way("tests/c/forked.c", C, "-std=c99");
}

#[test]
fn x3_every_processor_has_a_block_from_before_it_joins_and_keeps_it() {
    every_way("tests/c/table.c", C, "-std=c99");
}

#[test]
fn a_program_is_told_how_many_threads_a_pool_should_have() {
    every_way("tests/c/parallelism.c", C, "-std=c99");
}

#[test]
fn the_classes_for_cpp_give_back_what_they_hold_and_turn_exceptions_into_refusals() {
    every_way("tests/cpp/wrapper.cpp", ["g++", "clang++"], "-std=c++17");
}
