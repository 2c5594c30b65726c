//! The command `hotadd`, statically linked, in guests.

mod common;

use std::time::Duration;

use common::{cpu, lab, on_each_kernel, text};
use lab::Kernel;

const LIMIT: Duration = Duration::from_secs(60);

on_each_kernel!(
    a_command_runs_in_a_partition_of_a_guest,
    a_partition_answers_questions_while_the_guest_gets_a_processor,
);

fn a_command_runs_in_a_partition_of_a_guest(kernel: Kernel) {
    let guest = lab(kernel).program("hotadd-cli", "hotadd").unwrap().cpus(2, 2).boot().unwrap();
    let ran = guest.run(&["hotadd", "run", "--", "true"]).unwrap();
    assert!(ran.status.success(), "{kernel}: {}", text(&ran.stderr));
    let script = "exit $(($(nproc) + 10))";
    let ran = guest.run(&["hotadd", "run", "--add", "none", "--", "sh", "-c", script]).unwrap();
    assert_eq!(ran.status.code(), Some(11), "it has one of two processors: {}", text(&ran.stderr));
}

fn a_partition_answers_questions_while_the_guest_gets_a_processor(kernel: Kernel) {
    let guest = lab(kernel).program("hotadd-cli", "hotadd").unwrap().cpus(2, 3).boot().unwrap();
    let script = "echo up > /tmp/up; until [ -e /tmp/end ]; do sleep 0.1; done";
    guest.run(&["mkfifo", "/tmp/up"]).unwrap();
    let run = ["hotadd", "run", "--name", "demo", "--add", "none", "--", "sh", "-c", script];
    let pid = guest.start(&run, "/tmp/said").unwrap();
    // Reading ends when the command has written, which is after the partition is there.
    assert_eq!(guest.run(&["cat", "/tmp/up"]).unwrap().stdout, b"up\n");

    let status = || {
        let said = guest.run(&["hotadd", "status"]).unwrap();
        assert!(said.status.success(), "{kernel}: {}", text(&said.stderr));
        text(&said.stdout)
    };
    let before = status();
    assert!(before.contains("active: 0 ") && before.contains("added: 1\n"), "{before}");
    let added = guest.add_cpu(2).unwrap();
    guest.write(&cpu(&format!("cpu{added}/online")), "1").unwrap();
    let after = status();
    assert!(after.contains("added: 1-2\n"), "processor 2 is there to be added: {after}");
    assert!(after.contains("active: 0 "), "and nobody agreed that it joins (A1): {after}");
    let joined = guest.run(&["hotadd", "add", "1"]).unwrap();
    assert!(text(&joined.stdout).contains("processor 1 joined"), "{}", text(&joined.stderr));
    assert!(status().contains("active: 0-1 "), "the one that joined is shown");

    guest.run(&["touch", "/tmp/end"]).unwrap();
    let ended = guest.wait(pid, LIMIT).unwrap();
    assert!(ended.success(), "{ended}: {}", guest.read("/tmp/said").unwrap());
}
