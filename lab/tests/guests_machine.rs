//! The effects of guests on this machine: the message where none can run, and that nothing outlives a test. In a program of its own,
//! since it looks for QEMU among its child processes.

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use lab::{Kernel, Lab};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};

/// Set for the process that boots a guest and is killed.
const HOLDS: &str = "LAB_TEST_HOLDS";

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Runs `lab` on a machine that has nothing prepared.
fn prepare(change: impl FnOnce(&mut Command, &std::path::Path)) -> Output {
    let dir = tempfile::tempdir().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_lab"));
    command.env("HOTADD_LAB", dir.path().join("cache"));
    change(&mut command, dir.path());
    command.output().unwrap()
}

fn is_one_line_that_says_why(output: &Output, why: &str) {
    let said = text(&output.stdout);
    assert_eq!(output.status.code(), Some(69), "./test skips by this: {said}");
    assert!(said.starts_with("no guest can be started here: ") && said.contains(why), "{said}");
    assert_eq!(said.lines().count(), 1, "one line is enough: {said}");
    assert!(output.stderr.is_empty(), "and that is all: {}", text(&output.stderr));
}

#[test]
fn without_a_network_one_line_says_that_guests_are_unavailable() {
    let output = prepare(|command, dir| {
        // Nothing listens at this address.
        let nowhere = "http://127.0.0.1:9/";
        let proxies =
            ["http", "https"].map(|how| format!("Acquire::{how}::Proxy \"{nowhere}\";\n"));
        fs::write(dir.join("apt.conf"), proxies.concat()).unwrap();
        command.env("APT_CONFIG", dir.join("apt.conf"));
    });
    is_one_line_that_says_why(&output, "Failed to fetch");
}

#[test]
fn without_apt_one_line_says_that_guests_are_unavailable() {
    let output = prepare(|command, dir| {
        command.env("PATH", dir);
    });
    is_one_line_that_says_why(&output, "apt-get");
}

#[test]
fn qemu_ends_with_its_guest_and_with_its_process_even_if_killed() {
    if std::env::var_os(HOLDS).is_some() {
        let guest = Lab::new(Kernel::V6_1).unwrap().boot().unwrap();
        println!("\nguest is up");
        // The process is killed, so no destructor runs.
        let _ = guest.run_within(Duration::from_secs(600), &["sleep", "600"]);
        unreachable!("it was to be killed");
    }
    let name = "qemu_ends_with_its_guest_and_with_its_process_even_if_killed";
    // A killed process leaves the folder of its guest behind.
    let dir = tempfile::tempdir().unwrap();
    let mut holder = Command::new(std::env::current_exe().unwrap());
    holder.env("TMPDIR", dir.path());
    holder.args(["--exact", name, "--nocapture"]).env(HOLDS, "1").stdout(Stdio::piped());
    let mut holder = holder.spawn().unwrap();
    let mut lines = BufReader::new(holder.stdout.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap() == "guest is up"), "it boots");
    let qemu = children(holder.id());
    holder.kill().unwrap();
    holder.wait().unwrap();
    let [qemu] = qemu[..] else { panic!("it has one QEMU: {qemu:?}") };
    assert!(ends(qemu), "process {qemu} lives on after SIGKILL of the one that started it");

    let guest = Lab::new(Kernel::V6_1).unwrap().boot().unwrap();
    let qemu = children(std::process::id());
    drop(guest);
    // Other tests of this file have child processes too, but no QEMU.
    let [qemu] = qemu[..] else { panic!("there is one QEMU: {qemu:?}") };
    let left = fs::read_to_string(format!("/proc/{qemu}/stat"));
    assert!(left.is_err(), "when a guest was dropped its QEMU is gone and buried: {left:?}");
}

/// The QEMU processes among the children of all threads of a process.
fn children(of: u32) -> Vec<i32> {
    let tasks = fs::read_dir(format!("/proc/{of}/task")).unwrap();
    let lists = tasks.flatten().filter_map(|t| fs::read_to_string(t.path().join("children")).ok());
    let pids: Vec<i32> = lists
        .flat_map(|l| l.split_whitespace().map(|p| p.parse().unwrap()).collect::<Vec<_>>())
        .collect();
    let is_qemu = |pid: &i32| {
        fs::read_to_string(format!("/proc/{pid}/comm"))
            .is_ok_and(|name| name.starts_with("qemu-system"))
    };
    pids.into_iter().filter(is_qemu).collect()
}

fn ends(pid: i32) -> bool {
    // Not found: the process has ended already.
    let Ok(pidfd) = pidfd_open(Pid::from_raw(pid).unwrap(), PidfdFlags::empty()) else {
        return true;
    };
    let limit = Timespec { tv_sec: 60, tv_nsec: 0 };
    poll(&mut [PollFd::new(&pidfd, PollFlags::IN)], Some(&limit)).unwrap() == 1
}
