//! Threads that the system cannot create.

use std::env;
use std::fs;
use std::process::Command;

use hotadd::{Error, HardwareId, Status, Workers};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::{index, partition};

/// Larger than what is left below the limit of the address space in `refused`.
const STACK: usize = 1 << 30;

#[test]
fn r4_workers_are_not_made_without_a_thread_for_each_active_processor() {
    let (_, partition) = partition(1, 0);
    // No address space is that large.
    let error = Workers::builder(&partition, "large").stack_size(1 << 50).start().unwrap_err();
    assert!(matches!(error, Error::NotJoining { .. }), "{error}");
    assert!(
        error.reason().starts_with("the thread of its worker could not be created: "),
        "{error}"
    );
}

#[test]
fn a3_a_processor_without_a_thread_does_not_join() {
    // The limit is that of a process, and the other tests need memory.
    let mut child = Command::new(env::current_exe().unwrap());
    child.args(["memory::run_in_a_child", "--exact", "--nocapture", "--test-threads=1"]);
    let output = child.env("HOTADD_TEST_ROLE", "memory").output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && text.contains("refused as it must be"), "{text}");
}

/// The entry of the process that the test starts. Run directly, it does nothing.
#[test]
fn run_in_a_child() {
    if env::var("HOTADD_TEST_ROLE").as_deref() == Ok("memory") {
        refused();
    }
}

fn refused() {
    let (_, partition) = partition(1, 1);
    let workers = Workers::builder(&partition, "memory").stack_size(STACK).start().unwrap();
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let size = status.lines().find_map(|line| line.strip_prefix("VmSize:")).unwrap();
    let kilobytes: u64 = size.trim().trim_end_matches(" kB").parse().unwrap();
    let before = getrlimit(Resource::As);
    let current = Some(kilobytes * 1024 + STACK as u64 / 2);
    setrlimit(Resource::As, Rlimit { current, maximum: before.maximum }).unwrap();
    let error = partition.add(HardwareId(1)).unwrap_err();
    setrlimit(Resource::As, before).unwrap();

    assert!(matches!(error, Error::Vetoed { ref party, .. } if party.name == "memory"), "{error}");
    assert!(
        error.reason().starts_with("the thread of its worker could not be created: "),
        "{error}"
    );
    assert_ne!(error.status(), Status::UNSUCCESSFUL, "the status says what the system's error was");
    assert_eq!(partition.count(), 1);
    partition.add(HardwareId(1)).expect("with memory it joins");
    workers.submit_to(index(1), || ()).unwrap();
    println!("refused as it must be");
}
