//! The commands for QEMU's monitor in docs/tutorials/vm.md, as they are printed.

use lab::Kernel;
use serde_json::json;

use crate::common::{cpu, lab, on_each_kernel};

on_each_kernel!(a_processor_is_plugged_in_by_the_commands_of_the_tutorial);

const PAGE: &str = include_str!("../../../docs/tutorials/vm.md");

fn a_processor_is_plugged_in_by_the_commands_of_the_tutorial(kernel: Kernel) {
    let guest = lab(kernel).cpus(1, 8).boot().unwrap();
    let slots = guest.slots().unwrap();
    assert!(PAGE.contains(&format!("`-smp 1,maxcpus={slots},sockets={slots},cores=1,threads=1`")));
    let from = guest.next_uevent().unwrap();
    let mut said = String::new();
    let commands: Vec<_> = PAGE.lines().filter_map(|line| line.strip_prefix("(qemu) ")).collect();
    assert_eq!(commands.len(), 2, "{commands:?}");
    for command in &commands {
        let arguments = json!({ "command-line": command });
        let answer = guest.qmp("human-monitor-command", arguments).unwrap();
        said += answer.as_str().unwrap();
    }
    // Only the first command prints anything: an error of the second one would be in its answer.
    assert!(said.starts_with("Hotpluggable CPUs:") && !said.contains("Error"), "{said}");
    guest.uevent(from, "add@/devices/system/cpu/cpu1", std::time::Duration::from_secs(60)).unwrap();
    assert_eq!(guest.read(&cpu("present")).unwrap(), "0-1");
    assert_eq!(guest.read(&cpu("cpu1/online")).unwrap(), "0", "it waits to be brought online");
}
