//! `hotadd daemon` on real kernels: what is hot-added comes online with everybody's consent alone, and who refused is said.

mod common;

use common::daemon::{LIMIT, SAID, agent, hotadd, online, start, until, with_daemon};
use common::{cpu, on_each_kernel};
use lab::Kernel;

const TERM: i32 = 15;

on_each_kernel!(a_processor_comes_online_with_everybodys_consent_alone);

fn a_processor_comes_online_with_everybodys_consent_alone(kernel: Kernel) {
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
        assert!(status.contains(line), "{kernel}: who did not see it is told {line:?}: {status}");
    }
    let (history, _) = hotadd(&guest, &["history"]);
    let refused = "refused processor 2 pool in";
    assert!(history.contains(refused), "{kernel}: {refused:?} is remembered: {history}");

    guest.signal(daemon, TERM).unwrap();
    assert!(guest.wait(daemon, LIMIT).unwrap().success());
    let active = guest.read(&cpu("online")).unwrap();
    assert_eq!(active.trim(), "0,2", "{kernel}: without a daemon they stay as they were");
}
