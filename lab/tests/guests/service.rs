//! `hotadd daemon` as a service: it uses little memory.

use lab::Kernel;

use crate::common::daemon::{SAID, agent, begin, until, with_daemon};

/// Kilobytes of a released program with everything: its own memory, and its share of shared memory.
const MOST_KB: u64 = 10_000;

/// Kilobytes of memory that is of no file. A program for tests is much larger than a released one, so only this is compared.
const MOST_KB_OF_DATA: u64 = 5_000;

#[test]
fn a_daemon_with_ten_parties_uses_little_memory() {
    let guest = with_daemon(Kernel::V6_12).cpus(1, 8).boot().unwrap();
    let daemon = begin(&guest, "", &[]);
    until(&guest, SAID, "listening at");
    for n in 0..10 {
        agent(&guest, &format!("agent{n}"), &[]);
    }
    guest.add_cpu(1).unwrap();
    until(&guest, SAID, "processor 1 joined");
    let memory = guest.read(&format!("/proc/{daemon}/smaps_rollup")).unwrap();
    // With `cargo test --release` the guests have released programs.
    let whole = !cfg!(debug_assertions);
    let kinds = [("Rss:", MOST_KB), ("Pss:", MOST_KB)].into_iter().filter(|_| whole);
    for (kind, most) in kinds.chain([("Anonymous:", MOST_KB_OF_DATA)]) {
        let line = memory.lines().find(|line| line.starts_with(kind)).unwrap();
        let kb: u64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
        println!("{kind} {kb} kB");
        assert!(kb < most, "{kind} {kb} kB: {memory}");
    }
}
