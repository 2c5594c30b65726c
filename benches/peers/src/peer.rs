//! Programs of other libraries: built when they are needed, and asked line by line.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// A C program of `benches/peers/c` with the library that it is about.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Source {
    /// The file without `.c`.
    pub(crate) file: &'static str,
    /// The name by which pkg-config knows the library.
    pub(crate) library: &'static str,
    /// The linker's arguments. `None`: as pkg-config says.
    pub(crate) links: Option<&'static [&'static str]>,
}

/// pkg-config would link everything that DPDK has, which takes a second to load.
pub(crate) const DPDK: Source =
    Source { file: "dpdk", library: "libdpdk", links: Some(&["-lrte_eal", "-pthread"]) };
pub(crate) const URCU: Source = Source { file: "urcu", library: "liburcu", links: None };

impl Source {
    /// The version of the library. `None` if it is not installed.
    pub(crate) fn version(self) -> Option<String> {
        output(Command::new("pkg-config").args(["--modversion", self.library]))
    }

    /// Builds the program, and starts it on this processor. `None` if that is not possible; the reason is in `target/peers`.
    pub(crate) fn start(self, processor: usize) -> Option<Peer> {
        self.version()?;
        let folder = folder("c");
        let program = target().join(self.file);
        let log = target().join(self.file).with_extension("log");
        let flags = |which| output(Command::new("pkg-config").args([which, self.library]));
        let mut cc = Command::new("cc");
        cc.args(["-O2", "-o"]).arg(&program).arg(folder.join(self.file).with_extension("c"));
        cc.args(flags("--cflags")?.split_whitespace());
        match self.links {
            Some(links) => cc.args(links),
            None => cc.args(flags("--libs")?.split_whitespace()),
        };
        let built = cc.stderr(File::create(&log).ok()?).status().ok()?;
        built
            .success()
            .then(|| Peer::start(Command::new(program).arg(processor.to_string()), &log))?
    }
}

/// The version of Go, if it is installed.
pub(crate) fn go_version() -> Option<String> {
    let version = output(Command::new("go").arg("version"))?;
    version.split_whitespace().nth(2).map(|word| word.trim_start_matches("go").to_owned())
}

/// Builds the Go program. `None` without Go.
pub(crate) fn go() -> Option<PathBuf> {
    go_version()?;
    let program = target().join("cadence");
    let mut build = Command::new("go");
    build.arg("build").arg("-o").arg(&program).arg(folder("go").join("cadence.go"));
    // The cache may have no place where there is no home.
    if std::env::var_os("HOME").is_none() {
        build.env("GOCACHE", target().join("go"));
    }
    let built = build.stderr(Stdio::null()).status().ok()?;
    built.success().then_some(program)
}

/// A program that answers each line with a line.
#[derive(Debug)]
pub(crate) struct Peer {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Peer {
    fn start(program: &mut Command, log: &Path) -> Option<Self> {
        program.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(File::create(log).ok()?);
        let mut child = program.spawn().ok()?;
        let (input, output) = (child.stdin.take()?, BufReader::new(child.stdout.take()?));
        Some(Self { child, input, output })
    }

    /// The numbers that it answers. `None` if it does not, or they are none.
    pub(crate) fn ask(&mut self, request: &str) -> Option<Vec<f64>> {
        writeln!(self.input, "{request}").ok()?;
        let mut line = String::new();
        self.output.read_line(&mut line).ok()?;
        let numbers: Result<Vec<f64>, _> = line.split_whitespace().map(str::parse).collect();
        numbers.ok().filter(|numbers| !numbers.is_empty())
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What a program prints, without the newline. `None` if it fails or does not exist.
pub(crate) fn output(command: &mut Command) -> Option<String> {
    let output = command.stderr(Stdio::null()).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim().to_owned())
}

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

/// Where the programs are built.
fn target() -> PathBuf {
    let target = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/peers");
    // Building fails without it, and says so.
    let _ = fs::create_dir_all(&target);
    target
}
