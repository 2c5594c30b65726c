//! Somebody else's hand on real kernels: processors that are brought online past the daemon.

mod common;

use std::time::Instant;

use common::daemon::{LIMIT, SAID, agent, hotadd, online, start, told, until, with_daemon};
use common::{cpu, on_each_kernel};
use lab::{Guest, Kernel};

on_each_kernel!(
    with_policy_revoke_an_intruder_is_taken_off_again_until_three_times_are_enough,
    one_that_is_brought_online_without_an_event_is_found_all_the_same,
);

fn bring(guest: &Guest, id: u32) {
    guest.write(&cpu(&format!("cpu{id}/online")), "1").unwrap();
}

fn with_policy_revoke_an_intruder_is_taken_off_again_until_three_times_are_enough(kernel: Kernel) {
    let guest = with_daemon(kernel).cpus(1, 4).boot().unwrap();
    start(&guest, "[hardware]\npolicy = 'revoke'");
    agent(&guest, "pool", &["refuse=1"]);
    guest.add_cpu(1).unwrap();
    until(&guest, SAID, "1 stays out");
    for time in 1..=3 {
        bring(&guest, 1);
        until_times(&guest, "processor 1 was brought online by somebody else", time);
        assert_eq!(online(&guest, 1), "0", "{kernel}: taken off for the {time}th time");
    }
    let line = until(&guest, SAID, "brought online by somebody else");
    assert!(line.contains("Q3"), "{kernel}: the clause that was broken is named: {line}");
    let (status, _) = hotadd(&guest, &["status"]);
    assert!(status.contains("active: 0 (1 processors"), "{kernel}: it never joined: {status}");

    bring(&guest, 1);
    until(&guest, SAID, "1 joined without agreement");
    assert_eq!(online(&guest, 1), "1", "{kernel}: who insists is let be, and it is said");
    let all = told(&guest, "pool", 1);
    assert_eq!(all, ["AddStart 1 as 0:1"], "{kernel}: no one was asked about an intruder (Q3)");
}

/// Waits until this was said so many times.
fn until_times(guest: &Guest, part: &str, times: usize) {
    let began = Instant::now();
    loop {
        let said = guest.read(SAID).unwrap();
        if said.matches(part).count() == times {
            return;
        }
        assert!(began.elapsed() < LIMIT, "{part:?} is said {times} times: {said}");
    }
}

fn one_that_is_brought_online_without_an_event_is_found_all_the_same(kernel: Kernel) {
    // The file that does it is there for processors that were present at boot.
    let guest = with_daemon(kernel).cpus(3, 3).kernel_line("maxcpus=2").boot().unwrap();
    start(&guest, "[hardware]\npolicy = 'revoke'");
    agent(&guest, "pool", &[]);
    let states = guest.read(&cpu("hotplug/states")).unwrap();
    let top = states.lines().last().and_then(|line| line.split(':').next()).unwrap();
    let from = guest.next_uevent().unwrap();
    let target = cpu("cpu2/hotplug/target");
    guest.write(&target, top).unwrap();
    until(&guest, SAID, "2 joined without agreement (Q3)");
    let cannot = "2 cannot be taken offline again: the kernel took the write, and it is online";
    until(&guest, SAID, cannot);
    let (status, _) = hotadd(&guest, &["status"]);
    assert!(status.contains("joined without agreement: 2 (Q3)"), "{kernel}: {status}");

    guest.write(&target, "0").unwrap();
    until(&guest, SAID, "2 vanished without asking (X2)");
    let all = guest.uevents(from).unwrap();
    let silent = !all.iter().any(|event| event.head.contains("/cpu2"));
    assert!(silent, "{kernel}: the kernel sent nothing, the poll has found both: {all:?}");
    until(&guest, "/tmp/pool", "RemoveComplete 2");
    let heard = told(&guest, "pool", 2);
    assert_eq!(
        heard,
        ["RemoveComplete 2 as 0:2, a surprise"],
        "{kernel}: who wants to know is told (X2)"
    );
}
