//! Processors with numbers beyond a group's 64 on real kernels: indexes follow the order of joining.

use lab::Kernel;

use crate::common::daemon::{SAID, agent, hotadd, start, told, until, with_daemon};
use crate::common::{MANY, cpu, on_each_kernel};

on_each_kernel!(gaps_in_hardware_ids_leave_no_gaps_in_indexes_and_groups);

fn gaps_in_hardware_ids_leave_no_gaps_in_indexes_and_groups(kernel: Kernel) {
    let guest = with_daemon(kernel).cpus(1, MANY).boot().unwrap();
    start(&guest, "[[party]]\ndriver = 'sample:veto=1-62'");
    agent(&guest, "pool", &["only=0,63-65,70"]);
    (1..=70).for_each(|n| guest.plug(n).unwrap());
    until(&guest, SAID, "70 joined");
    assert_eq!(guest.read(&cpu("online")).unwrap(), "0,63-65,70", "{kernel}: what all agreed to");
    for (id, index) in [(63, 1), (64, 2), (65, 3), (70, 4)] {
        let both = ["AddStart", "AddComplete"].map(|state| format!("{state} {id} as 0:{index}"));
        assert_eq!(told(&guest, "pool", id), both, "{kernel}: by order of joining");
        let line = until(&guest, SAID, &format!("processor {id} joined"));
        let called = format!("processor {id} joined (index {index}, 0:{index})");
        assert!(line.starts_with(&called), "{kernel}: {called:?} is said: {line}");
    }
    for id in [1, 62] {
        assert_eq!(told(&guest, "pool", id), [""; 0], "{kernel}: {id} was refused before (A3)");
    }
    assert_eq!(told(&guest, "pool", 66), ["AddStart 66 as 0:4"], "{kernel}: the index of the next");
    let (status, code) = hotadd(&guest, &["status"]);
    let ids = "active: 0,63-65,70 (5 processors";
    assert!(code == Some(0) && status.contains(ids), "{kernel}: {status}");
    assert!(status.contains("could be added: 1-62,66-69\n"), "{kernel}: {status}");
    let (said, _) = hotadd(&guest, &["remove", "64"]);
    assert!(said.starts_with("processor 64 left (index 2, 0:2"), "{kernel}: {said}");
    let (said, _) = hotadd(&guest, &["add", "64"]);
    assert!(said.starts_with("processor 64 joined (index 2, 0:2"), "{kernel}: X3: {said}");
}
