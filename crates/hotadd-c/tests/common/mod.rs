//! The library as its Makefile installs it, and programs that are built with it.
#![allow(dead_code, reason = "each test program uses a part of it")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::LazyLock;

use hotadd_testing::{Need, skip};
use tempfile::TempDir;

pub(crate) const HERE: &str = env!("CARGO_MANIFEST_DIR");

/// What the headers and the programs must compile with, without a word.
pub(crate) const WARNINGS: [&str; 5] =
    ["-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Werror"];

pub(crate) fn run(command: &mut Command) -> Output {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{command:?}: {}\n{stdout}\n{stderr}", output.status);
    output
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Whether a program can be run on this machine. If not, reports that `test` is skipped.
pub(crate) fn has(program: &'static str, test: &str) -> bool {
    let found = Command::new(program).arg("--version").output().is_ok();
    if !found {
        skip(Need::Program(program), test);
    }
    found
}

/// The archive that cargo built for this test, next to it.
fn archive() -> PathBuf {
    std::env::current_exe().unwrap().with_file_name("libhotadd_c.a")
}

/// `make` in the folder of the library, with what cargo built.
pub(crate) fn make(target: &str, variables: &[(&str, &str)]) -> Command {
    // Linked once for all tests of a program, before any of them uses it.
    static LINKED: LazyLock<TempDir> = LazyLock::new(|| {
        let folder = TempDir::new().unwrap();
        run(&mut make_in(folder.path(), "all", &[]));
        folder
    });
    make_in(LINKED.path(), target, variables)
}

fn make_in(out: &Path, target: &str, variables: &[(&str, &str)]) -> Command {
    let mut make = Command::new("make");
    make.current_dir(HERE).arg(target).env_remove("DESTDIR").env_remove("LDFLAGS");
    make.arg(format!("ARCHIVE={}", archive().display())).arg(format!("OUT={}", out.display()));
    make.args(variables.iter().map(|(name, value)| format!("{name}={value}")));
    make
}

/// The library, installed in a folder of its own.
pub(crate) struct Installed(TempDir);

/// The one that all tests of a program share.
pub(crate) fn installed() -> &'static Installed {
    static INSTALLED: LazyLock<Installed> = LazyLock::new(Installed::new);
    &INSTALLED
}

impl Installed {
    pub(crate) fn new() -> Self {
        let folder = TempDir::new().unwrap();
        run(&mut make("install", &[("PREFIX", folder.path().to_str().unwrap())]));
        Self(folder)
    }

    pub(crate) fn prefix(&self) -> &Path {
        self.0.path()
    }

    pub(crate) fn library(&self) -> PathBuf {
        self.0.path().join("lib")
    }

    /// The flags of pkg-config.
    pub(crate) fn flags(&self, options: &[&str]) -> Vec<String> {
        let mut command = Command::new("pkg-config");
        command.args(options).arg("hotadd");
        command.env("PKG_CONFIG_PATH", self.library().join("pkgconfig"));
        text(&run(&mut command).stdout).split_whitespace().map(str::to_owned).collect()
    }

    /// Builds a program of this folder with a compiler, and gives its path. The linker names the folder of the library in it.
    pub(crate) fn compile(&self, compiler: &str, options: &[&str], source: &str) -> PathBuf {
        let source = Path::new(HERE).join(source);
        let (program, kept) = tempfile::Builder::new()
            .prefix(source.file_stem().unwrap())
            .tempfile_in(self.0.path())
            .unwrap()
            .keep()
            .map(|(file, path)| (path, file))
            .unwrap();
        drop(kept);
        let mut command = Command::new(compiler);
        command.args(WARNINGS).args(options).args(["-g", "-pthread", "-o"]).arg(&program);
        command.arg(source).args(self.flags(&["--cflags", "--libs"]));
        run(command.arg(format!("-Wl,-rpath,{}", self.library().display())));
        program
    }

    /// Builds a program by the Makefile of the examples.
    pub(crate) fn build(&self, source: &str) -> PathBuf {
        let source = Path::new(HERE).join(source);
        let folder = TempDir::new_in(self.0.path()).unwrap().keep();
        fs::copy(&source, folder.join(source.file_name().unwrap())).unwrap();
        let name = source.file_stem().unwrap();
        let mut make = Command::new("make");
        make.current_dir(&folder).arg("-f").arg(Path::new(HERE).join("example/Makefile"));
        make.env("PKG_CONFIG_PATH", self.library().join("pkgconfig"))
            .env("CFLAGS", "-Wall -Werror")
            .env("CXXFLAGS", "-std=c++17 -Wall -Werror");
        run(make.arg(name));
        folder.join(name)
    }

    /// A program that finds the library by itself, and partitions by name in this folder.
    pub(crate) fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command.env_remove("LD_LIBRARY_PATH").env("XDG_RUNTIME_DIR", self.0.path());
        command
    }
}
