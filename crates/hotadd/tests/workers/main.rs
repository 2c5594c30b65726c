//! `Workers` over simulated processors: no job is lost or run twice, and nothing deadlocks.
#![cfg(not(hotadd_loom))]
#![expect(clippy::unwrap_used, reason = "helpers of tests are tests too")]

mod deadlocks;
mod leaving;
mod memory;
mod running;
mod stress;

use std::fs;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use hotadd::hardware::Simulated;
use hotadd::{HardwareId, Partition, Processor, ProcessorIndex, Workers};

/// Longer than any wait of a test that passes.
const LONG: Duration = Duration::from_secs(60);

fn partition(active: u32, spare: u32) -> (Arc<Simulated>, Partition) {
    let hardware = Simulated::new(active, spare).unwrap();
    let partition = Partition::simulated(&hardware).unwrap();
    (hardware, partition)
}

fn index(n: u32) -> ProcessorIndex {
    ProcessorIndex::new(n).unwrap()
}

/// Makes a worker run a job that waits until the returned sender is dropped. Returns when the job runs.
fn occupy(workers: &Workers, n: u32) -> Sender<()> {
    let (release, released) = channel::<()>();
    let (runs, running) = channel();
    let job = move || {
        runs.send(()).unwrap();
        // Ends with an error when the sender is dropped.
        let _ = released.recv();
    };
    workers.submit_to(index(n), job).unwrap();
    running.recv_timeout(LONG).unwrap();
    release
}

/// A job that sends the processor of its worker.
fn report(to: &Sender<Option<Processor>>) -> impl FnOnce() + Send + 'static {
    let to = to.clone();
    move || to.send(Workers::current()).unwrap()
}

fn id(told: &Receiver<Option<Processor>>) -> HardwareId {
    told.recv_timeout(LONG).unwrap().expect("a worker has a processor").id
}

/// The names of this process's threads that begin with this.
fn threads(prefix: &str) -> Vec<String> {
    let tasks = fs::read_dir("/proc/self/task").unwrap().flatten();
    let names = tasks.filter_map(|task| fs::read_to_string(task.path().join("comm")).ok());
    let mut names: Vec<_> = names.map(|name| name.trim_end().to_owned()).collect();
    names.retain(|name| name.starts_with(prefix));
    names.sort();
    names
}

/// Waits for an expected condition, and fails the test if it does not come true.
fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !holds() {
        assert!(begin.elapsed() < LONG, "not in time: {what}");
        // The pause only leaves the processor to those that are waited for.
        std::thread::sleep(Duration::from_millis(1));
    }
}
