//! The sample drivers: both forms build from one source, and the committed .sys files are what the sources give.

#[path = "headers/tools.rs"]
#[allow(dead_code, reason = "the other test uses the rest")]
mod tools;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use tools::{STRICT, Scratch, WINDOWS, ok, path};

const FAULTS: [&str; 14] = [
    "null",
    "stack",
    "loop",
    "fastfail",
    "bugcheck",
    "spinlock",
    "import",
    "doublefree",
    "leak",
    "registered",
    "failentry",
    "nounload",
    "raise",
    "early",
];

const SAMPLES: [&str; 6] = ["percpu", "veto", "hello", "aimed", "callback", "seh"];

/// The function that fault-import calls and that does not exist.
const NOBODYS: &str = "KeNobodyProvidesThis";

/// The names without extension of all drivers that have a .sys.
fn drivers() -> BTreeSet<String> {
    let faults = FAULTS.map(|fault| format!("fault-{fault}"));
    faults.into_iter().chain(SAMPLES.map(str::to_owned)).collect()
}

fn make(arguments: &str) {
    ok("make", &format!("--silent -C samples {arguments}"));
}

/// The names that the headers declare, and those of a driver's own C library.
fn provided() -> BTreeSet<String> {
    let listed = fs::read_to_string(path("include/exports.txt")).expect("include/exports.txt");
    let names = listed.lines().map(|line| {
        let head = line.split('(').next().expect("a line");
        head.rsplit([' ', '*']).next().expect("a name").to_owned()
    });
    names.chain(["memset", "memcpy", "memmove", "memcmp", "strlen"].map(str::to_owned)).collect()
}

/// The names that a .sys imports, all of them from ntoskrnl.exe.
fn imports(sys: &Path) -> BTreeSet<String> {
    let dump = ok("x86_64-w64-mingw32-objdump", &format!("-p {}", sys.display()));
    let mut found = BTreeSet::new();
    for line in dump.lines() {
        if let Some(library) = line.trim().strip_prefix("DLL Name: ") {
            assert_eq!(library, "ntoskrnl.exe", "{} imports from elsewhere", sys.display());
        }
        let words: Vec<&str> = line.split_whitespace().collect();
        if let (true, &[_, hint, name]) = (line.starts_with('\t'), &words[..])
            && hint.parse::<u16>().is_ok()
        {
            found.insert(name.to_owned());
        }
    }
    found
}

/// The first lines of the compilers' version output, as in fixtures/compilers.
fn compilers() -> String {
    let tools = [WINDOWS, "x86_64-w64-mingw32-ld", "clang", "lld-link"];
    let first = |tool| ok(tool, "--version").lines().next().expect("a version").to_owned() + "\n";
    tools.map(first).concat()
}

#[test]
fn fixtures_are_rebuilt_byte_for_byte() {
    let scratch = Scratch::new("fixtures");
    make(&format!("OUT={} windows seh", scratch.0.display()));
    let same =
        compilers() == fs::read_to_string(path("samples/fixtures/compilers")).expect("compilers");
    for driver in drivers() {
        let file = format!("{driver}.sys");
        let committed = path("samples/fixtures").join(&file);
        let built = scratch.file(&file);
        // Another compiler may generate other code, but must not call other functions.
        assert_eq!(imports(&built), imports(&committed), "{file} imports something else now");
        if same {
            let equal =
                fs::read(&built).expect("a build") == fs::read(&committed).expect("a fixture");
            assert!(
                equal,
                "{file} is not what its source gives: make -C samples OUT=fixtures windows seh"
            );
        }
    }
    let committed: BTreeSet<_> = fs::read_dir(path("samples/fixtures"))
        .expect("fixtures")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|e| e == "sys"))
        .map(|path| path.file_stem().expect("a name").to_str().expect("text").to_owned())
        .collect();
    assert_eq!(committed, drivers(), "a fixture without a source, or the other way round");
}

#[test]
fn fixtures_import_only_what_the_headers_declare() {
    for driver in drivers() {
        let mut imports = imports(&path("samples/fixtures").join(format!("{driver}.sys")));
        let registers = match driver.as_str() {
            "callback" => "ExRegisterCallback",
            _ => "KeRegisterProcessorChangeCallback",
        };
        assert!(imports.contains(registers), "{driver} does not register");
        assert_eq!(imports.remove("__C_specific_handler"), driver == "seh", "{driver}: exceptions");
        assert_eq!(
            imports.remove(NOBODYS),
            driver == "fault-import",
            "{driver}: the missing import"
        );
        let provided = provided();
        let unknown: Vec<_> = imports.difference(&provided).collect();
        assert!(unknown.is_empty(), "{driver} imports {unknown:?}");
    }
}

#[test]
fn native_drivers_build_and_need_only_what_the_headers_declare() {
    for compiler in ["gcc", "clang"] {
        let scratch = Scratch::new(&format!("native-{compiler}"));
        make(&format!("CC={compiler} OUT={} native", scratch.0.display()));
        for driver in drivers().into_iter().filter(|driver| driver != "seh") {
            let library = scratch.file(&format!("{driver}.so"));
            let symbols = ok("nm", &format!("-D {}", library.display()));
            assert!(
                symbols.contains(" T DriverEntry"),
                "{driver}.so has no DriverEntry: {symbols}"
            );
            let mut needed: BTreeSet<String> = symbols
                .lines()
                .filter_map(|line| line.trim().strip_prefix("U "))
                .map(|name| name.split('@').next().expect("a name").to_owned())
                .collect();
            assert_eq!(
                needed.remove(NOBODYS),
                driver == "fault-import",
                "{driver}: the missing import"
            );
            let provided = provided();
            let unknown: Vec<_> = needed.difference(&provided).collect();
            assert!(unknown.is_empty(), "{compiler}: {driver}.so needs {unknown:?}");
        }
    }
}

/// seh.c has no native form, but its source must compile without warnings.
#[test]
fn structured_exceptions_need_the_windows_target() {
    let arguments = format!("{STRICT} @include/native.flags -Iinclude -fsyntax-only samples/seh.c");
    let output = tools::run("clang", &arguments);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(errors.contains("'__try' is not supported on this target"), "natively: {errors}");
    let arguments = format!("{STRICT} @samples/seh.flags -Iinclude -fsyntax-only samples/seh.c");
    ok("clang", &arguments);
}

#[test]
fn commands_of_the_documentation_work() {
    let scratch = Scratch::new("documented");
    for folder in ["include", "samples"] {
        ok("cp", &format!("-r {folder} {}", scratch.0.display()));
    }
    let page = fs::read_to_string(path("include/README.md")).expect("include/README.md");
    let commands: Vec<&str> = page.lines().filter_map(|line| line.strip_prefix("$ ")).collect();
    assert_eq!(commands.len(), 5, "{commands:?}");
    for command in commands {
        let mut shell = std::process::Command::new("sh");
        let output = shell.args(["-c", command]).current_dir(&scratch.0).output().expect("a shell");
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{command}\n{errors}");
    }
    for built in ["percpu.so", "percpu.sys", "samples/out/percpu.so", "samples/out/seh.sys"] {
        assert!(scratch.file(built).exists(), "{built} was not built");
    }
}
