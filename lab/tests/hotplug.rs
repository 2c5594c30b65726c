//! The library's hardware `hotplug` on real kernels: consent decides what comes online, and what happens behind its back is seen.

mod common;

use std::time::{Duration, Instant};

use common::{cpu, lab, on_each_kernel};
use lab::{Guest, Kernel};

const LIMIT: Duration = Duration::from_secs(60);

on_each_kernel!(a_processor_that_is_plugged_in_comes_online_with_everybodys_consent_alone);

/// Waits until the program has said this.
fn until(guest: &Guest, line: &str) {
    let began = Instant::now();
    loop {
        let said = guest.read("/tmp/said").unwrap();
        if said.lines().any(|one| one == line) {
            return;
        }
        assert!(began.elapsed() < LIMIT, "{line:?} is said: {said}");
    }
}

fn a_processor_that_is_plugged_in_comes_online_with_everybodys_consent_alone(kernel: Kernel) {
    let guest = lab(kernel).program("lab", "lab-hotplug").unwrap().cpus(1, 5).boot().unwrap();
    guest.run(&["mkfifo", "/tmp/up", "/tmp/end"]).unwrap();
    let pid = guest.start(&["lab-hotplug", "/tmp/up", "/tmp/end"], "/tmp/said").unwrap();
    assert_eq!(guest.run(&["cat", "/tmp/up"]).unwrap().stdout, b"up\n");
    let online =
        |id: usize| guest.read(&cpu(&format!("cpu{id}/online"))).unwrap().trim().to_owned();

    for id in 1..=2 {
        guest.add_cpu(id).unwrap();
        until(&guest, &format!("{id} joined"));
        assert_eq!(online(id), "1", "{kernel}: all agreed, and it runs (A5)");
    }
    guest.add_cpu(3).unwrap();
    until(&guest, "3 refused: not three");
    assert_eq!(online(3), "0", "{kernel}: one refused, and it stays off (A3)");

    guest.write(&cpu("cpu1/online"), "0").unwrap();
    until(&guest, "1 vanished"); // X2
    guest.write(&cpu("cpu3/online"), "1").unwrap();
    until(&guest, "3 joined without agreement"); // Q3
    assert_eq!(
        guest.read(&cpu("online")).unwrap().trim(),
        "0,2-3",
        "{kernel}: nothing was reversed"
    );

    guest.run(&["sh", "-c", "echo > /tmp/end"]).unwrap();
    assert!(guest.wait(pid, LIMIT).unwrap().success(), "{}", guest.read("/tmp/said").unwrap());
}
