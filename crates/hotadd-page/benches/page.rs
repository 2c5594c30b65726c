//! What a reader of a page pays: count and epoch, the whole set, and the time until a waiting process knows of a change.
//!
//! The last one is measured between two processes: the writer notes the time before it publishes, the reader notes the time when
//! `wait` returns. Both use the machine's monotonic clock.

use std::hint::black_box;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use hotadd_core::{ActiveSet, HardwareId};
use hotadd_page::{PageWriter, SetPage};
use rustix::time::{ClockId, clock_gettime};

const CHANGES: usize = 2_000;
const READER: &str = "HOTADD_PAGE_READER";

fn now() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    now.tv_sec.cast_unsigned() * 1_000_000_000 + now.tv_nsec.cast_unsigned()
}

fn median(mut all: Vec<u64>) -> u64 {
    all.sort_unstable();
    all[all.len() / 2]
}

/// The median of 30 rounds, in nanoseconds for one call.
fn each(calls: u32, mut call: impl FnMut()) -> f64 {
    let rounds = (0..30).map(|_| {
        let began = Instant::now();
        (0..calls).for_each(|_| call());
        u64::try_from(began.elapsed().as_nanos()).unwrap_or(u64::MAX)
    });
    median(rounds.collect()) as f64 / f64::from(calls)
}

fn main() {
    if let Some(path) = std::env::var_os(READER) {
        return read_along(&SetPage::open(path).unwrap());
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bench.set");
    let ids: Vec<_> = (0..2048).map(HardwareId).collect();
    let set = ActiveSet::first(&ids, 2048).unwrap();
    let mut writer = PageWriter::create(&path, None, &set).unwrap();
    let page = SetPage::open(&path).unwrap();

    // `cargo test --benches` runs this once, to check that it works.
    let bench = std::env::args().any(|arg| arg == "--bench");
    let calls = if bench { 100_000 } else { 10 };
    println!(
        "count and epoch          {:8.2} ns",
        each(calls, || {
            black_box(page.summary());
        })
    );
    let mut snapshot = page.snapshot().unwrap();
    println!(
        "set of 2,048, again      {:8.2} ns",
        each(calls / 10, || page.refresh(black_box(&mut snapshot)).unwrap())
    );
    println!(
        "set of 2,048, first time {:8.2} ns",
        each(calls / 10, || drop(black_box(page.snapshot().unwrap())))
    );
    println!(
        "publish, nobody waits    {:8.2} ns",
        each(calls / 10, || writer.publish(black_box(&set)))
    );

    let changes = if bench { CHANGES } else { 5 };
    let mut reader = Command::new(std::env::current_exe().unwrap())
        .env(READER, &path)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(reader.stdout.take().unwrap()).lines();
    assert_eq!(lines.next().unwrap().unwrap(), "ready");
    let (mut current, mut published) = (set, Vec::new());
    for n in 0..changes {
        // Long enough for the reader to wait again.
        thread::sleep(Duration::from_micros(500));
        let id = HardwareId(u32::try_from(n % 2).unwrap());
        current = match current.lose(&[id]) {
            Some((less, _)) => less,
            None => current.intrude(id).unwrap().0,
        };
        published.push((current.epoch().0, now()));
        writer.publish(&current);
    }
    drop(writer);
    let seen: Vec<(u64, u64)> = lines
        .map(|line| {
            let line = line.unwrap();
            let (epoch, time) = line.split_once(' ').unwrap();
            (epoch.parse().unwrap(), time.parse().unwrap())
        })
        .collect();
    reader.wait().unwrap();
    let took = published.iter().filter_map(|(epoch, at)| {
        let (_, seen) = seen.iter().find(|(seen, _)| seen == epoch)?;
        Some(seen.saturating_sub(*at))
    });
    let took: Vec<_> = took.collect();
    println!(
        "a waiting process knows  {:8.2} us  (median of {})",
        median(took.clone()) as f64 / 1000.0,
        took.len()
    );
}

/// In another process: notes when it knows of each change, and prints it at the end.
fn read_along(page: &SetPage) {
    println!("ready");
    let (mut seen, mut all) = (page.epoch(), Vec::with_capacity(CHANGES));
    while let Ok(Some(epoch)) = page.wait(seen, Some(Duration::from_secs(10))) {
        all.push((epoch.0, now()));
        seen = epoch;
    }
    for (epoch, time) in all {
        println!("{epoch} {time}");
    }
}
