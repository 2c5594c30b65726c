//! `hotadd daemon` as a service: it uses little memory.

use lab::Kernel;

use crate::common::daemon::{SAID, agent, begin, until, with_daemon};

/// Kilobytes of its own memory and its share of shared memory, including its program.
const MOST_KB: u64 = 10_000;

#[test]
fn a_daemon_with_ten_parties_uses_less_than_ten_megabytes() {
    let guest = with_daemon(Kernel::V6_12).cpus(1, 8).boot().unwrap();
    let daemon = begin(&guest, "", &[]);
    until(&guest, SAID, "listening at");
    for n in 0..10 {
        agent(&guest, &format!("agent{n}"), &[]);
    }
    guest.add_cpu(1).unwrap();
    until(&guest, SAID, "processor 1 joined");
    let memory = guest.read(&format!("/proc/{daemon}/smaps_rollup")).unwrap();
    for kind in ["Rss:", "Pss:"] {
        let line = memory.lines().find(|line| line.starts_with(kind)).unwrap();
        let kb: u64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
        assert!(kb < MOST_KB, "{kb} kB are resident: {memory}");
    }
}
