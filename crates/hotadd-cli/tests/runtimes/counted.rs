//! What runtimes of languages notice by themselves.

use hotadd_testing::Need;

use super::program::{Program, at_hand, built, built_by_go, built_by_mcs, text};

#[test]
fn python_counts_the_machine_and_its_affinity_mask_grows() {
    for python in ["python3", "python3.13"] {
        python_counts(python);
    }
}

fn python_counts(python: &'static str) {
    if !at_hand(python, "--version") {
        return;
    }
    let Some(mut program) = Program::start(python, &[python, &text("counts.py")]) else { return };
    let before = program.says("start");
    assert_eq!(before.number("sched_getaffinity"), 1);
    program.add();
    let after = program.says("joined");
    assert_eq!(after.number("sched_getaffinity"), 2, "the new processor is counted");
    let [machine, later] = after.numbers(["cpu_count", "later"]);
    assert_eq!(machine, before.number("cpu_count"), "os.cpu_count counts the machine");
    let fixed = ["pool", "executor"];
    assert_eq!(after.numbers(fixed), before.numbers(fixed), "pools are created once");
    if after.number("minor") < 13 {
        assert_eq!(after.numbers(fixed), [machine, machine + 4], "pools count the machine");
        assert_eq!(later, machine);
    } else {
        let name = "process_cpu_count";
        assert_eq!((before.number(name), after.number(name)), (1, 2), "the mask is counted");
        assert_eq!((after.numbers(fixed), later), ([1, 5], 2), "pools count the mask");
    }
    program.end();
}

#[test]
fn openmp_of_gcc_keeps_its_number_of_threads_until_it_is_set() {
    let dir = tempfile::tempdir().unwrap();
    let need = Some(Need::OpenMp);
    let built = built(dir.path(), &text("counts.c"), "gcc", &["-fopenmp"], need);
    let Some(mut program) = built.and_then(|built| Program::start("openmp", &[&built])) else {
        return;
    };
    let before = program.says("start");
    assert_eq!(before.numbers(["num_procs", "max_threads"]), [1, 1]);
    program.add();
    let after = program.says("joined");
    assert_eq!(after.number("num_procs"), 2, "the new processor is counted");
    assert_eq!(after.numbers(["max_threads", "team"]), [1, 1], "they do not");
    let told = program.says("told");
    assert_eq!(told.numbers(["max_threads", "team"]), [2, 2], "by omp_set_num_threads");
    program.end();
}

#[test]
fn openmp_of_clang_counts_once_and_can_be_set() {
    let dir = tempfile::tempdir().unwrap();
    let need = Some(Need::Library("libomp"));
    let built = built(dir.path(), &text("counts.c"), "clang", &["-fopenmp"], need);
    let Some(mut program) = built.and_then(|built| Program::start("libomp", &[&built])) else {
        return;
    };
    let names = ["num_procs", "max_threads", "team"];
    assert_eq!(program.says("start").numbers(names), [1, 1, 1]);
    program.add();
    assert_eq!(program.says("joined").numbers(names), [1, 1, 1], "nothing is counted again");
    assert_eq!(program.says("told").numbers(names), [1, 2, 2], "by omp_set_num_threads");
    program.end();
}

#[test]
fn tbb_counts_once_and_an_arena_can_be_larger() {
    let dir = tempfile::tempdir().unwrap();
    let need = Some(Need::Library("libtbb"));
    let built = built(dir.path(), &text("counts.cpp"), "g++", &["-ltbb"], need);
    let Some(mut program) = built.and_then(|built| Program::start("tbb", &[&built])) else {
        return;
    };
    let names = ["default_concurrency", "max_concurrency", "at_once"];
    assert_eq!(program.says("start").numbers(names), [1, 1, 1]);
    program.add();
    assert_eq!(program.says("joined").numbers(names), [1, 1, 1], "nothing is counted again");
    assert_eq!(program.says("told").numbers(names), [1, 2, 2], "in an arena of two");
    program.end();
}

#[test]
fn a_jvm_sees_the_new_processor_except_in_its_common_pool() {
    if !at_hand("java", "-version") {
        return;
    }
    let Some(mut program) = Program::start("java", &["java", &text("Counts.java")]) else { return };
    let before = program.says("start");
    assert_eq!(before.numbers(["availableProcessors", "serial", "newPool"]), [1, 1, 1]);
    program.add();
    let after = program.says("joined");
    assert_eq!(after.number("availableProcessors"), 2, "the new processor is counted");
    assert_eq!(after.number("newPool"), 2, "by pools that are created later too");
    let pool = "commonPool";
    assert_eq!(after.number(pool), before.number(pool), "the common pool is created once");
    assert_eq!(after.number("serial"), 1, "the collector is chosen once");
    program.end();
}

#[test]
fn node_sees_the_new_processor_except_in_its_thread_pool() {
    if !at_hand("node", "--version") {
        return;
    }
    let Some(mut program) = Program::start("node", &["node", &text("counts.js")]) else { return };
    let before = program.says("start");
    assert_eq!(before.number("availableParallelism"), 1);
    program.add();
    let after = program.says("joined");
    assert_eq!(after.number("availableParallelism"), 2, "the new processor is counted");
    assert_eq!(after.number("cpus"), before.number("cpus"), "os.cpus counts the machine");
    assert_eq!(after.number("pool"), 4, "libuv's pool always has this size");
    program.end();
}

#[test]
fn go_keeps_gomaxprocs_until_it_is_set_or_is_new_enough_to_count_again() {
    let dir = tempfile::tempdir().unwrap();
    let Some(built) = built_by_go(dir.path(), &text("counts.go")) else { return };
    let Some(mut program) = Program::start("go", &[&built]) else { return };
    let before = program.says("start");
    assert_eq!(before.numbers(["NumCPU", "GOMAXPROCS"]), [1, 1]);
    program.add();
    let after = program.says("joined");
    assert_eq!(after.number("NumCPU"), 1, "NumCPU is read once");
    if after.number("minor") < 25 {
        assert_eq!(after.number("GOMAXPROCS"), 1, "GOMAXPROCS is also set once");
    } else {
        assert_eq!(after.number("GOMAXPROCS"), 2, "it is counted again, at most once a second");
    }
    assert_eq!(program.says("told").number("GOMAXPROCS"), 2, "by runtime.GOMAXPROCS");
    program.end();
}

#[test]
fn mono_counts_again_and_dot_net_does_not_and_the_pool_of_both_can_be_set() {
    for (runtime, counted) in [("mono", 2), ("dotnet", 1)] {
        let dir = tempfile::tempdir().unwrap();
        let Some(command) = built_by_mcs(dir.path(), &text("counts.cs"), runtime) else { continue };
        let Some(mut program) = Program::start_with_page(runtime, |_| command) else { return };
        let names = ["ProcessorCount", "minThreads"];
        assert_eq!(program.says("start").numbers(names), [1, 1]);
        program.add();
        assert_eq!(program.says("joined").numbers(names), [counted, 1], "the pool is not resized");
        assert_eq!(program.says("told").numbers(names), [counted, 2], "by SetMinThreads");
        program.end();
    }
}
