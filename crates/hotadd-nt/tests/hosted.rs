//! A driver that is built with the headers, natively and as a `.sys`, calls this host: the declarations and the
//! functions agree.
#![cfg(all(target_os = "linux", target_arch = "x86_64"))]

mod built;

use std::path::{Path, PathBuf};
use std::process::Command;

use built::{Built, world};
use hotadd_nt::{File, Options};

/// Runs a program in this crate's folder.
fn run(program: &str, arguments: &str) {
    let mut command = Command::new(program);
    command.args(arguments.split_whitespace()).current_dir(env!("CARGO_MANIFEST_DIR"));
    let output = command.output().unwrap_or_else(|e| panic!("{program}: {e}; ./test installs it"));
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {arguments}\n{errors}");
}

/// Loads the driver, whose `DriverEntry` returns the line that does not hold.
fn works(driver: &Path) {
    let world = world();
    let loaded = File::read(driver).unwrap().load(Options::default()).unwrap();
    let begun = loaded.begin();
    let printed = world.heard.take();
    let begun = begun.unwrap_or_else(|e| panic!("{}: {e}, {printed:?}", driver.display()));
    assert!(printed.contains(&"print hosted: 0\n".to_owned()), "{printed:?}");
    begun.unload().unwrap_or_else(|(_, stays)| panic!("{stays}"));
}

#[test]
fn a_native_driver_calls_what_the_headers_declare() {
    let built = Built::new();
    for compiler in ["gcc", "clang", "g++ -x c++", "clang++ -x c++"] {
        let driver = built.folder().join("hosted.so");
        let (program, language) = compiler.split_once(' ').unwrap_or((compiler, ""));
        let arguments = format!(
            "-O2 @include/native.flags {language} -shared -Wl,-Bsymbolic -Iinclude tests/headers/hosted.c -o {}",
            driver.display()
        );
        run(program, &arguments);
        works(&driver);
    }
}

#[test]
fn a_driver_for_windows_calls_what_the_headers_declare() {
    let built = Built::new();
    let file = |name: &str| -> PathBuf { built.folder().join(name) };
    let (object, library, driver) = (file("hosted.obj"), file("hotadd.lib"), file("hosted.sys"));
    let library_arguments =
        format!("-m i386:x86-64 -d include/hotadd.def -l {}", library.display());
    run("llvm-dlltool", &library_arguments);
    for language in ["", "-x c++"] {
        let arguments = format!(
            "-O2 @include/windows.flags {language} -Iinclude -c tests/headers/hosted.c -o {}",
            object.display()
        );
        run("clang", &arguments);
        let arguments = format!(
            "/nologo /driver /subsystem:native /entry:DriverEntry /nodefaultlib /dynamicbase /nxcompat /out:{} {} {}",
            driver.display(),
            object.display(),
            library.display()
        );
        run("lld-link", &arguments);
        works(&driver);
    }
}
