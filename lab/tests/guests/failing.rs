//! Processors that the kernel fails to start, on real kernels: the failure is told to the parties and not
//! retried silently (A4).

use std::time::Instant;

use lab::{Guest, Kernel};

use crate::common::daemon::{LIMIT, SAID, agent, hotadd, online, start, told, until, with_daemon};
use crate::common::{cpu, on_each_kernel};

on_each_kernel!(
    a_failed_start_is_told_to_the_parties_that_agreed_and_not_retried,
    a_sibling_thread_under_nosmt_fails_and_processors_beyond_nr_cpus_do_not_exist,
);

/// Makes the kernel fail half-way at the next change of this processor's state.
fn fail_next(guest: &Guest, id: u32) {
    let states = guest.read(&cpu("hotplug/states")).unwrap();
    let state = states.lines().find_map(|line| line.strip_suffix(": sched:active"));
    let state = state.unwrap_or_else(|| panic!("the kernel has such a state: {states}"));
    guest.write(&cpu(&format!("cpu{id}/hotplug/fail")), state.trim()).unwrap();
}

/// The number of lines with this text.
fn times(text: &str, part: &str) -> usize {
    text.lines().filter(|line| line.contains(part)).count()
}

fn a_failed_start_is_told_to_the_parties_that_agreed_and_not_retried(kernel: Kernel) {
    // The file that injects the failure exists for processors that were present at boot.
    let guest = with_daemon(kernel).cpus(2, 4).kernel_line("maxcpus=1").boot().unwrap();
    start(&guest, "[hardware]\nat-start = 'leave'\n[[party]]\ndriver = 'sample:name=inside'");
    agent(&guest, "pool", &[]);
    fail_next(&guest, 1);
    let (said, code) = hotadd(&guest, &["add", "1"]);
    assert_eq!(code, Some(1), "{kernel}: {said}");
    assert!(said.contains("EAGAIN") && said.contains("1"), "{kernel}: the caller is told: {said}");
    assert_eq!(online(&guest, 1), "0", "{kernel}");

    agent(&guest, "later", &[]);
    let heard = |name: &str| told(&guest, name, 1);
    let start = "AddStart 1 as 0:1".to_owned();
    let failure = "AddFailure 1 as 0:1: STATUS_RETRY, EAGAIN (11)".to_owned();
    assert_eq!(heard("pool"), [&*start, &*failure], "{kernel}: with the kernel's own error (A4)");
    assert_eq!(heard("later"), [""; 0], "{kernel}: a party that registered later is not told");
    let (status, _) = hotadd(&guest, &["status"]);
    let stays = "processor 1 stays out: ";
    let line = status.lines().find(|line| line.starts_with(stays));
    let line = line.unwrap_or_else(|| panic!("{kernel}: {stays:?} is in {status}"));
    assert!(line.contains("EAGAIN") && line.contains("A4"), "{kernel}: {line}");
    assert!(status.contains("could be added: 1\n"), "{kernel}: it is still a candidate: {status}");

    // Like `udevadm trigger --action=add`. No processor was plugged in, and the kernel could start this one now.
    guest.write(&cpu("cpu1/uevent"), "add").unwrap();
    guest.add_cpu(2).unwrap();
    until(&guest, SAID, "2 joined");
    assert_eq!(online(&guest, 1), "0", "{kernel}: it is not tried again, nor before 2 was (A4)");
    let (history, _) = hotadd(&guest, &["history"]);
    assert_eq!(times(&history, "start-failed processor 1"), 1, "{kernel}: once: {history}");

    let (said, code) = hotadd(&guest, &["add", "1"]);
    assert_eq!(code, Some(0), "{kernel}: another request succeeds: {said}");
    assert_eq!(online(&guest, 1), "1", "{kernel}");
    let last = "AddComplete 1 as 0:2";
    for name in ["pool", "later"] {
        assert_eq!(heard(name).last().map(String::as_str), Some(last), "{kernel}: {name}");
    }
    let (status, _) = hotadd(&guest, &["status"]);
    assert!(!status.contains(stays), "{kernel}: what is over is not shown: {status}");
}

fn a_sibling_thread_under_nosmt_fails_and_processors_beyond_nr_cpus_do_not_exist(kernel: Kernel) {
    let lab = with_daemon(kernel).cpus(1, 4).threads_per_core(2).kernel_line("nosmt nr_cpus=2");
    let guest = lab.boot().unwrap();
    start(&guest, "");
    agent(&guest, "pool", &[]);
    guest.add_cpu(1).unwrap();
    let line = until(&guest, SAID, "1 stays out");
    assert!(line.contains("ECANCELED") && line.contains("A4"), "{kernel}: {line}");
    let (said, code) = hotadd(&guest, &["add", "1"]);
    assert_eq!(code, Some(1), "{kernel}: {said}");
    assert!(said.contains("EPERM"), "{kernel}: the kernel's answer to the second try: {said}");
    let all = told(&guest, "pool", 1);
    let [_, first, _, second] = &all[..] else { panic!("{kernel}: asked and told twice: {all:?}") };
    assert!(first.ends_with("ECANCELED (125)"), "{kernel}: {first}");
    assert!(second.ends_with("EPERM (1)"), "{kernel}: {second}");
    assert_eq!(guest.read(&cpu("online")).unwrap(), "0", "{kernel}");

    guest.plug(2).unwrap();
    answered(&guest, "2");
    let (status, _) = hotadd(&guest, &["status"]);
    assert!(status.contains("active: 0 (1 processors"), "{kernel}: it is not active: {status}");
    assert!(status.contains("could be added: 1\n"), "{kernel}: nor one that could be: {status}");
    let said = guest.read(SAID).unwrap();
    assert!(!said.contains("processor 2"), "{kernel}: nothing is said of it: {said}");
    let (said, code) = hotadd(&guest, &["add", "2"]);
    assert_eq!(code, Some(1), "{kernel}: {said}");
    assert!(said.contains("no such processor") && said.contains("0-1"), "{kernel}: {said}");
    assert_eq!(told(&guest, "pool", 2), [""; 0], "{kernel}: no party is asked (A8)");
}

/// Waits until the guest has reported the outcome for this slot to the hypervisor, by ACPI's _OST.
fn answered(guest: &Guest, slot: &str) {
    let began = Instant::now();
    let answer = |event: &serde_json::Value| {
        event["event"] == "ACPI_DEVICE_OST" && event["data"]["info"]["slot"] == slot
    };
    while !guest.events().iter().any(answer) {
        assert!(began.elapsed() < LIMIT, "the guest answers the hypervisor: {:?}", guest.events());
        std::thread::yield_now();
    }
}
