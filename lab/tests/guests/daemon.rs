//! `hotadd daemon` on real kernels: a hot-added processor comes online only with the agreement of all
//! parties, and a refusal names the party.

use lab::Kernel;

use crate::common::daemon::{
    LIMIT, SAID, agent, begin, hotadd, online, put, start, until, with_daemon,
};
use crate::common::{cpu, on_each_kernel};

const TERM: i32 = 15;

const KILL: i32 = 9;

on_each_kernel!(
    a_processor_comes_online_only_with_the_agreement_of_all_parties,
    a_processor_plugged_in_before_the_daemon_listens_is_added,
);

fn a_processor_comes_online_only_with_the_agreement_of_all_parties(kernel: Kernel) {
    let guest = with_daemon(kernel).cpus(1, 8).boot().unwrap();
    let daemon = start(&guest, "");
    agent(&guest, "pool", &["refuse=2"]);

    guest.add_cpu(1).unwrap();
    until(&guest, SAID, "1 joined");
    assert_eq!(online(&guest, 1), "1", "{kernel}: all agreed, and it runs (A5)");

    guest.add_cpu(2).unwrap();
    until(&guest, SAID, "2 stays out");
    assert_eq!(online(&guest, 2), "0", "{kernel}: one refused, and it stays off (A3)");

    agent(&guest, "fragile", &["crash=3"]);
    guest.add_cpu(3).unwrap();
    until(&guest, SAID, "3 stays out");
    assert_eq!(online(&guest, 3), "0", "{kernel}: one died over the question (L3)");

    agent(&guest, "slow", &["hang=4"]);
    guest.add_cpu(4).unwrap();
    until(&guest, SAID, "4 stays out");
    assert_eq!(online(&guest, 4), "0", "{kernel}: one did not answer in time (L3)");

    guest.write(&cpu("cpu1/online"), "0").unwrap();
    until(&guest, SAID, "1 vanished"); // X2
    guest.write(&cpu("cpu2/online"), "1").unwrap();
    until(&guest, SAID, "2 joined without agreement"); // Q3
    assert_eq!(guest.read(&cpu("online")).unwrap().trim(), "0,2", "{kernel}: nothing was reversed");

    let (status, code) = hotadd(&guest, &["status"]);
    assert_eq!(code, Some(0), "{status}");
    for line in [
        "active: 0,2 (2 processors",
        "joined without agreement: 2 (Q3)",
        "could be added: 1,3-4",
        "processor 3 stays out: fragile refused: its connection was closed",
        "processor 4 stays out: slow refused: no answer in 2 s",
    ] {
        assert!(status.contains(line), "{kernel}: status reports {line:?}: {status}");
    }
    let (history, _) = hotadd(&guest, &["history"]);
    let refused = "refused processor 2 pool in";
    assert!(history.contains(refused), "{kernel}: {refused:?} is remembered: {history}");

    guest.signal(daemon, TERM).unwrap();
    assert!(guest.wait(daemon, LIMIT).unwrap().success());
    let active = guest.read(&cpu("online")).unwrap();
    assert_eq!(active.trim(), "0,2", "{kernel}: without a daemon they stay as they were");
}

fn a_processor_plugged_in_before_the_daemon_listens_is_added(kernel: Kernel) {
    let guest = with_daemon(kernel).cpus(1, 8).boot().unwrap();
    put(&guest, "#!/bin/sh\n>/tmp/asked; until [ -e /tmp/go ]; do sleep 0.1; done\n", "/tmp/slow");
    guest.run(&["chmod", "755", "/tmp/slow"]).unwrap();
    let slow = "[limits]\ntimeout = '10m'\n[[party]]\ndriver = 'exec:/tmp/slow'\n";
    guest.add_cpu(1).unwrap();
    let daemon = begin(&guest, slow, &[]);
    // The daemon has begun to register its party: the program is asked about processor 0.
    let asked = || guest.run(&["test", "-e", "/tmp/asked"]).unwrap().status.success();
    let began = std::time::Instant::now();
    while !asked() {
        assert!(began.elapsed() < LIMIT, "{kernel}: its party is asked");
    }
    guest.add_cpu(2).unwrap();
    let both = format!("{}{}", online(&guest, 1), online(&guest, 2));
    assert_eq!(both, "00", "{kernel}: nothing is added before all have registered");
    guest.run(&["touch", "/tmp/go"]).unwrap();
    until(&guest, SAID, "1 joined");
    until(&guest, SAID, "2 joined");

    guest.signal(daemon, KILL).unwrap();
    guest.wait(daemon, LIMIT).unwrap();
    guest.write(&cpu("cpu1/online"), "0").unwrap();
    guest.remove_cpu(2).unwrap();
    guest.add_cpu(2).unwrap();
    guest.add_cpu(3).unwrap();
    assert_eq!(online(&guest, 2), "0", "{kernel}: it came back while no daemon runs");
    let daemon = start(&guest, slow);
    until(&guest, SAID, "2 joined");
    until(&guest, SAID, "3 joined");
    assert_eq!(
        online(&guest, 2),
        "1",
        "{kernel}: it was pulled out and plugged in again: it is new"
    );
    assert_eq!(online(&guest, 1), "0", "{kernel}: it was decided, and then taken offline by hand");
    let (added, _) = hotadd(&guest, &["add", "1"]);
    assert_eq!(online(&guest, 1), "1", "{kernel}: asked for it is added: {added}");
    guest.signal(daemon, TERM).unwrap();
    assert!(guest.wait(daemon, LIMIT).unwrap().success());
}
