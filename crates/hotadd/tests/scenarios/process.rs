//! The process partition as a stage: this machine's processors, and a process that says where the kernel lets it run.

use std::fs;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use hotadd::hardware::{Affinity, Hardware, Tree};
use hotadd::{CpuList, HardwareId, Partition};

use crate::Stage;
use crate::scenario::Scenario;

/// A process in the partition. It waits for the end of its input, and is gone when this is dropped.
pub(crate) struct Witness(Child);

impl Witness {
    /// The kernel's word for it.
    pub(crate) fn may_run_on(&self) -> CpuList {
        let status = fs::read_to_string(format!("/proc/{}/status", self.0.id())).unwrap();
        let list = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:"));
        list.unwrap().parse().unwrap()
    }
}

impl Drop for Witness {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}

/// A partition of this process's children that starts on as many processors as the scenario says.
pub(crate) fn stage(scenario: &Scenario) -> Stage {
    let allowed = Affinity::available().unwrap();
    let ids: Vec<HardwareId> = allowed.ids().to_vec();
    let first: CpuList = ids[..scenario.active as usize].iter().copied().collect();
    let affinity = Arc::new(Affinity::new(Tree::Descendants, Some(&first)).unwrap());
    let mut cat = Command::new("cat");
    let witness = affinity.spawn(cat.stdin(Stdio::piped()).stdout(Stdio::null())).unwrap();
    let partition = Partition::from_hardware(affinity as Arc<dyn Hardware>).unwrap();
    Stage { partition, ids, faults: None, witness: Some(Witness(witness)) }
}

/// How many processors there are for a scenario.
pub(crate) fn allowed() -> u32 {
    u32::try_from(Affinity::available().unwrap().len()).unwrap()
}
