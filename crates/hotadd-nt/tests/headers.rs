//! The headers for Windows drivers: the same sources compile with ours, natively, and with mingw-w64's, with
//! the same meaning.

#[path = "headers/tools.rs"]
mod tools;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use tools::{STRICT, Scratch, WINDOWS, native, ok, path, run, sources, windows};

/// Sources that run on Linux.
const NATIVE_ONLY: [&str; 2] = ["inline.c", "inline_more.c"];

/// Sources with what mingw-w64's headers lack: headers, annotations, atomic operations.
const NOT_FOR_MINGW: [&str; 6] =
    ["all_headers.c", "annotations.c", "hosted.c", "idioms_msvc.c", "intrinsics.c", "services.c"];

/// Headers that only open or close something, so they are not read alone.
const NOT_ALONE: [&str; 5] = ["pshpack1.h", "pshpack2.h", "pshpack4.h", "pshpack8.h", "poppack.h"];

fn is(source: &Path, names: &[&str]) -> bool {
    names.iter().any(|name| source.ends_with(name))
}

fn compiles(compiler: &str, arguments: &str, source: &Path) {
    let output = native(compiler, &format!("{arguments} -fsyntax-only {}", source.display()));
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{compiler} {arguments} {}\n{errors}", source.display());
}

/// Each source is compiled with `DBG` once as C and once as C++.
#[test]
fn c_sources_compile_natively_as_c_and_as_cpp() {
    for source in sources("c") {
        compiles("gcc", "-O0 -DDBG=1", &source);
        compiles("clang", "-O2", &source);
        if !is(&source, &NATIVE_ONLY) {
            compiles("g++", "-O2 -x c++", &source);
            compiles("clang++", "-O2 -x c++ -DDBG=1", &source);
        }
    }
}

#[test]
fn the_headers_compile_with_every_standard_from_c89_and_cpp11_on() {
    let source = Path::new("tests/headers/idioms.c");
    for standard in ["gnu89", "c99", "c11", "c17"] {
        compiles("gcc", &format!("-std={standard}"), source);
        compiles("clang", &format!("-std={standard}"), source);
    }
    for standard in ["c++11", "c++17", "c++20"] {
        compiles("g++", &format!("-x c++ -std={standard}"), source);
        compiles("clang++", &format!("-x c++ -std={standard}"), source);
    }
}

#[test]
fn cpp_sources_compile_natively() {
    for source in sources("cpp") {
        for compiler in ["g++", "clang++"] {
            compiles(compiler, "-O2 -fno-exceptions -fno-rtti", &source);
            compiles(compiler, "-O2 -DDBG=1", &source);
        }
    }
}

/// This includes layout.c: embedded structures have the same sizes and offsets with both.
#[test]
fn the_same_sources_compile_with_mingws_headers() {
    let scratch = Scratch::new("mingw");
    // Reading these takes nearly all of a compilation, so it is done once.
    let headers = ["ntddk.h", "ntifs.h"].map(|header| {
        let read = scratch.file(header);
        let include = format!("#include <{header}>");
        fs::write(&read, format!("{include}\n")).expect("a header");
        let into = format!("-c {0} -o {0}.gch", read.display());
        ok(WINDOWS, &format!("{} -x c-header {into}", windows()));
        (include, format!("-Winvalid-pch -include {}", read.display()))
    });
    for source in sources("c") {
        if !is(&source, &NATIVE_ONLY) && !is(&source, &NOT_FOR_MINGW) {
            let text = fs::read_to_string(&source).expect("a source");
            // A source that begins with another header is compiled without.
            let first = text.lines().find(|line| line.starts_with('#')).unwrap_or_default();
            let read = headers.iter().find(|(include, _)| first.trim_end() == include);
            let read = read.map_or("", |(_, read)| read);
            ok(WINDOWS, &format!("{} {read} -fsyntax-only {}", windows(), source.display()));
        }
    }
}

/// With our headers, for clang's Windows target, into files that Windows and this host load. The import library is made
/// from the list of all exports, so a function that is declared and not exported does not link.
#[test]
fn the_same_sources_become_drivers_for_windows_without_another_kit() {
    let scratch = Scratch::new("windows");
    let library = scratch.file("hotadd.lib");
    ok("llvm-dlltool", &format!("-m i386:x86-64 -d include/hotadd.def -l {}", library.display()));
    let (object, driver) = (scratch.file("driver.obj"), scratch.file("driver.sys"));
    let compile = |arguments: &str, source: &Path| {
        let arguments = format!(
            "{STRICT} @include/windows.flags -O2 -Iinclude {arguments} -c {} -o {}",
            source.display(),
            object.display()
        );
        ok("clang", &arguments);
        // Not every source has a DriverEntry, and all that a source calls must be there.
        let arguments = format!(
            "/nologo /driver /dll /noentry /subsystem:native /nodefaultlib /opt:noref /out:{} {} {}",
            driver.display(),
            object.display(),
            library.display()
        );
        ok("lld-link", &arguments);
    };
    for source in sources("c").iter().filter(|source| !is(source, &NATIVE_ONLY)) {
        compile("", source);
        compile("-x c++ -DDBG=1", source);
    }
    for source in sources("cpp").iter().filter(|source| !is(source, &["stl.cpp"])) {
        compile("-fno-exceptions -fno-rtti", source);
    }
}

/// A variable of the host is read through the import table, also one that contains the address of another.
#[test]
fn variables_are_imported_as_data() {
    let scratch = Scratch::new("data");
    let source = scratch.file("data.c");
    let text = "#include <ntddk.h>\nextern POBJECT_TYPE *PsThreadType;\n\
                EXTERN_C PVOID Read(PULONG Count);\n\
                PVOID Read(PULONG Count)\n{\n    *Count = (ULONG)KeNumberProcessors;\n    return *PsThreadType;\n}\n";
    fs::write(&source, text).expect("a source");
    let arguments =
        format!("{STRICT} @include/windows.flags -O2 -Iinclude -S -o - {}", source.display());
    let assembly = ok("clang", &arguments);
    for slot in ["__imp_KeNumberProcessors", "__imp_PsThreadType"] {
        assert!(assembly.contains(slot), "{slot} is not read:\n{assembly}");
    }
}

#[test]
fn a_wrong_layout_does_not_compile() {
    let output =
        native("gcc", "-fsyntax-only -D_KEVENT=_KDPC -DKEVENT=KDPC tests/headers/layout.c");
    assert!(!output.status.success(), "layout.c takes a KDPC for a KEVENT");
    let output = native("gcc", "-fsyntax-only -fno-short-wchar tests/headers/layout.c");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(
        errors.contains("compile with -fshort-wchar"),
        "32-bit characters are not noticed: {errors}"
    );
}

#[test]
fn inline_functions_behave_as_documented() {
    let scratch = Scratch::new("inline");
    for (compiler, level) in [("gcc", "-O0"), ("gcc", "-O2"), ("clang", "-O0"), ("clang", "-O2")] {
        for source in NATIVE_ONLY {
            let program = scratch.file(&format!("{compiler}{level}"));
            let output = native(
                compiler,
                &format!("{level} tests/headers/{source} -o {}", program.display()),
            );
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            let output = run(program.to_str().expect("a path"), "");
            let failed = String::from_utf8_lossy(&output.stdout);
            assert_eq!(
                output.status.code(),
                Some(0),
                "{compiler} {level} {source}: what does not hold:\n{failed}"
            );
        }
    }
}

/// Which headers a header needs does not depend on the compiler: gcc reads each alone, and clang all in one source.
#[test]
fn each_header_compiles_alone_and_includes_no_c_library_header() {
    let scratch = Scratch::new("alone");
    let headers = ["include", "include/nt"].map(|folder| fs::read_dir(path(folder)));
    let headers = headers.into_iter().flat_map(|folder| folder.expect("headers"));
    let headers = headers.map(|entry| entry.expect("a header").path()).filter(|header| {
        // strsafe.h is the body of ntstrsafe.h.
        header.extension().is_some_and(|e| e == "h")
            && !header.ends_with("nt/strsafe.h")
            && !is(header, &NOT_ALONE)
    });
    let headers: Vec<String> =
        headers.map(|header| format!("-include {}", header.display())).collect();
    assert!(headers.len() > 100, "only {} headers", headers.len());
    let all = [headers.join(" ")];
    for (compiler, sets) in [("gcc", &headers[..]), ("clang", &all)] {
        let own = ok(compiler, "-print-file-name=include");
        let own = fs::canonicalize(own.trim()).expect("the compiler's own headers");
        for set in sets {
            let list = scratch.file("read");
            let arguments = format!("-x c -MD -MF {} {set}", list.display());
            compiles(compiler, &arguments, Path::new("/dev/null"));
            let rule = fs::read_to_string(&list).expect("the files that were read");
            let read = rule.split_once(':').expect("a rule").1;
            for file in read.split_whitespace().filter(|word| *word != "\\") {
                // The empty source, and what gcc reads before every source.
                if ["/dev/null", "/usr/include/stdc-predef.h"].contains(&file) {
                    continue;
                }
                let file = fs::canonicalize(path(file)).expect("a file that was read");
                assert!(
                    file.starts_with(path("include")) || file.starts_with(&own),
                    "{compiler} {set} includes {}",
                    file.display()
                );
            }
        }
    }
}

/// The macros of a set of headers that are numbers.
fn numbers(defined: &str) -> BTreeMap<&str, &str> {
    let lines = defined.lines().filter_map(|line| line.strip_prefix("#define ")?.split_once(' '));
    lines
        .filter(|(name, value)| {
            let value = value.trim_matches(['(', ')']);
            let value = ["NTSTATUS)", "ULONG)", "LONG)"]
                .iter()
                .find_map(|cast| value.strip_prefix(cast))
                .unwrap_or(value);
            let value = value.trim_start_matches(['(', '-']);
            !name.contains('(')
                && !name.starts_with('_')
                && value.starts_with(|c: char| c.is_ascii_digit())
                && value.chars().all(|c| c.is_ascii_hexdigit() || "xXuUlL".contains(c))
        })
        .collect()
}

/// The values of `long long NAME = MACRO;`, read from the compiler's assembly.
fn values(assembly: &str) -> BTreeMap<String, i64> {
    let mut found = BTreeMap::new();
    let mut name = None;
    for line in assembly.lines() {
        if let Some(label) = line.strip_suffix(':') {
            name = label.strip_prefix("v_").map(str::to_owned);
        } else if let Some((directive, value)) = line.trim().split_once(char::is_whitespace) {
            let value = match directive {
                ".quad" => value.parse().expect("a number"),
                ".zero" | ".space" => 0,
                _ => continue,
            };
            found.extend(name.take().map(|name| (name, value)));
        }
    }
    found
}

/// Constants in which ours follow the windows-sys crate, and mingw-w64's do not.
const OTHER_VALUES: [&str; 8] = [
    "BOOTING_IN_SAFEMODE_DSREPAIR",
    "BOOTING_IN_SAFEMODE_MINIMAL",
    "BOOTING_IN_SAFEMODE_NETWORK",
    "BOOTLOG_ENABLED",
    "BUGCODE_ID_DRIVER",
    "IMPERSONATING_WORKER_THREAD",
    "STATUS_GRAPHICS_DRIVER_MISMATCH",
    "STATUS_PKU2U_CERT_FAILURE",
];

#[test]
fn constants_equal_those_of_mingws_headers() {
    let scratch = Scratch::new("constants");
    let source = scratch.file("all.c");
    fs::write(&source, "#include <ntifs.h>\n").expect("a source");
    let ours = native("gcc", &format!("-E -dM {}", source.display()));
    let ours = String::from_utf8(ours.stdout).expect("text");
    let theirs = ok(WINDOWS, &format!("{} -E -dM {}", windows(), source.display()));
    let theirs = numbers(&theirs);
    // Macros that each set defines about itself, such as versions.
    let own = ["NTDDI_VERSION", "WINVER", "KERNEL_STACK_SIZE"];
    let apart = |name: &str| own.contains(&name) || OTHER_VALUES.contains(&name);
    let both: Vec<&str> = numbers(&ours)
        .into_keys()
        .filter(|name| theirs.contains_key(name) && !apart(name))
        .collect();
    assert!(both.len() > 2900, "only {} constants to compare", both.len());

    let lines =
        both.iter().map(|name| format!("const long long v_{name} = (long long)({name});\n"));
    fs::write(&source, format!("#include <ntifs.h>\n{}", lines.collect::<String>()))
        .expect("a source");
    let output = native("gcc", &format!("-S -o - {}", source.display()));
    let ours = values(&String::from_utf8(output.stdout).expect("text"));
    let theirs = values(&ok(WINDOWS, &format!("{} -S -o - {}", windows(), source.display())));
    assert_eq!(ours.len(), both.len(), "{}", String::from_utf8_lossy(&output.stderr));
    let wrong: Vec<_> =
        ours.iter().filter(|(name, value)| theirs.get(*name) != Some(value)).collect();
    assert!(wrong.is_empty(), "ours differ from mingw's: {wrong:x?}");
}

/// The functions that gcc's `-aux-info` lists as declared, each as `result(parameters)`.
fn prototypes(aux: &str) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for line in aux.lines() {
        let Some((_, declaration)) = line.split_once(":NC */ extern ") else { continue };
        let Some((head, parameters)) = declaration.trim_end_matches(';').split_once(" (") else {
            continue;
        };
        let Some((result, name)) = head.rsplit_once([' ', '*']) else { continue };
        let mut prototype = format!("{result}({parameters}");
        // One type by several names.
        for (from, to) in [
            ("struct _IRP *", "PIRP"),
            ("struct _DRIVER_OBJECT *", "PDRIVER_OBJECT"),
            ("PMDLX", "PMDL"),
            ("PRKTHREAD", "PKTHREAD"),
            ("DEVICE_TYPE", "ULONG"),
            ("__va_list_tag *", "va_list"),
            ("PCCH", "PCSTR"),
            ("PEX_PUSH_LOCK", "PULONG_PTR"),
            ("PCUNICODE_STRING", "const UNICODE_STRING *"),
            ("PCANSI_STRING", "const STRING *"),
            ("struct _DEVICE_OBJECT *", "PDEVICE_OBJECT"),
        ] {
            prototype = prototype.replace(from, to);
        }
        found.insert(name.to_owned(), prototype);
    }
    found
}

/// Functions in which ours follow the documentation, with const or ULONG, and mingw-w64's do not.
const OTHERWISE: [&str; 10] = [
    "ExNotifyCallback",
    "MmMapLockedPagesSpecifyCache",
    "ProbeForRead",
    "ProbeForWrite",
    "RtlAnsiStringToUnicodeString",
    "RtlCompareString",
    "RtlCopyMemoryNonTemporal",
    "RtlCopyString",
    "RtlEqualString",
    "RtlStringFromGUID",
];

#[test]
fn prototypes_equal_those_of_mingws_headers() {
    let scratch = Scratch::new("prototypes");
    let source = scratch.file("all.c");
    fs::write(&source, "#include <ntifs.h>\n#include <ntstrsafe.h>\n").expect("a source");
    let aux = scratch.file("aux");
    let arguments = format!("-fsyntax-only -aux-info {} {}", aux.display(), source.display());
    assert!(native("gcc", &arguments).status.success(), "our headers compile");
    let ours = prototypes(&fs::read_to_string(&aux).expect("the declarations"));
    ok(WINDOWS, &format!("{} {arguments}", windows()));
    let theirs = prototypes(&fs::read_to_string(&aux).expect("the declarations"));

    let both = ours.iter().filter_map(|(name, our)| Some((name, our, theirs.get(name)?)));
    assert!(both.clone().count() > 360, "only {} functions to compare", both.count());
    let differ: Vec<_> = both.filter(|(_, our, their)| our != their).collect();
    let names: Vec<_> = differ.iter().map(|(name, ..)| name.as_str()).collect();
    assert_eq!(names, OTHERWISE, "name, ours, mingw's: {differ:#?}");
}

/// Every status and bug check code that mingw-w64's headers have. `constants_equal_those_of_mingws_headers` compares the
/// values.
#[test]
fn every_status_and_bug_check_code_is_declared() {
    let scratch = Scratch::new("statuses");
    let source = scratch.file("all.c");
    fs::write(&source, "#include <ntstatus.h>\n#include <bugcodes.h>\n").expect("a source");
    let ours = native("gcc", &format!("-E -dM {}", source.display()));
    let ours = String::from_utf8(ours.stdout).expect("text");
    let defined: BTreeSet<&str> = ours
        .lines()
        .filter_map(|line| line.strip_prefix("#define ")?.split_whitespace().next())
        .collect();
    let theirs = ok(WINDOWS, &format!("{} -E -dM {}", windows(), source.display()));
    let wanted: Vec<&str> = theirs
        .lines()
        .filter_map(|line| line.strip_prefix("#define ")?.split_once(' '))
        .filter(|(_, value)| value.starts_with("((NTSTATUS)") || value.starts_with("((ULONG)"))
        .map(|(name, _)| name)
        .collect();
    assert!(wanted.len() > 1900, "only {} codes to look for", wanted.len());
    let missing: Vec<&&str> = wanted.iter().filter(|name| !defined.contains(**name)).collect();
    assert!(missing.is_empty(), "not declared: {missing:?}");
}

/// Every annotation of mingw-w64's headers, with arguments where it has arguments there.
#[test]
fn every_annotation_is_declared() {
    let macros = |text: &str| -> BTreeMap<String, bool> {
        let names = text.lines().filter_map(|line| line.strip_prefix("#define "));
        let names = names.map(|rest| rest.split([' ', '(']).next().map(|name| (name, rest)));
        let names = names.flatten().filter(|(name, _)| name.starts_with('_') && name.len() > 4);
        names.map(|(name, rest)| (name.to_owned(), rest[name.len()..].starts_with('('))).collect()
    };
    let read = |names: &[&str]| -> String {
        let folder = Path::new("/usr/share/mingw-w64/include");
        names
            .iter()
            .map(|name| fs::read_to_string(folder.join(name)).expect("mingw-w64's"))
            .collect()
    };
    let theirs = macros(&read(&["sal.h", "specstrings.h", "driverspecs.h"]));
    let ours = native("gcc", "-E -dM -x c -include include/sal.h /dev/null");
    let ours = macros(&String::from_utf8(ours.stdout).expect("text"));
    // What those headers define for other purposes.
    let others = ["_CRT_", "__CLR", "__STDC", "__specstrings", "__nothrow", "_SAL"];
    let wrong: Vec<_> = theirs
        .iter()
        .filter(|(name, _)| !others.iter().any(|other| name.starts_with(other)))
        .filter(|(name, arguments)| ours.get(*name) != Some(arguments))
        .collect();
    assert!(theirs.len() > 300 && wrong.is_empty(), "of {}: {wrong:?}", theirs.len());
}

#[test]
fn the_list_of_exports_is_up_to_date() {
    let listed = fs::read_to_string(path("include/exports.txt")).expect("include/exports.txt");
    let declared = ok("include/prototypes", "");
    assert!(
        listed == declared,
        "the headers declare something else: include/prototypes > include/exports.txt"
    );
    for name in ["KeRegisterProcessorChangeCallback(", "DbgPrint(", "KeNumberProcessors"] {
        assert!(listed.contains(name), "{name} is not in include/exports.txt");
    }
}

#[test]
fn the_missing_exports_of_a_program_are_listed() {
    let scratch = Scratch::new("missing");
    let all = scratch.file("all.c");
    let names: Vec<String> = fs::read_to_string(path("include/exports.txt"))
        .expect("include/exports.txt")
        .lines()
        .map(|line| {
            let head = line.split('(').next().expect("a line");
            head.rsplit([' ', '*']).next().expect("a name").to_owned()
        })
        .collect();
    let body =
        |names: &[String]| names.iter().map(|name| format!("int {name};\n")).collect::<String>();
    let library = scratch.file("all.so");
    let build = format!("-w -shared -o {} {}", library.display(), all.display());

    fs::write(&all, body(&names)).expect("a source");
    ok("gcc", &build);
    assert_eq!(ok("include/missing", &library.display().to_string()), "", "nothing is missing");

    fs::write(&all, body(&names[1..])).expect("a source");
    ok("gcc", &build);
    let output = run("include/missing", &library.display().to_string());
    assert_eq!(output.status.code(), Some(1), "one is missing");
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), names[0]);
}
