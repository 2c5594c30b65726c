//! What runtimes notice of a processor that joins while they run: the table of docs/runtimes.md. Installed
//! runtimes are tested; a line names each missing one.

mod common;

use std::io::{BufRead, BufReader, Lines};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

use hotadd_testing::{Need, skip};

use common::{hotadd, output, stderr, two_processors};

/// Seconds after which a program that waits without success is ended.
const LIMIT: &str = "120";

/// A program that prints what it sees when it starts, and again when its mask has grown.
struct Program {
    run: Child,
    lines: Lines<BufReader<ChildStdout>>,
    added: u32,
    name: String,
}

/// What a program sees: any number of `name=number`.
struct Sees(String);

impl Sees {
    fn number(&self, name: &str) -> u32 {
        let of = |word: &str| word.strip_prefix(name)?.strip_prefix('=')?.parse().ok();
        self.0.split(' ').find_map(of).unwrap_or_else(|| panic!("{name} in {:?}", self.0))
    }
}

impl Program {
    /// Starts it on one processor. Returns `None` on a machine with one processor.
    fn start(name: &str, command: &[&str]) -> Option<Self> {
        let (first, second) = two_processors(name)?;
        let start = first.to_string();
        let name = format!("{name}-{}", std::process::id());
        let args =
            ["run", "--over", "affinity", "--start", &start, "--add", "none", "--name", &name];
        let mut run = hotadd(&[&args[..], &["--", "timeout", LIMIT], command].concat());
        let mut run = run.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let lines = BufReader::new(run.stdout.take().unwrap()).lines();
        Some(Self { run, lines, added: second, name })
    }

    /// The next line that begins with this word. Other lines belong to the test harness.
    fn says(&mut self, word: &str) -> Sees {
        loop {
            let line = self.lines.next().unwrap_or_else(|| panic!("it says {word}")).unwrap();
            if let Some(rest) = line.strip_prefix(word).and_then(|rest| rest.strip_prefix(' ')) {
                return Sees(rest.to_owned());
            }
        }
    }

    /// Adds a processor.
    fn add(&self) {
        let added = output(&["add", &self.added.to_string(), "-p", &self.name]);
        let said = stderr(&added);
        // A quick program may end, and the run with it, before this gets its answer.
        let ended = said.contains("the connection to the partition broke");
        assert!(added.status.success() || ended, "{said}");
    }

    fn end(mut self) {
        assert!(self.run.wait().unwrap().success(), "{} ends well", self.name);
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // Only a failed test leaves a process here.
        let _ = self.run.kill();
        let _ = self.run.wait();
    }
}

/// Whether a command is installed. Prints a line if it is not.
fn at_hand(command: &'static str, version: &str) -> bool {
    let ran = Command::new(command).arg(version).output();
    let there = ran.is_ok_and(|ran| ran.status.success());
    if !there {
        skip(Need::Program(command), "what this runtime notices");
    }
    there
}

/// The source of a program in this folder.
fn text(name: &str) -> String {
    format!("{}/tests/runtimes/{name}", env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn python_counts_the_machine_and_its_affinity_mask_grows() {
    if !at_hand("python3", "--version") {
        return;
    }
    let Some(mut program) = Program::start("python", &["python3", &text("counts.py")]) else {
        return;
    };
    let before = program.says("start");
    assert_eq!(before.number("sched_getaffinity"), 1);
    program.add();
    let after = program.says("joined");
    assert_eq!(after.number("sched_getaffinity"), 2, "the new processor is counted");
    assert_eq!(after.number("cpu_count"), before.number("cpu_count"), "os.cpus counts the machine");
    program.end();
}

#[test]
fn openmp_keeps_its_number_of_threads_until_it_is_set() {
    if !at_hand("gcc", "--version") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let built = dir.path().join("counts");
    let mut gcc = Command::new("gcc");
    gcc.args(["-O1", "-fopenmp", &text("counts.c"), "-o"]).arg(&built);
    if !gcc.output().unwrap().status.success() {
        skip(Need::OpenMp, "what this runtime notices");
        return;
    }
    let Some(mut program) = Program::start("openmp", &[path(&built)]) else { return };
    let before = program.says("start");
    assert_eq!((before.number("num_procs"), before.number("max_threads")), (1, 1));
    program.add();
    let after = program.says("joined");
    assert_eq!(after.number("num_procs"), 2, "the new processor is counted");
    assert_eq!((after.number("max_threads"), after.number("team")), (1, 1), "they do not");
    let told = program.says("told");
    assert_eq!((told.number("max_threads"), told.number("team")), (2, 2), "by omp_set_num_threads");
    program.end();
}

#[test]
fn a_jvm_sees_the_new_processor_except_in_its_common_pool() {
    if !at_hand("java", "-version") {
        return;
    }
    let Some(mut program) = Program::start("java", &["java", &text("Counts.java")]) else { return };
    let before = program.says("start");
    assert_eq!((before.number("availableProcessors"), before.number("serial")), (1, 1));
    program.add();
    let after = program.says("joined");
    assert_eq!(after.number("availableProcessors"), 2, "the new processor is counted");
    assert_eq!(
        after.number("commonPool"),
        before.number("commonPool"),
        "the common pool is created once"
    );
    assert_eq!(after.number("serial"), 1, "the collector is chosen once");
    program.end();
}

#[test]
fn node_sees_the_new_processor_except_in_its_thread_pool() {
    if !at_hand("node", "--version") {
        return;
    }
    let Some(mut program) = Program::start("node", &["node", &text("counts.js")]) else { return };
    let before = program.says("start");
    assert_eq!(before.number("availableParallelism"), 1);
    program.add();
    let after = program.says("joined");
    assert_eq!(after.number("availableParallelism"), 2, "the new processor is counted");
    assert_eq!(after.number("cpus"), before.number("cpus"), "os.cpus counts the machine");
    program.end();
}

#[test]
fn go_keeps_gomaxprocs_until_it_is_set() {
    if !at_hand("go", "version") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let built = dir.path().join("counts");
    let mut go = Command::new("go");
    go.args(["build", "-o", path(&built), &text("counts.go")])
        .env("GOCACHE", dir.path().join("cache"));
    let built_it = go.output().unwrap();
    assert!(built_it.status.success(), "{}", stderr(&built_it));
    let Some(mut program) = Program::start("go", &[path(&built)]) else { return };
    let before = program.says("start");
    assert_eq!((before.number("NumCPU"), before.number("GOMAXPROCS")), (1, 1));
    program.add();
    let after = program.says("joined");
    assert_eq!(after.number("NumCPU"), 1, "NumCPU is read once");
    // From Go 1.25 on it is read again, at most once a second.
    if after.number("minor") < 25 {
        assert_eq!(after.number("GOMAXPROCS"), 1, "GOMAXPROCS is also set once");
    }
    assert_eq!(program.says("told").number("GOMAXPROCS"), 2, "by runtime.GOMAXPROCS");
    program.end();
}

#[test]
fn rust_sees_the_new_processor() {
    // The program is this test binary, which prints what it sees if a variable is set.
    if std::env::var_os("HOTADD_RUNTIMES").is_some() {
        // On its own line, because the harness prints the test's name without a line end.
        let sees = |word: &str| println!("\n{word} available_parallelism={}", threads());
        sees("start");
        while threads() == 1 {
            std::thread::yield_now();
        }
        sees("joined");
        return;
    }
    let this = std::env::current_exe().unwrap();
    let command = [
        "env",
        "HOTADD_RUNTIMES=1",
        path(&this),
        "--exact",
        "rust_sees_the_new_processor",
        "--nocapture",
    ];
    let Some(mut program) = Program::start("rust", &command) else { return };
    assert_eq!(program.says("start").number("available_parallelism"), 1);
    program.add();
    assert_eq!(
        program.says("joined").number("available_parallelism"),
        2,
        "the new processor is counted"
    );
    while program.lines.next().is_some() {}
    program.end();
}

fn threads() -> usize {
    std::thread::available_parallelism().unwrap().get()
}

fn path(path: &Path) -> &str {
    path.to_str().expect("a temporary folder's name is text")
}
