//! What memory allocators notice by themselves. jemalloc and tcmalloc are preloaded, so their headers are not needed.

use std::path::Path;
use std::process::Command;

use hotadd_testing::{Need, skip};

use super::program::{Program, built, text};

/// Builds this program in this folder, and starts it with this library and this variable.
fn start(dir: &Path, source: &str, library: &'static str, setting: &str) -> Option<Program> {
    let built = built(dir, &text(source), "gcc", &["-Wall", "-Wextra", "-Werror"], None)?;
    let preload = format!("LD_PRELOAD={library}");
    // The loader goes on without a library that is not there, and says so.
    let tried = Command::new("env").args([&preload, "true"]).output().unwrap();
    if !tried.stderr.is_empty() {
        skip(Need::Library(library), "what this allocator notices");
        return None;
    }
    Program::start(source, &["env", &preload, setting, &built])
}

#[test]
fn the_c_librarys_malloc_fixes_its_limit_of_arenas_when_it_first_needs_it() {
    let dir = tempfile::tempdir().unwrap();
    let flags = ["-Wall", "-Wextra", "-Werror"];
    let Some(built) = built(dir.path(), &text("glibc.c"), "gcc", &flags, None) else { return };
    let Some(mut program) = Program::start("glibc", &[&built]) else { return };
    let before = program.says("start");
    // Eight for each processor: of the machine, or in glibc 2.34 of the mask.
    let fixed = before.number("arenas");
    assert!([8, before.number("online") * 8].contains(&fixed), "{}", before.text());
    program.add();
    assert_eq!(program.says("joined").number("arenas"), fixed, "it is not counted again");
    assert_eq!(program.says("told").number("arenas"), fixed, "mallopt comes too late");
    program.end();

    let Some(mut program) = Program::start("glibc-early", &[&built, "3"]) else { return };
    assert_eq!(program.says("start").number("arenas"), 4, "one for each thread");
    program.add();
    assert_eq!(program.says("joined").number("arenas"), 40, "mallopt before the ninth arena");
    program.end();
}

#[test]
fn jemalloc_counts_once_and_new_threads_can_have_new_arenas() {
    let dir = tempfile::tempdir().unwrap();
    let program = start(dir.path(), "jemalloc.c", "libjemalloc.so.2", "MALLOC_CONF=");
    let Some(mut program) = program else { return };
    let names = ["percpu", "opt", "arena"];
    assert_eq!(program.says("start").numbers(names), [0, 1, 0], "all threads share one arena");
    program.add();
    assert_eq!(program.says("joined").numbers(names), [0, 1, 0], "also on the new processor");
    let told = program.says("told");
    assert_eq!(told.number("arenas"), told.number("arena") + 1, "by arenas.create, thread.arena");
    program.end();
}

#[test]
fn jemalloc_puts_a_processor_beyond_its_arenas_for_each_processor_into_the_arena_of_huge_allocations()
 {
    if !Need::FirstTwo.is_met("jemalloc's arenas for each processor") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    for arenas in [1, 2] {
        let setting = format!("MALLOC_CONF=percpu_arena:percpu,narenas:{arenas}");
        let program = start(dir.path(), "jemalloc.c", "libjemalloc.so.2", &setting);
        let Some(mut program) = program else { return };
        let before = program.says("start");
        assert_eq!(before.numbers(["percpu", "opt", "arena"]), [1, arenas, 0]);
        program.add();
        let after = program.says("joined");
        let [arena, huge] = after.numbers(["arena", "huge"]);
        if arenas == 2 {
            assert_eq!((arena, huge), (1, 2), "with enough arenas each processor has its own");
        } else if after.number("version") <= 503 {
            // https://github.com/jemalloc/jemalloc/pull/2996 describes and repairs this.
            assert_eq!((arena, huge), (1, 1), "an arena that is not for small allocations");
        }
        program.end();
    }
}

#[test]
fn tcmalloc_of_gperftools_has_caches_for_threads_and_does_not_count() {
    let dir = tempfile::tempdir().unwrap();
    let program = start(dir.path(), "tcmalloc.c", "libtcmalloc_minimal.so.4", "MALLOC_CONF=");
    let Some(mut program) = program else { return };
    let before = program.says("start").number("cache_mib");
    program.add();
    assert_eq!(program.says("joined").number("cache_mib"), before, "the limit stays");
    assert_eq!(program.says("told").number("cache_mib"), 64, "until it is set");
    program.end();
}
