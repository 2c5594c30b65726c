//! Processors are switched by hand while a party is asked, on real kernels: the partition continues to look
//! (Q4), and calls come in pairs (X4).

use lab::{Guest, Kernel};

use crate::common::daemon::{SAID, agent, hotadd, online, put, start, told, until, with_daemon};
use crate::common::{cpu, on_each_kernel};

on_each_kernel!(q4_a_processor_switched_by_hand_while_a_party_is_asked_is_noticed_at_once);

/// A party that answers each AddStart only when `/tmp/go` exists, and after 8 seconds at the earliest.
const SCRIPT: &str = "#!/bin/sh
echo \"slow $1 $HOTADD_ID\" >> /tmp/slow
[ \"$1 $HOTADD_ID\" = 'add-start 2' ] || exit 0
[ -e /tmp/go ] || sleep 8
while [ ! -e /tmp/go ]; do sleep 0.1; done
";

fn q4_a_processor_switched_by_hand_while_a_party_is_asked_is_noticed_at_once(kernel: Kernel) {
    let guest = with_daemon(kernel).cpus(2, 8).boot().unwrap();
    guest.run(&["mkdir", "-p", "/etc/hotadd"]).unwrap();
    put(&guest, SCRIPT, "/etc/hotadd/slow");
    guest.run(&["chmod", "755", "/etc/hotadd/slow"]).unwrap();
    start(&guest, "[limits]\ntimeout = '120s'\n[[party]]\ndriver = 'exec:/etc/hotadd/slow'");
    agent(&guest, "pool", &[]);

    guest.add_cpu(2).unwrap();
    until(&guest, "/tmp/slow", "slow add-start 2");
    switches_the_processor_that_is_asked_about(kernel, &guest);
    switches_another_processor(kernel, &guest);
    let heard = guest.read("/tmp/slow").unwrap();
    let last = heard.lines().last().unwrap();
    assert_eq!(last, "slow add-start 2", "{kernel}: all of that while the party was thinking");

    put(&guest, "", "/tmp/go");
    let line = until(&guest, SAID, "2 stays out");
    assert!(line.contains("while the parties were being asked") && line.contains("Q4"), "{line}");
    assert_eq!(online(&guest, 2), "0", "{kernel}: it is not started");
    let of_two = told(&guest, "pool", 2);
    let failure = "AddFailure 2 as 0:2: STATUS_RETRY";
    assert_eq!(of_two, ["AddStart 2 as 0:2", failure], "{kernel}: the party that agreed is told");

    until(&guest, "/tmp/pool", "RemoveComplete 1");
    switch(&guest, 1, false);
    until(&guest, SAID, "1 vanished without a remove (X2)");
    guest.add_cpu(3).unwrap();
    until(&guest, SAID, "3 joined");
    let of_one = told(&guest, "pool", 1);
    let pair = ["AddStart 1 as 0:1", "AddComplete 1 as 0:1", "RemoveComplete 1 as 0:1, a surprise"];
    assert_eq!(of_one, pair, "{kernel}: one end to one beginning, however often it went (X4)");

    let (said, code) = hotadd(&guest, &["add", "2"]);
    assert_eq!(code, Some(0), "{kernel}: it is not touched now: {said}");
    let active = guest.read(&cpu("online")).unwrap();
    assert_eq!(active.trim(), "0,2-3", "{kernel}");
    let (status, _) = hotadd(&guest, &["status"]);
    assert!(
        status.contains("active: 0,2-3 (3 processors"),
        "{kernel}: as the kernel has it: {status}"
    );
}

fn switch(guest: &Guest, id: u32, on: bool) {
    guest.write(&cpu(&format!("cpu{id}/online")), if on { "1" } else { "0" }).unwrap();
}

/// On and off, twice.
fn switches_the_processor_that_is_asked_about(kernel: Kernel, guest: &Guest) {
    for _ in 0..2 {
        switch(guest, 2, true);
        let line = until(guest, SAID, "breach of Q4");
        assert!(line.contains("while the parties were being asked about it"), "{kernel}: {line}");
        let (status, _) = hotadd(guest, &["status"]);
        assert!(
            status.contains("active: 0-1 (2 processors"),
            "{kernel}: it has not joined: {status}"
        );
        switch(guest, 2, false);
    }
    let said = guest.read(SAID).unwrap();
    assert!(!said.contains("no driver was asked"), "{kernel}: the parties are being asked: {said}");
}

/// Off, and on again.
fn switches_another_processor(kernel: Kernel, guest: &Guest) {
    switch(guest, 1, false);
    until(guest, SAID, "1 vanished without a remove (X2)");
    let (status, _) = hotadd(guest, &["status"]);
    assert!(status.contains("active: 0 (1 processor"), "{kernel}: it is out at once: {status}");
    switch(guest, 1, true);
    until(guest, SAID, "1 joined without agreement (Q3)");
    let (status, _) = hotadd(guest, &["status"]);
    assert!(status.contains("active: 0-1 (2 processors"), "{kernel}: {status}");
    assert!(status.contains("joined without agreement: 1 (Q3)"), "{kernel}: {status}");
}
