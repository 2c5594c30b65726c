//! Processors that are brought online without the daemon, on real kernels.

use std::time::Instant;

use lab::{Guest, Kernel};

use crate::common::daemon::{LIMIT, SAID, agent, hotadd, online, start, told, until, with_daemon};
use crate::common::{bring, cpu, on_each_kernel};

on_each_kernel!(q3_a_processor_onlined_by_others_is_revoked_or_reported);

fn q3_a_processor_onlined_by_others_is_revoked_or_reported(kernel: Kernel) {
    // The files that do it without an event exist for processors that were present at boot.
    let guest = with_daemon(kernel).cpus(2, 4).kernel_line("maxcpus=1").boot().unwrap();
    start(&guest, "[hardware]\npolicy = 'revoke'\nat-start = 'leave'");
    agent(&guest, "pool", &["refuse=2"]);
    guest.add_cpu(2).unwrap();
    until(&guest, SAID, "2 stays out");
    for time in 1..=3 {
        bring(&guest, 2);
        until_times(&guest, "2 was brought online by another process", time);
        assert_eq!(online(&guest, 2), "0", "{kernel}: taken off for the {time}th time");
    }
    let line = until(&guest, SAID, "2 was brought online by another process");
    assert!(line.contains("Q3"), "{kernel}: the clause that was broken is named: {line}");
    let (status, _) = hotadd(&guest, &["status"]);
    assert!(status.contains("active: 0 (1 processors"), "{kernel}: it never joined: {status}");
    bring(&guest, 2);
    until(&guest, SAID, "2 joined without agreement (Q3)");
    assert_eq!(online(&guest, 2), "1", "{kernel}: a repeated intruder stays and is reported");
    let all = told(&guest, "pool", 2);
    assert_eq!(all, ["AddStart 2 as 0:1"], "{kernel}: no one was asked about an intruder (Q3)");

    without_an_event(kernel, &guest);
}

/// Changes that only the poll can find.
fn without_an_event(kernel: Kernel, guest: &Guest) {
    let states = guest.read(&cpu("hotplug/states")).unwrap();
    let top = states.lines().last().and_then(|line| line.split(':').next()).unwrap();
    let from = guest.next_uevent().unwrap();
    let target = cpu("cpu1/hotplug/target");
    guest.write(&target, top).unwrap();
    until(guest, SAID, "1 joined without agreement (Q3)");
    let cannot =
        "1 cannot be taken offline again: the kernel accepted the write, but it is still online";
    until(guest, SAID, cannot);
    let (status, _) = hotadd(guest, &["status"]);
    assert!(status.contains("joined without agreement: 1-2 (Q3)"), "{kernel}: {status}");

    guest.write(&target, "0").unwrap();
    until(guest, SAID, "1 vanished without a remove (X2)");
    let all = guest.uevents(from).unwrap();
    let silent = !all.iter().any(|event| event.head.contains("/cpu1"));
    assert!(silent, "{kernel}: the kernel sent nothing, the poll has found both: {all:?}");
    let heard = told(guest, "pool", 1);
    assert_eq!(
        heard, [""; 0],
        "{kernel}: nobody was told that it came, and so not that it went (X4)"
    );
}

/// Waits until this text was logged so many times.
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
