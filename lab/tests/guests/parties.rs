//! Four kinds of parties on the daemon's partition at the same time: a Windows driver, a script, an agent in
//! Rust and one in Python.

use std::io::Write;
use std::path::Path;

use lab::{Guest, Kernel};

use crate::common::daemon::{SAID, agent, is_sandboxed, online, start, told, until, with_daemon};
use crate::common::{cpu, on_each_kernel};

on_each_kernel!(four_kinds_of_parties_agree_or_each_of_them_refuses);

/// The parties that the daemon starts. The driver's allocations are its table and the blocks for processors
/// 0, 1 and 2; the last one fails.
const PARTIES: &str = "\
[limits]
timeout = '60s'
[[party]]
driver = '/lib/hotadd/percpu.sys,alloc-fail=4'
[[party]]
driver = 'exec:/etc/hotadd/ready'
";

/// A script that records its calls and refuses processor 3.
const SCRIPT: &str = "#!/bin/sh
echo \"script $1 $HOTADD_ID as $HOTADD_GROUP:$HOTADD_NUMBER, $HOTADD_STATUS_NAME\" >> /tmp/script
[ \"$1 $HOTADD_ID\" != 'add-start 3' ] || { echo 'no room for 3' >&2; exit 1; }
";

fn four_kinds_of_parties_agree_or_each_of_them_refuses(kernel: Kernel) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut lab = with_daemon(kernel).debian().unwrap().cpus(1, 8);
    for (from, to) in [
        ("crates/hotadd-nt/samples/fixtures/percpu.sys", "/lib/hotadd/percpu.sys"),
        ("examples/agent.py", "/opt/hotadd/examples/agent.py"),
        ("dbus/org.hotadd.Agent1.xml", "/opt/hotadd/dbus/org.hotadd.Agent1.xml"),
    ] {
        lab = lab.file(&root.join(from), to);
    }
    let guest = lab.boot().unwrap();
    script(&guest);
    start(&guest, PARTIES);
    agent(&guest, "rust", &["refuse=4"]);
    let python = ["/opt/hotadd/examples/agent.py", "system", "--refuse", "5"];
    let python = [&["env", "XDG_RUNTIME_DIR=/run"], &python[..]].concat();
    guest.start(&python, "/tmp/python").unwrap();
    until(&guest, "/tmp/python", "registered as party");
    is_sandboxed(&guest);

    guest.add_cpu(1).unwrap();
    until(&guest, SAID, "1 joined");
    for (n, refuses) in [
        (2, "percpu.sys refused: memory or another resource is exhausted"),
        (3, "ready refused: no room for 3"),
        (4, "rust refused: no room for 4"),
        (5, "agent.py refused: there is no room for processor 5"),
    ] {
        guest.add_cpu(n).unwrap();
        let line = until(&guest, SAID, &format!("{n} stays out"));
        assert!(line.contains(refuses), "{kernel}: the refusing party and its reason: {line}");
        assert_eq!(online(&guest, n), "0", "{kernel}: one of four is enough (A3)");
    }
    guest.add_cpu(6).unwrap();
    let line = until(&guest, SAID, "6 joined");
    for name in ["percpu.sys ", "ready ", "rust ", "agent.py "] {
        assert!(line.contains(name), "{kernel}: all four agreed: {line}");
    }
    let active = guest.read(&cpu("online")).unwrap();
    assert_eq!(active.trim(), "0-1,6", "{kernel}: what joined, and nothing else");
    each_party_was_told_what_concerns_it(kernel, &guest);
}

/// Each party was told that 1 and 6 joined; of the others it was told the refusal and its status, unless it
/// refused itself.
fn each_party_was_told_what_concerns_it(kernel: Kernel, guest: &Guest) {
    let none = "STATUS_INSUFFICIENT_RESOURCES";
    let statuses = [(2, none), (3, "STATUS_UNSUCCESSFUL"), (4, none), (5, none)];
    for n in [1, 6] {
        let number = if n == 1 { 1 } else { 2 };
        let joined = ["AddStart", "AddComplete"].map(|s| format!("{s} {n} as 0:{number}"));
        assert_eq!(told(guest, "rust", n), joined, "{kernel}: the agent in Rust of {n}");
        let joined =
            ["add-start", "add-complete"].map(|s| format!("{s} {n} as 0:{number}, STATUS_SUCCESS"));
        assert_eq!(told(guest, "script", n), joined, "{kernel}: the script of {n}");
        let epoch = number + 1;
        let joined = [
            format!("AddStart {n} at epoch {number} {{}}"),
            format!("AddComplete {n} at epoch {epoch} {{}}"),
        ];
        assert_eq!(of(guest, "/tmp/python", n), joined, "{kernel}: the agent in Python of {n}");
    }
    for (n, status) in statuses {
        let failure = |who: u32, start: &str, failure: String| {
            if who == n { vec![start.to_owned()] } else { vec![start.to_owned(), failure] }
        };
        let heard =
            failure(4, &format!("AddStart {n} as 0:2"), format!("AddFailure {n} as 0:2: {status}"));
        assert_eq!(told(guest, "rust", n), heard, "{kernel}: the agent in Rust of {n} (A3)");
        let heard = failure(
            3,
            &format!("add-start {n} as 0:2, STATUS_SUCCESS"),
            format!("add-failure {n} as 0:2, {status}"),
        );
        assert_eq!(told(guest, "script", n), heard, "{kernel}: the script of {n} (A3)");
        let raw = if n == 3 { 0xC000_0001_u32 } else { 0xC000_009A };
        let start = if n == 5 {
            "AddStart 5: refused".to_owned()
        } else {
            format!("AddStart {n} at epoch 2 {{}}")
        };
        let heard = failure(5, &start, format!("AddFailure {n} at epoch 2 {{'status': {raw}}}"));
        assert_eq!(of(guest, "/tmp/python", n), heard, "{kernel}: the agent in Python of {n} (A3)");
    }
    // The driver sees indexes. A processor that does not join leaves its index for the next: 2 is the index
    // of 2 to 6.
    let said = guest.read(SAID).unwrap();
    let lines =
        said.lines().filter_map(|line| line.strip_prefix("percpu.sys: percpu: processor 2"));
    let asked = " (group 0, number 2): start";
    let failed = |status| format!(" (group 0, number 2): failure, {status}");
    let expected = [
        asked.into(),
        ": refused, 0xc000009a".into(),
        asked.into(),
        failed("0xc0000001"),
        asked.into(),
        failed("0xc000009a"),
        asked.into(),
        failed("0xc000009a"),
        asked.into(),
        " (group 0, number 2): complete".into(),
        ": the DPC ran on processor 2".to_owned(),
    ];
    assert_eq!(lines.collect::<Vec<_>>(), expected, "{kernel}: the Windows driver (A3)");
}

/// The lines about a processor, whose number is the second word.
fn of(guest: &Guest, path: &str, id: u32) -> Vec<String> {
    let said = guest.read(path).unwrap();
    let id = id.to_string();
    let of = |line: &&str| line.split([' ', ':']).nth(1) == Some(&id);
    said.lines().filter(of).map(str::to_owned).collect()
}

fn script(guest: &Guest) {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(SCRIPT.as_bytes()).unwrap();
    guest.run(&["mkdir", "-p", "/etc/hotadd"]).unwrap();
    guest.put(file.path(), "/etc/hotadd/ready").unwrap();
    assert!(guest.run(&["chmod", "755", "/etc/hotadd/ready"]).unwrap().status.success());
}
