//! The table on a process's own partition: this machine's processors, by affinity masks, and a process that the kernel is asked
//! about.

use std::fs;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use hotadd::hardware::{Affinity, Hardware, Tree};
use hotadd::{CpuList, HardwareId, Partition};
use hotadd_conformance::{Need, OnPartition, Scenario, Setup, Subject, run};
use hotadd_testing::Need as Machine;

#[test]
fn the_table_holds_on_a_partition_of_processes() {
    if !Machine::TwoProcessors.is_met("the table on real processors") {
        return;
    }
    run("processes", subject).check();
}

/// A process in the partition. It ends with its input.
struct Witness(Child);

impl Witness {
    /// The processors on which the kernel lets it run.
    fn allowed(&self) -> CpuList {
        let status = fs::read_to_string(format!("/proc/{}/status", self.0.id()))
            .expect("it has not been waited for");
        let list = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:"));
        list.expect("the kernel says it of every process").parse().expect("a list of processors")
    }
}

impl Drop for Witness {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}

fn subject(scenario: &Scenario) -> Option<(Box<dyn Subject>, Vec<HardwareId>)> {
    let ids: Vec<HardwareId> =
        Affinity::available().expect("this process has a mask").ids().to_vec();
    let processors = u32::try_from(ids.len()).expect("a few");
    if scenario.active + scenario.spare > processors {
        return None;
    }
    let first: CpuList = ids[..scenario.active as usize].iter().copied().collect();
    let affinity =
        Arc::new(Affinity::new(Tree::Descendants, Some(&first)).expect("its own children"));
    let mut cat = Command::new("cat");
    let witness = affinity.spawn(cat.stdin(Stdio::piped()).stdout(Stdio::null()));
    let witness = Witness(witness.expect("cat is everywhere"));
    let partition = Partition::from_hardware(affinity as Arc<dyn Hardware>).expect("a partition");
    let own = partition.clone();
    let setup = Setup {
        partition,
        connect: Box::new(move || own.clone()),
        offers: vec![Need::Events, Need::Requests],
        processors,
        fault: Arc::new(|fault, _| unreachable!("not offered: {fault:?}")),
        check: Box::new(move |set| {
            let active: CpuList = set.iter().map(|p| p.id).collect();
            assert_eq!(
                witness.allowed(),
                active,
                "the kernel lets a process run on the active set, no less and no more (H1)"
            );
        }),
        apart: false,
    };
    Some((Box::new(OnPartition::new(setup)), ids))
}
