//! The cost of holding: creating a partition over a process with many threads, and watching them while
//! nothing happens.
//!
//! `cargo bench -p hotadd --bench holding`. The processor time of the watcher's thread is the kernel's
//! count over ten seconds, scaled to a minute.

use std::sync::mpsc::{Sender, channel};
use std::thread::{Builder, JoinHandle, sleep};
use std::time::{Duration, Instant};
use std::{fs, iter};

use hotadd::Partition;

/// The time of watching.
const WHILE: Duration = Duration::from_secs(10);

fn main() {
    // `cargo test` runs it once, to check that it works.
    if !std::env::args().any(|word| word == "--bench") {
        let crowd = Crowd::of(10);
        open();
        return crowd.end();
    }
    for threads in [10, 1_000, 10_000] {
        let crowd = Crowd::of(threads);
        let mut opened: Vec<Duration> = iter::repeat_with(open).take(7).collect();
        opened.sort_unstable();
        let partition = Partition::process().expect("a partition of this process");
        // After this, the first look is over.
        sleep(Duration::from_secs(1));
        let before = watcher_nanos();
        sleep(WHILE);
        let spent = Duration::from_nanos(watcher_nanos() - before);
        let a_minute = spent * 60 / u32::try_from(WHILE.as_secs()).expect("seconds");
        let share = spent.as_secs_f64() / WHILE.as_secs_f64() * 100.0;
        println!(
            "{threads:>6} threads: opened in {:?} (median of {}), watched over for {a_minute:?} a minute ({share:.2} % of a processor)",
            opened[opened.len() / 2],
            opened.len()
        );
        drop(partition);
        crowd.end();
    }
}

/// Creates and drops a partition. Returns the time of creating it.
fn open() -> Duration {
    let began = Instant::now();
    let partition = Partition::process().expect("a partition of this process");
    let took = began.elapsed();
    drop(partition);
    took
}

/// Threads that wait.
struct Crowd(Vec<(Sender<()>, JoinHandle<()>)>);

impl Crowd {
    fn of(threads: usize) -> Self {
        let thread = || {
            let (end, ended) = channel();
            let wait = move || {
                let _ = ended.recv();
            };
            (end, Builder::new().stack_size(16 * 1024).spawn(wait).expect("a thread"))
        };
        Self(iter::repeat_with(thread).take(threads).collect())
    }

    fn end(self) {
        for (end, thread) in self.0 {
            drop(end);
            thread.join().expect("it only waits");
        }
    }
}

/// The processor time of the watchers' threads in this process.
fn watcher_nanos() -> u64 {
    let tasks = fs::read_dir("/proc/self/task").expect("/proc").flatten();
    let is_watcher = |path: &std::path::Path| {
        fs::read_to_string(path.join("comm")).is_ok_and(|name| name.trim() == "hotadd-watch")
    };
    let nanos = |path: std::path::PathBuf| {
        let text = fs::read_to_string(path.join("schedstat")).ok()?;
        text.split_whitespace().next()?.parse::<u64>().ok()
    };
    tasks.map(|task| task.path()).filter(|path| is_watcher(path)).filter_map(nanos).sum()
}
