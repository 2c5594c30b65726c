//! Tests of the daemon that take minutes: the maximum number of processors, and a second group. `./test lab --long`.

use std::path::Path;
use std::time::Duration;

use lab::Kernel;

use crate::common::daemon::{LIMIT, SAID, agent, start, told, until, until_within, with_daemon};
use crate::common::overflow::nothing_is_missed_when_messages_are_lost;
use crate::common::{MANY, cpu, on_each_kernel};

on_each_kernel!(
    the_maximum_number_of_processors_is_plugged_in_while_messages_are_lost,
    processors_join_across_the_end_of_a_group_with_agreement,
);

/// The maximum is 255; three are online.
fn the_maximum_number_of_processors_is_plugged_in_while_messages_are_lost(kernel: Kernel) {
    nothing_is_missed_when_messages_are_lost(kernel, 252);
}

/// Sixty-four processors take half a minute, or several minutes on a busy machine.
const LONG: Duration = Duration::from_secs(900);

fn processors_join_across_the_end_of_a_group_with_agreement(kernel: Kernel) {
    let fixtures =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates/hotadd-nt/samples/fixtures");
    let lab = with_daemon(kernel).file(&fixtures.join("percpu.sys"), "/lib/percpu.sys");
    let guest = lab.cpus(1, MANY).boot().unwrap();
    start(&guest, "[limits]\ntimeout = '60s'\n[[party]]\ndriver = '/lib/percpu.sys'");
    agent(&guest, "pool", &[]);
    (1..=65).for_each(|n| guest.plug(n).unwrap());
    until_within(&guest, SAID, "65 joined", LONG);
    assert_eq!(guest.read(&cpu("online")).unwrap(), "0-65", "{kernel}: all of them run");
    for (id, number) in [(62, "0:62"), (63, "0:63"), (64, "1:0"), (65, "1:1")] {
        let both = ["AddStart", "AddComplete"].map(|state| format!("{state} {id} as {number}"));
        assert_eq!(told(&guest, "pool", id), both, "{kernel}: a group has 64");
        let line = until(&guest, SAID, &format!("processor {id} joined"));
        assert!(line.contains(&format!("(index {id}, {number})")), "{kernel}: {line}");
    }
    for line in [
        "processor 64 (group 1, number 0): complete",
        "processor 64: the DPC ran on processor 64",
        "processor 65: the DPC ran on processor 65",
    ] {
        until_within(&guest, SAID, &format!("percpu.sys: percpu: {line}"), LIMIT);
    }
}
