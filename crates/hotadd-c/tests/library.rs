//! The installed library: versioned symbols, headers, flags, what to do for the loader, and its removal.
#![cfg(target_os = "linux")]

mod common;

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use common::{HERE, Installed, WARNINGS, has, installed, make, run, text};
use tempfile::TempDir;

/// Everything below a folder, relative to it.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next).unwrap().map(Result::unwrap) {
            if entry.file_type().unwrap().is_dir() {
                folders.push(entry.path());
            }
            files.push(entry.path().strip_prefix(folder).unwrap().to_owned());
        }
    }
    files.sort();
    files
}

/// The functions that the headers declare.
fn documented() -> BTreeSet<String> {
    let mut functions = BTreeSet::new();
    for header in ["hotadd.h", "hotadd_ke.h"] {
        let text = fs::read_to_string(Path::new(HERE).join("include").join(header)).unwrap();
        // Without comments, directives and types.
        let text: String = text.split("/*").map(|part| part.split("*/").last().unwrap()).collect();
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        let text = lines.collect::<Vec<_>>().join("\n");
        let declarations = text.split(';').filter(|declaration| !declaration.contains("typedef"));
        for declaration in declarations {
            let Some((head, _)) = declaration.split_once('(') else { continue };
            let head = head.lines().last().unwrap();
            let name = head.rsplit([' ', '*']).next().unwrap();
            if name.starts_with("hotadd_") || name.starts_with("Ke") {
                functions.insert(name.to_owned());
            }
        }
    }
    functions
}

#[test]
fn only_documented_functions_are_exported_each_with_its_version() {
    let library = installed().library().join("libhotadd.so");
    let mut readelf = Command::new("readelf");
    let said = text(&run(readelf.args(["--dyn-syms", "-W"]).arg(&library)).stdout);
    let defined = said.lines().filter_map(|line| {
        let words: Vec<_> = line.split_whitespace().collect();
        matches!(&*words, [_, _, _, kind, "GLOBAL" | "WEAK", _, place, _] if *place != "UND" && *kind != "OBJECT")
            .then(|| words[7].to_owned())
    });
    let exported: BTreeSet<String> = defined.filter(|name| name != "HOTADD_0.1").collect();
    let expected: BTreeSet<String> =
        documented().iter().map(|name| format!("{name}@@HOTADD_0.1")).collect();
    assert!(expected.len() > 50, "the headers were read: {expected:?}");
    assert_eq!(exported, expected, "exported on the left, declared in the headers on the right");

    let mut readelf = Command::new("readelf");
    let said = text(&run(readelf.args(["-d", "-W"]).arg(&library)).stdout);
    assert!(said.contains("soname: [libhotadd.so.0.1]"), "{said}");
    assert!(said.contains("NODELETE"), "a library with threads is not unloaded: {said}");
}

#[test]
fn the_headers_compile_alone_in_c_and_cpp_without_a_warning() {
    let folder = TempDir::new().unwrap();
    let compile = |compiler: &'static str, standard: &str, language: &str, text: &str| {
        if !has(compiler, "the headers compile alone") {
            return;
        }
        let source = folder.path().join("alone");
        fs::write(&source, text).unwrap();
        let mut command = Command::new(compiler);
        command.args(WARNINGS).args(["-Wshadow", "-fsyntax-only", standard, "-x", language]);
        command.arg("-I").arg(Path::new(HERE).join("include"));
        run(command.arg(source));
    };
    for header in ["hotadd.h", "hotadd_ke.h"] {
        let text =
            format!("#include <{header}>\n#include <{header}>\nint main(void) {{ return 0; }}\n");
        for compiler in ["gcc", "clang"] {
            for standard in ["-std=c99", "-std=c17"] {
                compile(compiler, standard, "c", &text);
            }
        }
        for compiler in ["g++", "clang++"] {
            compile(compiler, "-std=c++17", "c++", &text);
        }
    }
    // Without the names of Windows.
    let text = "#define HOTADD_NO_KE\n#include <hotadd.h>\ntypedef int PVOID;\nint main(void) { return 0; }\n";
    compile("gcc", "-std=c99", "c", text);
    let text = "#include <hotadd.hpp>\ntypedef int PVOID;\nint main() { return 0; }\n";
    for compiler in ["g++", "clang++"] {
        for standard in ["-std=c++17", "-std=c++20"] {
            compile(compiler, standard, "c++", text);
        }
    }
    // Another machine: only the compiler's own headers are there.
    let text = "#include <hotadd.h>\nint main(void) { return 0; }\n";
    let source = folder.path().join("arm64.c");
    fs::write(&source, text).unwrap();
    if has("clang", "the headers compile for arm64") {
        let mut clang = Command::new("clang");
        clang.args(WARNINGS).args([
            "--target=aarch64-linux-gnu",
            "-ffreestanding",
            "-fsyntax-only",
        ]);
        run(clang.arg("-I").arg(Path::new(HERE).join("include")).arg(source));
    }
}

#[test]
fn an_installed_library_is_removed_without_a_trace() {
    for (variables, below) in [(&["", ""][..], ""), (&["DESTDIR"], "usr")] {
        let folder = TempDir::new().unwrap();
        let path = folder.path().to_str().unwrap();
        let variables: Vec<(&str, &str)> = match variables {
            ["DESTDIR"] => vec![("DESTDIR", path), ("PREFIX", "/usr")],
            _ => vec![("PREFIX", path)],
        };
        let root = folder.path().join(below);
        fs::create_dir_all(root.join("lib")).unwrap();
        fs::write(root.join("lib/another.so"), "").unwrap();
        let before = files(folder.path());
        run(&mut make("install", &variables));
        let with = files(&root);
        for file in [
            "lib/libhotadd.so",
            "lib/libhotadd.so.0.1",
            "lib/libhotadd.so.0.1.0",
            "lib/libhotadd.a",
            "lib/pkgconfig/hotadd.pc",
            "include/hotadd.h",
            "include/hotadd_ke.h",
            "include/hotadd.hpp",
            "share/doc/hotadd/examples/percpu.c",
        ] {
            assert!(with.iter().any(|path| path == Path::new(file)), "{file} is missing: {with:?}");
        }
        run(&mut make("uninstall", &variables));
        assert_eq!(files(folder.path()), before, "only the file of somebody else is left");
    }
}

/// A stand-in for ldconfig, which searches these folders, and writes down that it was asked to renew its cache.
fn ldconfig(folder: &Path, searched: &str) -> PathBuf {
    let path = folder.join("ldconfig");
    let log = folder.join("renewed");
    let text = format!(
        "#!/bin/sh\nif [ \"$1\" = -v ]; then echo '{searched}: (from somewhere)'; else echo renewed >> '{}'; fi\n",
        log.display()
    );
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path
}

#[test]
fn installing_says_what_to_do_for_the_loader() {
    let folder = TempDir::new().unwrap();
    let prefix = folder.path().join("prefix");
    let (prefix, library) = (prefix.to_str().unwrap(), prefix.join("lib"));
    let library = library.to_str().unwrap();

    let elsewhere = ldconfig(folder.path(), "/usr/lib");
    let mut install =
        make("install", &[("PREFIX", prefix), ("LDCONFIG", elsewhere.to_str().unwrap())]);
    let said = text(&run(&mut install).stdout);
    for advice in [
        format!("The loader does not search {library}"),
        format!("-Wl,-rpath,{library}"),
        format!("LD_LIBRARY_PATH={library}"),
        format!("PKG_CONFIG_PATH={library}/pkgconfig"),
    ] {
        assert!(said.contains(&advice), "no {advice:?} in {said}");
    }
    assert!(!folder.path().join("renewed").exists());

    let there = ldconfig(folder.path(), library);
    let mut install = make("install", &[("PREFIX", prefix), ("LDCONFIG", there.to_str().unwrap())]);
    let said = text(&run(&mut install).stdout);
    let renewed = folder.path().join("renewed").exists();
    let advised = said.contains("Run 'ldconfig' as root");
    assert!(renewed != advised, "root renews the cache, and others are told to: {said}");
    assert!(!said.contains("rpath"), "nothing else is needed there: {said}");

    // A package is for another machine.
    let stage = folder.path().join("stage");
    let stage = stage.to_str().unwrap();
    let said = text(&run(&mut make("install", &[("DESTDIR", stage), ("PREFIX", "/opt/x")])).stdout);
    assert!(!said.contains("loader does not"), "{said}");
}

#[test]
fn a_first_program_starts_after_what_the_installation_says() {
    let installed = Installed::new();
    let prefix = installed.prefix().to_str().unwrap();
    let mut check = make("installcheck", &[("PREFIX", prefix)]);
    let said = check.env_remove("LD_LIBRARY_PATH").output().unwrap();
    assert!(!said.status.success(), "the loader does not search this folder");
    let advice = text(&said.stdout);
    let errors = text(&said.stderr);
    assert!(advice.contains("LD_LIBRARY_PATH="), "it says what to do: {advice}; {errors}");
    let mut check = make("installcheck", &[("PREFIX", prefix)]);
    let said = text(&run(check.env("LD_LIBRARY_PATH", installed.library())).stdout);
    assert!(said.ends_with("it works\n"), "{said}");
}

#[test]
fn a_program_can_have_the_library_inside() {
    let installed = installed();
    let program = installed.prefix().join("static");
    let mut gcc = Command::new("gcc");
    gcc.args(["-static", "-pthread", "-o"]).arg(&program);
    gcc.arg(Path::new(HERE).join("tests/c/notices.c"));
    run(gcc.args(installed.flags(&["--static", "--cflags", "--libs"])));
    assert_eq!(text(&run(&mut Command::new(&program)).stdout), "done\n");
}
