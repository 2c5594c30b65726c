//! Processors that leave, on real kernels: with agreement, under load, against a veto, and unplugged by the
//! hypervisor.

use lab::{Guest, Kernel};

use crate::common::daemon::{LIMIT, SAID, agent, hotadd, online, start, told, until, with_daemon};
use crate::common::{cpu, on_each_kernel};

const KILL: i32 = 9;

on_each_kernel!(x1_x2_a_processor_leaves_with_agreement_and_an_unplugged_one_is_a_surprise);

/// Starts a busy program on this processor. Returns its process id.
fn busy(guest: &Guest, id: u32) -> u32 {
    let mask = format!("{:x}", 1 << id);
    let said = format!("/tmp/busy{id}");
    let endless = "echo busy; while :; do :; done";
    let pid = guest.start(&["taskset", &mask, "sh", "-c", endless], &said).unwrap();
    until(guest, &said, "busy");
    pid
}

fn x1_x2_a_processor_leaves_with_agreement_and_an_unplugged_one_is_a_surprise(kernel: Kernel) {
    let guest = with_daemon(kernel).cpus(1, 8).boot().unwrap();
    start(&guest, "");
    agent(&guest, "pool", &["keep=2"]);
    agent(&guest, "other", &[]);
    for n in 1..=3 {
        guest.add_cpu(n).unwrap();
        until(&guest, SAID, &format!("{n} joined"));
    }
    let loops: Vec<_> = [1, 3].into_iter().map(|n| busy(&guest, n)).collect();
    let (said, code) = hotadd(&guest, &["remove", "1"]);
    assert_eq!(code, Some(0), "{kernel}: although something runs on it: {said}");
    assert_eq!(online(&guest, 1), "0", "{kernel}");
    end(&guest, &loops);
    for name in ["pool", "other"] {
        let last = told(&guest, name, 1).split_off(2);
        let both = ["RemoveStart 1 as 0:1", "RemoveComplete 1 as 0:1"];
        assert_eq!(last, both, "{kernel}: {name} was asked, and then told (X1)");
    }
    let (said, code) = hotadd(&guest, &["remove", "2"]);
    assert_eq!(code, Some(1), "{kernel}: {said}");
    assert!(said.contains("pool refused") && said.contains("busy on 2"), "{kernel}: {said}");
    assert_eq!(online(&guest, 2), "1", "{kernel}: one refused, and it stays (X1)");
    let pool = told(&guest, "pool", 2).split_off(2);
    assert_eq!(pool, ["RemoveStart 2 as 0:2"], "{kernel}: the refusing party is not told");
    let other = told(&guest, "other", 2).split_off(2);
    let stays = "RemoveFailure 2 as 0:2: STATUS_INSUFFICIENT_RESOURCES";
    assert_eq!(
        other,
        ["RemoveStart 2 as 0:2", stays],
        "{kernel}: the party that agreed is told (X1)"
    );

    let (said, _) = hotadd(&guest, &["add", "1"]);
    assert!(said.starts_with("processor 1 joined (index 1, 0:1"), "{kernel}: X3: {said}");
    guest.write(&cpu("cpu1/online"), "0").unwrap();
    until(&guest, SAID, "1 vanished without a remove (X2)");
    let (status, _) = hotadd(&guest, &["status"]);
    assert!(status.contains("\nvanished without a remove: 1 (X2)\n"), "{kernel}: {status}");
    let (said, _) = hotadd(&guest, &["add", "1"]);
    assert!(said.starts_with("processor 1 joined (index 1, 0:1"), "{kernel}: X3: {said}");
    let (status, _) = hotadd(&guest, &["status"]);
    assert!(!status.contains("vanished"), "{kernel}: it is back, by agreement: {status}");

    let bound = busy(&guest, 3);
    guest.remove_cpu(3).unwrap();
    end(&guest, &[bound]);
    until(&guest, SAID, "3 vanished without a remove (X2)");
    for name in ["pool", "other"] {
        until(&guest, &format!("/tmp/{name}"), "RemoveComplete 3");
        let last = told(&guest, name, 3).split_off(2);
        let surprise = ["RemoveComplete 3 as 0:3, a surprise"];
        assert_eq!(last, surprise, "{kernel}: {name} is told without having been asked (X2)");
    }
    let (status, _) = hotadd(&guest, &["status"]);
    for line in ["active: 0-2 (3", "vanished without a remove: 3 (X2)", "could be added: none"] {
        assert!(status.contains(line), "{kernel}: {line:?} is said: {status}");
    }
    let (history, _) = hotadd(&guest, &["history"]);
    let left = " left processor 3 without a remove (X2)";
    assert!(history.contains(left), "{kernel}: {left:?} is remembered: {history}");
    let (status, _) = hotadd(&guest, &["status", "--json"]);
    let status: serde_json::Value = serde_json::from_str(&status).unwrap();
    assert_eq!((&status["vanished"], &status["active"]), (&"3".into(), &"0-2".into()), "{kernel}");
    let (history, _) = hotadd(&guest, &["history", "--json"]);
    let events =
        history.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    let left = |event: &serde_json::Value| event["event"] == "left" && event["id"] == 3;
    let left: Vec<_> = events.filter(left).collect();
    let [left] = &left[..] else { panic!("{kernel}: it left once: {left:?}") };
    assert_eq!(left["surprise"], true, "{kernel}: programs are told, too (X2): {left}");
    let (said, code) = hotadd(&guest, &["add", "3"]);
    assert_eq!(code, Some(1), "{kernel}: {said}");
    assert!(said.contains("it is not plugged in"), "{kernel}: {said}");

    // The hypervisor plugs this one in again, and then another. When that one has joined, the events of this
    // one are complete.
    for n in [3, 4] {
        guest.add_cpu(n).unwrap();
    }
    until(&guest, SAID, "4 joined");
    for name in ["pool", "other"] {
        let last = told(&guest, name, 3).split_off(3);
        let again = ["AddStart 3 as 0:3", "AddComplete 3 as 0:3"];
        assert_eq!(last, again, "{kernel}: {name} knows it by the index that it had (X3)");
    }
    let (status, _) = hotadd(&guest, &["status"]);
    assert!(status.contains("active: 0-4 (5"), "{kernel}: {status}");
    assert!(!status.contains("vanished"), "{kernel}: it is back: {status}");
}

/// The programs of the processors that left still run, on others. Ends them.
fn end(guest: &Guest, loops: &[u32]) {
    for pid in loops {
        let runs = guest.read(&format!("/proc/{pid}/stat")).unwrap();
        assert!(runs.contains(") R "), "it never rests: {runs}");
        guest.signal(*pid, KILL).unwrap();
        guest.wait(*pid, LIMIT).unwrap();
    }
}
