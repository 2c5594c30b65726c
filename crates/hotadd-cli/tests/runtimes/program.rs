//! A program that runs in a partition with one processor, until a second one joins.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader, Lines};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

use hotadd_testing::{Need, skip};
use rustix::process::{Pid, Signal, kill_process};

use super::common::live::children_of;
use super::common::{hotadd, output, stderr, two_processors};

/// Seconds after which a program that waits without success is ended.
const LIMIT: &str = "120";

/// A program that prints what it sees when it starts, and again when its mask has grown.
pub(crate) struct Program {
    run: Child,
    lines: Lines<BufReader<ChildStdout>>,
    added: u32,
    name: String,
}

/// What a program sees: any number of `name=number`.
pub(crate) struct Sees(String);

impl Sees {
    pub(crate) fn number(&self, name: &str) -> u32 {
        let of = |word: &str| word.strip_prefix(name)?.strip_prefix('=')?.parse().ok();
        self.0.split(' ').find_map(of).unwrap_or_else(|| panic!("{name} in {:?}", self.0))
    }

    /// Several numbers at once.
    pub(crate) fn numbers<const N: usize>(&self, names: [&str; N]) -> [u32; N] {
        names.map(|name| self.number(name))
    }

    /// The line as it was printed, behind its first word.
    pub(crate) fn text(&self) -> &str {
        &self.0
    }
}

impl Program {
    /// Starts it on one processor. Returns `None` on a machine with one processor.
    pub(crate) fn start(name: &str, command: &[&str]) -> Option<Self> {
        Self::start_with_page(name, |_| command.iter().map(|&word| word.to_owned()).collect())
    }

    /// As [`Self::start`], with a command that is told the path of the partition's page.
    pub(crate) fn start_with_page(
        name: &str,
        command: impl FnOnce(&str) -> Vec<String>,
    ) -> Option<Self> {
        let (first, second) = two_processors(name)?;
        let start = first.to_string();
        // Tests run side by side, some with the same program.
        static STARTED: AtomicU32 = AtomicU32::new(0);
        let number = STARTED.fetch_add(1, Ordering::Relaxed);
        let name = format!("{name}-{}-{number}", std::process::id());
        let page = hotadd_wire::runtime_dir().join(format!("{name}.set"));
        let args =
            ["run", "--over", "affinity", "--start", &start, "--add", "none", "--name", &name];
        let mut run = hotadd(&[&args[..], &["--", "timeout", LIMIT]].concat());
        run.args(command(path(&page)));
        let mut run = run.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let lines = BufReader::new(run.stdout.take().unwrap()).lines();
        Some(Self { run, lines, added: second, name })
    }

    /// The next line that begins with this word. Other lines belong to the test harness.
    pub(crate) fn says(&mut self, word: &str) -> Sees {
        loop {
            let line = self.lines.next().unwrap_or_else(|| panic!("it says {word}")).unwrap();
            if let Some(rest) = line.strip_prefix(word).and_then(|rest| rest.strip_prefix(' ')) {
                println!("{}: {line}", self.name);
                return Sees(rest.to_owned());
            }
        }
    }

    /// Adds a processor.
    pub(crate) fn add(&self) {
        let added = output(&["add", &self.added.to_string(), "-p", &self.name]);
        let said = stderr(&added);
        // A quick program may end, and the run with it, before this gets its answer.
        let ended = said.contains("the connection to the partition broke");
        assert!(added.status.success() || ended, "{said}");
    }

    /// Waits until two threads of the program, or of its child processes, run or are ready to run at once, and both processors have
    /// been used. On a busy machine, the kernel may keep the two threads on one processor for a while.
    pub(crate) fn uses_two_processors(&mut self) {
        let (mut at_once, mut used) = (false, BTreeSet::new());
        while !at_once || used.len() < 2 {
            let ended = self.run.try_wait().unwrap();
            assert!(ended.is_none(), "{}: two threads never used two processors", self.name);
            let mut busy: Vec<String> = Vec::new();
            let mut processes = vec![self.run.id()];
            while let Some(process) = processes.pop() {
                let children = children_of(process);
                busy.extend(children.iter().flat_map(|(child, _)| running(*child)));
                processes.extend(children.iter().map(|(child, _)| *child));
            }
            at_once |= busy.len() >= 2;
            used.extend(busy);
            // It polls, because no event reports this. The pause leaves the processors to the program.
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Reads what it says to its end, which must be a good one.
    pub(crate) fn end(mut self) {
        while self.lines.next().is_some() {}
        assert!(self.run.wait().unwrap().success(), "{} ends well", self.name);
    }

    /// Ends a program that would run for ever.
    pub(crate) fn stop(self) {
        drop(self);
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // `timeout` passes the signal on to all processes of its program.
        for (child, _) in children_of(self.run.id()) {
            let child = Pid::from_raw(child.cast_signed()).expect("a process has a number");
            let _ = kill_process(child, Signal::TERM);
        }
        let _ = self.run.wait();
    }
}

/// The processors on which threads of this process run, or wait to run.
fn running(process: u32) -> Vec<String> {
    let Ok(threads) = fs::read_dir(format!("/proc/{process}/task")) else { return Vec::new() };
    let processor = |thread: std::io::Result<fs::DirEntry>| {
        let stat = fs::read_to_string(thread.ok()?.path().join("stat")).ok()?;
        // The name of the thread, in parentheses, may have spaces.
        let mut fields = stat.rsplit_once(") ")?.1.split(' ');
        (fields.next()? == "R").then_some(())?;
        // Field 39 of proc(5). The one before was field 3.
        fields.nth(35).map(str::to_owned)
    };
    threads.filter_map(processor).collect()
}

/// Whether a command is installed. Prints a line if it is not.
pub(crate) fn at_hand(command: &'static str, version: &str) -> bool {
    let ran = Command::new(command).arg(version).output();
    let there = ran.is_ok_and(|ran| ran.status.success());
    if !there {
        skip(Need::Program(command), "what this runtime notices");
    }
    there
}

/// The source of a program in this folder.
pub(crate) fn text(name: &str) -> String {
    format!("{}/tests/runtimes/programs/{name}", env!("CARGO_MANIFEST_DIR"))
}

/// The source of an example.
pub(crate) fn example(name: &str) -> String {
    format!("{}/../../examples/follow/{name}", env!("CARGO_MANIFEST_DIR"))
}

/// Builds a C or C++ program in this folder. Returns `None` and prints a line if the compiler or a library is missing.
pub(crate) fn built(
    dir: &Path,
    source: &str,
    compiler: &'static str,
    flags: &[&str],
    library: Option<Need>,
) -> Option<String> {
    if !at_hand(compiler, "--version") {
        return None;
    }
    let program = dir.join("program");
    let mut command = Command::new(compiler);
    command.args(["-O1", "-pthread", source, "-o"]).arg(&program).args(flags);
    let compiled = command.output().unwrap();
    if !compiled.status.success() {
        let need = library.unwrap_or_else(|| panic!("{source}: {}", stderr(&compiled)));
        skip(need, "what this library notices");
        return None;
    }
    Some(path(&program).to_owned())
}

/// Builds a Go program in this folder. Returns `None` and prints a line if Go is missing.
pub(crate) fn built_by_go(dir: &Path, source: &str) -> Option<String> {
    if !at_hand("go", "version") {
        return None;
    }
    let program = dir.join("program");
    let mut go = Command::new("go");
    go.args(["build", "-o", path(&program), source]).env("GOCACHE", dir.join("cache"));
    let built = go.output().unwrap();
    assert!(built.status.success(), "{}", stderr(&built));
    Some(path(&program).to_owned())
}

/// Builds a C# program, and returns the command that runs it: in Mono, or in .NET. Returns `None` and prints a line if something
/// is missing.
pub(crate) fn built_by_mcs(dir: &Path, source: &str, runtime: &'static str) -> Option<Vec<String>> {
    if !at_hand("mcs", "--version") || !at_hand(runtime, version_option(runtime)) {
        return None;
    }
    let program = dir.join("program.exe");
    let out = format!("-out:{}", path(&program));
    let built = Command::new("mcs").args([&out, source]).output().unwrap();
    assert!(built.status.success(), "{}", stderr(&built));
    // .NET wants to be told the oldest framework that will do.
    let config = r#"{"runtimeOptions": {"framework": {"name": "Microsoft.NETCore.App", "version": "2.1.0"},
        "rollForward": "LatestMajor", "configProperties": {"System.Globalization.Invariant": true}}}"#;
    fs::write(dir.join("program.runtimeconfig.json"), config).unwrap();
    Some(vec![runtime.to_owned(), path(&program).to_owned()])
}

fn version_option(runtime: &str) -> &str {
    // `dotnet --version` is that of the SDK, which need not be there.
    if runtime == "dotnet" { "--list-runtimes" } else { "--version" }
}

pub(crate) fn path(path: &Path) -> &str {
    path.to_str().expect("the paths of tests are text")
}
