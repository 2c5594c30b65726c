//! Native drivers.

use hotadd_verify::report::Place;
use hotadd_verify::symbols::Symbols;

use crate::built::{Built, CALL, LINES, all, at, call, mark, marks, named};

#[test]
fn a_native_driver_has_functions_files_and_lines() {
    let built = Built::new();
    let driver = built.so("-g");
    assert_eq!(marks(&driver), all());
    assert_eq!(Symbols::open(&driver).note(), None);
    assert_eq!(marks(&built.so("-g -gdwarf-4")), all());
    assert_eq!(marks(&built.so("-g -O2")), all());
}

#[test]
fn an_offset_is_that_of_the_call_itself() {
    let built = Built::new();
    for flags in ["-g -O0", "-g", "-g -O2"] {
        assert_eq!(call(&built.so(flags)), at("DriverEntry", "percpu.c", CALL), "{flags}");
    }
}

#[test]
fn clang_writes_the_same() {
    let built = Built::new();
    built.run("clang -g -O1 -shared -fPIC -fuse-ld=lld percpu.c -o percpu.so");
    assert_eq!(marks(&built.path("percpu.so")), all());
}

#[test]
fn compressed_sections_are_read() {
    let built = Built::new();
    assert_eq!(marks(&built.so("-g -gz")), all());
}

#[test]
fn offsets_count_from_the_lowest_address() {
    let built = Built::new();
    let driver = built.so("-g -Wl,-Ttext-segment=0x7650000");
    assert!(mark(&driver, 1) < 0x10000);
    assert_eq!(marks(&driver), all());
}

#[test]
fn without_debugging_information_there_is_the_function() {
    let built = Built::new();
    let driver = built.so("");
    let expected = [named("start"), named("start"), named("DriverEntry")];
    assert_eq!(marks(&driver), expected);
    let note = Symbols::open(&driver).note().unwrap().to_owned();
    assert_eq!(note, "percpu.so has no debugging information; compile and link it with -g");
    // A stripped driver still has the names that it exports.
    built.run("strip percpu.so");
    assert_eq!(marks(&driver)[2], named("DriverEntry"));
    assert_eq!(marks(&driver)[0], None);
}

#[test]
fn names_of_cpp_are_readable() {
    let built = Built::new();
    let source = crate::built::SOURCE
        .replace("OWN void start(", "namespace pool { __attribute__((noinline)) void start(");
    let source = source.replace("    MARK(2);\n    sink++;\n}", "    MARK(2);\n    sink++;\n} }");
    let source = source.replace("    start();", "    pool::start();");
    std::fs::write(built.path("percpu.c"), source).unwrap();
    built.run("g++ -x c++ -g -O1 -shared -fPIC percpu.c -o percpu.so");
    assert_eq!(marks(&built.path("percpu.so"))[1], at("pool::start()", "percpu.c", LINES[1]));
}

#[test]
fn a_place_is_filled_as_far_as_it_is_known() {
    let built = Built::new();
    let driver = built.so("-g");
    let symbols = Symbols::open(&driver);
    let mut place =
        Place { module: "percpu.so".into(), offset: mark(&driver, 2), ..Place::default() };
    symbols.fill(&mut place);
    assert_eq!(place.to_string(), format!("start (percpu.c:{})", LINES[1]));

    for offset in [0, 8, u64::MAX, u64::MAX - 0xfff, 1 << 40] {
        let before = Place { module: "percpu.so".into(), offset, ..Place::default() };
        let mut place = before.clone();
        symbols.fill(&mut place);
        assert_eq!(place, before, "there is no code at {offset:#x}");
    }
}
