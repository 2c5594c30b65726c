//! The daemon is stopped, processors come and go meanwhile, and the kernel's messages about them are lost.

use std::time::{Duration, Instant};

use lab::{Guest, Kernel};

use super::daemon::{LIMIT, SAID, agent, hotadd, start, told, until, until_within, with_daemon};
use super::{MANY, cpu, text};

/// Enough for adding hundreds of processors on a busy machine.
const ALL: Duration = Duration::from_secs(600);

const CONT: i32 = 18;
const STOP: i32 = 19;

/// One of three processors leaves, one is gone for a moment, and `more` are plugged in. All messages are lost.
pub(crate) fn nothing_is_missed_when_messages_are_lost(kernel: Kernel, more: u32) {
    let last = 2 + more;
    let guest = with_daemon(kernel).cpus(1, MANY.max(1 + last)).boot().unwrap();
    let daemon = start(&guest, "");
    agent(&guest, "pool", &["only=0-2"]);
    for n in [1, 2] {
        guest.add_cpu(n).unwrap();
        until(&guest, SAID, &format!("{n} joined"));
    }

    guest.signal(daemon, STOP).unwrap();
    flood(&guest, daemon);
    let before = lost(&guest, daemon);
    switch(&guest, 1, 5, "0 1 0");
    switch(&guest, 2, 5, "0 1");
    (3..=last).for_each(|n| guest.plug(n as usize).unwrap());
    let (began, all) = (Instant::now(), format!("0-{last}"));
    while guest.read(&cpu("present")).unwrap() != all {
        assert!(began.elapsed() < LIMIT, "{kernel}: all {last} are there");
    }
    let lost = lost(&guest, daemon) - before;
    assert!(lost >= u64::from(more), "{kernel}: what was said of them is lost: {lost}");
    guest.signal(daemon, CONT).unwrap();

    until(&guest, SAID, "1 vanished without a remove (X2)");
    until_within(&guest, SAID, &format!("processor {last} stays out"), ALL);
    let said = guest.read(SAID).unwrap();
    for n in 3..=last {
        let once = [format!("AddStart {n} as 0:3")];
        assert_eq!(told(&guest, "pool", n), once, "{kernel}: asked about {n} once");
        for what in ["appeared", "stays out"] {
            let line = format!("processor {n} {what}");
            assert_eq!(said.matches(&line).count(), 1, "{kernel}: {line:?} is said once: {said}");
        }
    }
    let (status, _) = hotadd(&guest, &["status"]);
    assert!(status.contains("active: 0,2 (2 processors"), "{kernel}: as it is: {status}");
    for n in 3..=last {
        let line = format!("processor {n} stays out: pool refused: ");
        assert_eq!(status.matches(&line).count(), 1, "{kernel}: {line:?} is in {status}");
    }
    assert_eq!(guest.read(&cpu("online")).unwrap(), "0,2", "{kernel}: nothing was started");
    assert!(
        !said.contains("2 vanished"),
        "{kernel}: a processor that came back has not vanished: {said}"
    );

    // The same with room for the messages, which report the processor that was gone.
    guest.signal(daemon, STOP).unwrap();
    switch(&guest, 1, 5, "1 0 1");
    switch(&guest, 2, 5, "0 1");
    guest.signal(daemon, CONT).unwrap();
    let lines = [
        "1 joined without agreement (Q3)",
        "2 vanished without a remove (X2)",
        "2 joined without agreement (Q3)",
    ];
    lines.iter().for_each(|line| drop(until(&guest, SAID, line)));
    let (status, _) = hotadd(&guest, &["status"]);
    assert!(status.contains("active: 0-2 (3 processors"), "{kernel}: as it is: {status}");
    let said = guest.read(SAID).unwrap();
    for line in lines {
        assert_eq!(said.matches(line).count(), 1, "{kernel}: of many times one is said: {said}");
    }
}

/// Another process writes these values to a processor's switch so many times. The last value stays.
fn switch(guest: &Guest, id: u32, times: u32, values: &str) {
    let path = cpu(&format!("cpu{id}/online"));
    let script = format!(
        "for i in $(seq {times}); do for v in {values}; do echo $v > {path} || exit 1; done; done"
    );
    let ran = guest.run(&["sh", "-c", &script]).unwrap();
    assert!(ran.status.success(), "{}", text(&ran.stderr));
}

/// The number of messages that the kernel could not deliver to the uevent socket of this process.
fn lost(guest: &Guest, pid: u32) -> u64 {
    let table = guest.read("/proc/net/netlink").unwrap();
    let rows = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    // Column 1 is the protocol, 15 for uevents; 2 the address, a process id for its first socket; 8 the drops.
    let mut of_it = rows.filter(|row| row.get(1..3) == Some(&["15", &pid.to_string()]));
    let drops = of_it.next().and_then(|row| row.get(8)?.parse().ok());
    drops.unwrap_or_else(|| panic!("process {pid} listens to uevents: {table}"))
}

/// Makes the kernel send more than the buffer of a process that does not read.
fn flood(guest: &Guest, pid: u32) {
    let many = "i=0; while [ $i -lt 1000 ]; do echo change; i=$((i+1)); done > /sys/devices/system/cpu/cpu0/uevent";
    let began = Instant::now();
    while lost(guest, pid) == 0 {
        let ran = guest.run(&["sh", "-c", many]).unwrap();
        assert!(ran.status.success(), "{}", text(&ran.stderr));
        assert!(began.elapsed() < LIMIT, "there is an end to what it keeps");
    }
}
