//! Guests of both kernels: they boot, carry out requests, and end.

use std::fs;
use std::time::Duration;

use lab::{Error, Kernel};

use crate::common::{lab, on_each_kernel, text};

on_each_kernel!(
    a_guest_runs_the_requested_kernel,
    programs_return_their_output_and_exit_status,
    a_program_beyond_its_time_limit_is_killed_and_the_guest_continues,
    files_are_copied_byte_for_byte,
    the_error_of_a_guest_that_ended_has_its_console,
);

fn a_guest_runs_the_requested_kernel(kernel: Kernel) {
    let guest = lab(kernel).cpus(2, 8).boot().unwrap();
    let release = guest.read("/proc/sys/kernel/osrelease").unwrap();
    let wanted = kernel.to_string().replace("Linux ", "") + ".";
    assert!(release.starts_with(&wanted), "{kernel} was asked for, and {release} runs");
    let set = |name: &str| guest.read(&format!("/sys/devices/system/cpu/{name}")).unwrap();
    assert_eq!(set("online"), "0-1", "two processors were to be there at boot");
    assert_eq!(set("possible"), "0-7", "there is to be room for more");
    assert_eq!(guest.slots().unwrap(), 8);
}

fn programs_return_their_output_and_exit_status(kernel: Kernel) {
    let guest = lab(kernel).boot().unwrap();
    let output = guest.run(&["sh", "-c", "echo out; echo err >&2; exit 3"]).unwrap();
    assert_eq!((&*output.stdout, &*output.stderr), (&b"out\n"[..], &b"err\n"[..]));
    assert_eq!(output.status.code(), Some(3));

    // More output than a pipe or a serial port holds.
    let output = guest.run(&["sh", "-c", "seq 1 40000"]).unwrap();
    let wanted: String = (1..=40000).map(|n| format!("{n}\n")).collect();
    assert_eq!(text(&output.stdout), wanted, "output is complete and in order");

    let error = guest.run(&["no-such-program"]).unwrap_err();
    assert_eq!(error.errno(), Some(2), "a program that is not there is said to be so: {error}");

    // A background process keeps the output open. The program that started it has ended nevertheless.
    let output = guest.run(&["sh", "-c", "sleep 1000 & echo left"]).unwrap();
    assert_eq!(output.stdout, b"left\n");

    let pid = guest.start(&["sh", "-c", "echo begun; exec sleep 1000"], "/tmp/said").unwrap();
    let wait = |limit| guest.wait(pid, limit);
    let late = wait(Duration::ZERO).unwrap_err();
    assert!(matches!(late, Error::Late { .. }), "it sleeps, and cannot have ended: {late}");
    guest.signal(pid, 9).unwrap();
    let status = wait(Duration::from_secs(60)).unwrap();
    assert_eq!(std::os::unix::process::ExitStatusExt::signal(&status), Some(9));
    assert!(wait(Duration::ZERO).is_err(), "what was waited for is forgotten");
}

fn a_program_beyond_its_time_limit_is_killed_and_the_guest_continues(kernel: Kernel) {
    let guest = lab(kernel).boot().unwrap();
    let script = "echo $$ > /tmp/pid; exec sleep 1000";
    let late = guest.run_within(Duration::from_secs(5), &["sh", "-c", script]).unwrap_err();
    assert!(matches!(late, Error::Late { .. }), "a time limit is kept: {late}");
    let pid = guest.read("/tmp/pid").unwrap();
    let gone = guest.read(&format!("/proc/{pid}/stat")).unwrap_err();
    assert_eq!(gone.errno(), Some(2), "process {pid} was to be killed and buried: {gone}");
}

fn files_are_copied_byte_for_byte(kernel: Kernel) {
    let dir = tempfile::tempdir().unwrap();
    let (small, large) = (dir.path().join("small"), dir.path().join("large"));
    // Every byte value, at every position that could begin a frame or a chunk.
    let bytes: Vec<u8> =
        (0..200_000_u32).flat_map(|n| n.wrapping_mul(2_654_435_761).to_be_bytes()).collect();
    fs::write(&small, &bytes[..100]).unwrap();
    fs::write(&large, &bytes).unwrap();

    let guest = lab(kernel).file(&large, "/opt/brought").boot().unwrap();
    guest.put(&large, "/tmp/put").unwrap();
    for path in ["/opt/brought", "/tmp/put"] {
        assert!(guest.get(path).unwrap() == bytes, "{path} is not what was sent");
    }
    guest.put(&small, "/tmp/put").unwrap();
    assert_eq!(guest.get("/tmp/put").unwrap(), &bytes[..100], "a file that is there is replaced");
    let missing = guest.write("/tmp/nothing", "1").unwrap_err();
    assert_eq!(missing.errno(), Some(2), "writing makes no file: {missing}");
}

fn the_error_of_a_guest_that_ended_has_its_console(kernel: Kernel) {
    let guest = lab(kernel).boot().unwrap();
    guest.write("/dev/kmsg", "<0>the end is near").unwrap();
    // The kernel does not kill process 1; the agent is process 2.
    let agent = guest.run(&["sh", "-c", "echo $PPID; kill -9 $PPID"]);
    let lost = agent.unwrap_err();
    let Error::Lost { what, console } = &lost else { panic!("it goes on: {lost}") };
    assert!(what.starts_with("ended"), "{lost}");
    assert!(console.contains("the end is near"), "what the kernel said is to be seen: {lost}");
    assert!(console.contains("lab: the agent ended"), "why it ended is to be seen: {lost}");
    let again = guest.read("/proc/uptime").unwrap_err();
    assert!(matches!(again, Error::Lost { .. }), "it stays lost: {again}");
}
