//! Running the compilers, and a temporary folder.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A path inside this crate.
pub(crate) fn path(inside: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(inside)
}

/// The test sources with this extension, sorted.
pub(crate) fn sources(extension: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(path("tests/headers")).expect("tests/headers");
    let mut found: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
    found.retain(|path| path.extension().is_some_and(|e| e == extension));
    found.sort();
    assert!(!found.is_empty(), "there are no .{extension} files in tests/headers");
    found
}

/// A folder for build results that is removed at the end.
pub(crate) struct Scratch(pub(crate) PathBuf);

impl Scratch {
    pub(crate) fn new(name: &str) -> Self {
        let dir = std::env::temp_dir().join(format!("hotadd-nt-{name}-{}", std::process::id()));
        fs::create_dir_all(&dir).expect("a folder for what is built");
        Self(dir)
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Runs a program with arguments separated by blanks, in the crate's folder.
pub(crate) fn run(program: &str, arguments: &str) -> Output {
    let mut command = Command::new(program);
    command.args(arguments.split_whitespace()).current_dir(path("."));
    command
        .output()
        .unwrap_or_else(|e| panic!("{program}: {e}; ./test installs what the tests need"))
}

/// The output of `run`, which must succeed.
pub(crate) fn ok(program: &str, arguments: &str) -> String {
    let output = run(program, arguments);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {arguments}\n{errors}");
    String::from_utf8(output.stdout).expect("text")
}

/// Flags that every source must compile with, with either set of headers.
pub(crate) const STRICT: &str = "-Wall -Wextra -Werror";

/// A native compiler with our headers, as the recipe in include/README.md says.
pub(crate) fn native(compiler: &str, arguments: &str) -> Output {
    run(compiler, &format!("{STRICT} @include/native.flags -Iinclude {arguments}"))
}

/// The arguments for mingw-w64's gcc and its headers. The last flag disables a false warning: gcc 12 takes a
/// read through gs for a read from address 0.
pub(crate) fn windows() -> String {
    format!(
        "-O2 -ffreestanding {STRICT} -Wno-multichar -Wno-unknown-pragmas -Wno-array-bounds -DHEADERS_OF_MINGW \
         -D_WIN32_WINNT=0x0A00 -isystem /usr/share/mingw-w64/include/ddk"
    )
}

pub(crate) const WINDOWS: &str = "x86_64-w64-mingw32-gcc";
