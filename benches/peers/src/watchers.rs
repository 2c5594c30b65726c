//! The processes that wait until they may run on one more processor: this program, started with the name of a way to wait.

use std::path::Path;
use std::process::Command;
use std::thread::{self, sleep};
use std::time::Duration;

use hotadd::{Event, Notice, Parallelism, Partition, State};

use crate::known::{known, page};

/// The argument before the name.
pub(crate) const WATCH: &str = "watch";

/// How a process waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Watcher {
    Std,
    StdEverySecond,
    NumCpus,
    Partition,
    Watching,
    Parallelism,
    Page,
}

const ALL: [(Watcher, &str); 7] = [
    (Watcher::Std, "std"),
    (Watcher::StdEverySecond, "std-every-second"),
    (Watcher::NumCpus, "num-cpus"),
    (Watcher::Partition, "partition"),
    (Watcher::Watching, "watching"),
    (Watcher::Parallelism, "parallelism"),
    (Watcher::Page, "page"),
];

impl Watcher {
    /// The command that starts this program so.
    pub(crate) fn command(self, page: &Path) -> Command {
        let (_, name) = ALL.iter().find(|(watcher, _)| *watcher == self).expect("all are named");
        let program = std::env::current_exe().expect("the path of this program");
        let mut command = Command::new(program);
        command.arg(WATCH).arg(name).arg(page);
        command
    }

    pub(crate) fn named(name: &str) -> Option<Self> {
        ALL.iter().find(|(_, word)| *word == name).map(|(watcher, _)| *watcher)
    }

    /// Waits for a change, and says when it is known.
    pub(crate) fn run(self, path: &Path) {
        match self {
            Self::Std => poll(Duration::ZERO, count),
            Self::StdEverySecond => poll(Duration::from_secs(1), count),
            Self::NumCpus => poll(Duration::ZERO, num_cpus::get),
            Self::Partition => {
                let partition = Partition::process().expect("a partition of this process");
                let (sender, joined) = std::sync::mpsc::channel();
                let driver = move |notice: &Notice| {
                    // The replay is of the first processor.
                    if notice.state() == State::AddComplete && notice.processor().index.get() > 0 {
                        known();
                        let _ = sender.send(());
                    }
                    Ok(())
                };
                let _registration = partition.register("watcher", driver).expect("it agrees");
                println!("ready");
                let _ = joined.recv();
            }
            Self::Watching => {
                let partition = Partition::watch_process().expect("a partition of this process");
                let (sender, told) = std::sync::mpsc::channel();
                let observer = move |_: &Event| {
                    // Nothing else happens in this process.
                    known();
                    let _ = sender.send(());
                };
                let _observation = partition.observe(observer).expect("no callback");
                println!("ready");
                let _ = told.recv();
            }
            Self::Parallelism => {
                let parallelism = Parallelism::of_process().expect("a number for this process");
                let (sender, told) = std::sync::mpsc::channel();
                let _callback = parallelism.on_change(move |_| {
                    known();
                    let _ = sender.send(());
                });
                println!("ready");
                let _ = told.recv();
            }
            Self::Page => {
                let page = page(path);
                let epoch = page.epoch();
                println!("ready");
                if let Ok(Some(_)) = page.wait(epoch, Some(Duration::from_secs(10))) {
                    known();
                }
            }
        }
    }
}

fn count() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}

/// Asks until there are more.
fn poll(pause: Duration, count: fn() -> usize) {
    let before = count();
    println!("ready");
    while count() == before {
        if !pause.is_zero() {
            sleep(pause);
        }
    }
    known();
}
