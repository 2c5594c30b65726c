//! `hotadd daemon` as a service has it: little memory, and records with fields for the journal.

mod common;

use common::daemon::{LIMIT, SAID, agent, begin, hotadd, until, with_daemon};
use lab::Kernel;
use serde_json::Value;

const TERM: i32 = 15;

/// Kilobytes of its own and its share of others', its program's included.
const MOST_KB: u64 = 10_000;

#[test]
fn with_ten_parties_it_takes_less_than_ten_megabytes() {
    let guest = with_daemon(Kernel::V6_12).cpus(1, 2).boot().unwrap();
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

#[test]
fn the_journal_is_told_what_a_record_is_about() {
    const RECORDS: &str = "/tmp/journal";
    let lab = with_daemon(Kernel::V6_12).program("lab", "lab-journal").unwrap();
    let guest = lab.cpus(1, 3).boot().unwrap();
    guest.start(&["lab-journal"], RECORDS).unwrap();
    until(&guest, RECORDS, "listening");
    let ours = "JOURNAL_STREAM=$(stat -L -c %d:%i /proc/self/fd/2) exec hotadd daemon";
    let daemon = guest.start(&["sh", "-c", ours], SAID).unwrap();
    until(&guest, RECORDS, "listening at");
    agent(&guest, "pool", &["refuse=2"]);
    guest.add_cpu(1).unwrap();
    let joined: Value =
        serde_json::from_str(&until(&guest, RECORDS, "processor 1 joined")).unwrap();
    for (field, value) in [
        ("HOTADD_EVENT", "joined"),
        ("HOTADD_PROCESSOR", "1"),
        ("PRIORITY", "5"),
        ("SYSLOG_IDENTIFIER", "hotadd"),
    ] {
        assert_eq!(joined[field], value, "{joined}");
    }
    assert!(joined["HOTADD_TOOK_US"].as_str().unwrap().parse::<u64>().is_ok(), "{joined}");
    guest.add_cpu(2).unwrap();
    let refused: Value =
        serde_json::from_str(&until(&guest, RECORDS, "processor 2 stays out")).unwrap();
    for (field, value) in [
        ("HOTADD_EVENT", "refused"),
        ("HOTADD_PARTY", "pool"),
        ("HOTADD_CLAUSE", "A3"),
        ("HOTADD_STATUS", "STATUS_INSUFFICIENT_RESOURCES"),
        ("PRIORITY", "4"),
    ] {
        assert_eq!(refused[field], value, "{refused}");
    }
    assert!(refused.get("HOTADD_ERRNO").is_none(), "no field that says nothing: {refused}");
    let (status, _) = hotadd(&guest, &["status"]);
    assert!(status.contains("active: 0-1"), "{status}");
    guest.signal(daemon, TERM).unwrap();
    assert!(guest.wait(daemon, LIMIT).unwrap().success());
    assert_eq!(guest.read(SAID).unwrap(), "", "nothing is said twice");
}
