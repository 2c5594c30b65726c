//! The table of the contract on real processors: as the machine's partition, and as a cpuset.

use std::time::Duration;

use lab::Kernel;

use crate::common::{lab, on_each_kernel};

on_each_kernel!(the_table_holds_on_hot_added_processors_and_on_a_cpuset);

fn the_table_holds_on_hot_added_processors_and_on_a_cpuset(kernel: Kernel) {
    let guest = lab(kernel).program("table-in-guest").unwrap();
    // As many processors as the largest scenario needs.
    let guest = guest.cpus(5, 8).boot().unwrap();
    for words in [&["hotplug"][..], &["cpuset", "/cgroup"]] {
        let argv = [&["table-in-guest"], words].concat();
        let pid = guest.start(&argv, "/tmp/said").unwrap();
        let ended = guest.wait(pid, Duration::from_secs(120)).unwrap();
        let said = guest.read("/tmp/said").unwrap();
        print!("{kernel}: {said}");
        assert!(ended.success(), "{kernel}: {said}");
    }
}
