//! The time until a program knows that it may run on one more processor.
//!
//! Each measurement starts a process that may run on one processor, lets it run on a second one, and reads when the process knew.
//! Only masks of these processes change; no processor of the machine is switched.

use std::fs;
use std::io::{BufRead, BufReader, Lines, Write};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use hotadd::SetPage;
use rustix::process::Pid;
use rustix::thread::{CpuSet, sched_setaffinity};
use rustix::time::{ClockId, clock_gettime};

use crate::drivers::{partition, spare};
use crate::effort::{Effort, float, median};
use crate::machine::{pin, processors};
use crate::peer::go;
use crate::report::{Section, Table, met, time};
use crate::transactions::thousands;
use crate::watchers::Watcher;

/// A file whose writing makes the kernel send a uevent. It is the event of a device that does nothing. Like any other event, it
/// wakes the thread that watches for processors.
const UEVENT: &str = "/sys/devices/virtual/mem/null/uevent";

/// What the process that is watched is told by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Change {
    /// Its mask is widened. The kernel tells nobody.
    Mask,
    /// Its mask is widened, and the kernel sends an event.
    Event,
    /// A processor joins a partition in another process, which publishes its page.
    Page,
}

/// Rows of the table: name, program, change, rounds of a full run.
const ROWS: [(&str, Program, Change, usize); 9] = [
    (
        "`available_parallelism`, asked without a pause",
        Program::Watcher(Watcher::Std),
        Change::Mask,
        100,
    ),
    (
        "`num_cpus::get`, asked without a pause",
        Program::Watcher(Watcher::NumCpus),
        Change::Mask,
        100,
    ),
    (
        "`available_parallelism`, asked once a second",
        Program::Watcher(Watcher::StdEverySecond),
        Change::Mask,
        10,
    ),
    ("Go, `GOMAXPROCS` and `NumCPU`", Program::Go, Change::Mask, 1),
    (
        "hotadd, a mask is widened, until AddComplete",
        Program::Watcher(Watcher::Partition),
        Change::Mask,
        20,
    ),
    (
        "hotadd, the kernel sends an event, until AddComplete",
        Program::Watcher(Watcher::Partition),
        Change::Event,
        100,
    ),
    (
        "hotadd, the kernel sends an event, until an observer of `watch_process` is told",
        Program::Watcher(Watcher::Watching),
        Change::Event,
        100,
    ),
    (
        "hotadd, the kernel sends an event, until `Parallelism` calls back",
        Program::Watcher(Watcher::Parallelism),
        Change::Event,
        100,
    ),
    (
        "hotadd, a processor joins, until a reader of the page knows",
        Program::Watcher(Watcher::Page),
        Change::Page,
        100,
    ),
];

/// What is started.
#[derive(Clone, Copy, Debug)]
enum Program {
    Watcher(Watcher),
    Go,
}

/// What one process did.
enum Outcome {
    /// It knew after this many nanoseconds.
    Knew(f64),
    /// It had not noticed after three seconds.
    Never,
}

pub(crate) fn section(effort: Effort) -> Section {
    let mut table = Table::new(&[
        "a program knows",
        "median",
        "longest",
        "processor time while it waits",
        "<= 1 ms",
    ]);
    for (name, program, change, rounds) in ROWS {
        let cells = match measure(effort, program, change, rounds) {
            Ok((outcomes, share)) => cells(&outcomes, share, name.starts_with("hotadd")),
            Err(why) => [why.to_owned(), why.to_owned(), why.to_owned(), String::new()],
        };
        table.row([name.to_owned()].into_iter().chain(cells));
    }
    let processes =
        fs::read_dir("/proc").into_iter().flatten().flatten().filter(|entry| {
            entry.file_name().to_str().is_some_and(|name| name.parse::<u32>().is_ok())
        });
    let lead = format!("The machine has {} processes.", thousands(processes.count()));
    Section { name: "known", lead, tables: vec![table], plots: vec![] }
}

fn cells(outcomes: &[Outcome], share: f64, has_target: bool) -> [String; 4] {
    let knew: Vec<f64> = outcomes
        .iter()
        .filter_map(|outcome| match outcome {
            Outcome::Knew(after) => Some(*after),
            Outcome::Never => None,
        })
        .collect();
    let share = format!("{:.2} %", share * 100.0);
    if knew.is_empty() {
        return ["never (3 s)".to_owned(), "never (3 s)".to_owned(), share, String::new()];
    }
    let longest = knew.iter().copied().fold(0.0, f64::max);
    let middle = median(knew);
    let target = if has_target { met(middle.map(|m| m <= 1e6)) } else { "" };
    [time(middle), time(Some(longest)), share, target.to_owned()]
}

/// The outcomes, and the share of a processor that the process used while it waited.
fn measure(
    effort: Effort,
    program: Program,
    change: Change,
    rounds: usize,
) -> Result<(Vec<Outcome>, f64), &'static str> {
    let all = processors();
    let [first, second, ..] = all[..] else { return Err("needs two processors") };
    if change == Change::Event && fs::OpenOptions::new().write(true).open(UEVENT).is_err() {
        return Err("needs root");
    }
    let go = match program {
        Program::Go => Some(go().ok_or("missing")?),
        Program::Watcher(_) => None,
    };
    let mut outcomes = Vec::new();
    let mut shares = Vec::new();
    let waits = if effort == Effort::Once { Duration::ZERO } else { Duration::from_millis(40) };
    for _ in 0..effort.rounds(rounds) {
        let folder = tempfile::tempdir().map_err(|_| "no folder for a page")?;
        let page = folder.path().join("set");
        let partition = partition(1);
        let published = partition.publish_page(&page, None).map_err(|_| "no page")?;
        let mut command = match (&go, program) {
            (Some(go), _) => {
                let mut command = Command::new(go);
                command.arg(if effort == Effort::Once { "50ms" } else { "3s" });
                command
            }
            (None, Program::Watcher(watcher)) => watcher.command(&page),
            (None, Program::Go) => return Err("missing"),
        };
        // It inherits the mask. The one that measures has the other processor.
        pin(&[first]);
        let started = Started::new(&mut command);
        pin(&[second]);
        let mut started = started.ok_or("cannot be started")?;
        let before = (now(), started.used());
        // Long enough for it to wait again, and to see what waiting costs.
        sleep(waits);
        shares.push((started.used() - before.1) / (now() - before.0).max(1.0));
        let began = now();
        match change {
            Change::Mask => started.widen(&[first, second]),
            Change::Event => {
                started.widen(&[first, second]);
                fs::write(UEVENT, "change").map_err(|_| "needs root")?;
            }
            Change::Page => _ = partition.add(spare(&partition)).map_err(|_| "not added")?,
        }
        outcomes.push(started.outcome(began).ok_or("ended without an answer")?);
        pin(&all);
        drop(published);
    }
    pin(&all);
    Ok((outcomes, shares.iter().sum::<f64>() / float(shares.len())))
}

/// A process that is waiting for a change.
struct Started {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Started {
    fn new(command: &mut Command) -> Option<Self> {
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().ok()?;
        let lines = BufReader::new(child.stdout.take()?).lines();
        let mut started = Self { child, lines };
        let ready = started.lines.next()?.ok()? == "ready";
        ready.then_some(started)
    }

    /// Lets its first thread run on these processors.
    fn widen(&self, processors: &[usize]) {
        let mut set = CpuSet::new();
        processors.iter().for_each(|processor| set.set(*processor));
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        sched_setaffinity(pid, &set).expect("the mask of an own child");
    }

    /// The processor time of all its threads, in nanoseconds.
    fn used(&self) -> f64 {
        let tasks = fs::read_dir(format!("/proc/{}/task", self.child.id())).into_iter().flatten();
        let used = |task: &Path| {
            let text = fs::read_to_string(task.join("schedstat")).ok()?;
            text.split(' ').next()?.parse::<f64>().ok()
        };
        tasks.flatten().filter_map(|task| used(&task.path())).sum()
    }

    fn outcome(&mut self, began: f64) -> Option<Outcome> {
        let line = self.lines.next()?.ok()?;
        match line.strip_prefix("known ") {
            Some(at) => Some(Outcome::Knew((at.parse::<f64>().ok()? - began).max(0.0))),
            None if line == "never" => Some(Outcome::Never),
            None => None,
        }
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The monotonic clock, which all processes share, in nanoseconds. Exact to a quarter of a microsecond after a month.
pub(crate) fn now() -> f64 {
    let now = clock_gettime(ClockId::Monotonic);
    Duration::new(now.tv_sec.unsigned_abs(), u32::try_from(now.tv_nsec).unwrap_or(0)).as_secs_f64()
        * 1e9
}

/// For the processes that are started: says that it is known now.
pub(crate) fn known() {
    let at = now();
    let mut output = std::io::stdout();
    // Without a reader there is nobody to tell.
    let _ = writeln!(output, "known {at:.0}");
    let _ = output.flush();
}

/// Opens the page of the partition that measures.
pub(crate) fn page(path: &Path) -> SetPage {
    SetPage::open(path).expect("the page was published before")
}
