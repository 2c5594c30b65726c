//! Which NUMA node a CPU belongs to, if the machine has several.

use std::fs;
use std::path::Path;

/// The node of this CPU. `None` if the machine has one node, or the kernel does not tell: then any memory will do.
pub(crate) fn node_of(cpu: u32) -> Option<u32> {
    node_below(Path::new("/sys/devices/system"), cpu)
}

fn node_below(system: &Path, cpu: u32) -> Option<u32> {
    // Such as `0`, `0-1`, `0,2`. One number means one node.
    let possible = fs::read_to_string(system.join("node/possible")).ok()?;
    if possible.trim().parse::<u32>().is_ok() {
        return None;
    }
    // The folder of a CPU has a link to its node, such as `node1`.
    let entries = fs::read_dir(system.join(format!("cpu/cpu{cpu}"))).ok()?;
    entries.filter_map(Result::ok).find_map(|entry| {
        let name = entry.file_name();
        name.to_str()?.strip_prefix("node")?.parse().ok()
    })
}

#[cfg(all(test, not(hotadd_loom)))]
mod tests {
    use super::*;

    fn machine(possible: &str) -> tempfile::TempDir {
        let system = tempfile::tempdir().unwrap();
        fs::create_dir_all(system.path().join("node")).unwrap();
        fs::write(system.path().join("node/possible"), possible).unwrap();
        for (cpu, node) in [(0, 0), (5, 1)] {
            fs::create_dir_all(system.path().join(format!("cpu/cpu{cpu}/node{node}"))).unwrap();
        }
        fs::create_dir_all(system.path().join("cpu/cpu6/nodes")).unwrap();
        system
    }

    #[test]
    fn a_cpus_node_is_found_if_there_are_several() {
        let system = machine("0-1\n");
        assert_eq!(node_below(system.path(), 0), Some(0));
        assert_eq!(node_below(system.path(), 5), Some(1));
        assert_eq!(node_below(system.path(), 6), None, "a CPU without a node");
        assert_eq!(node_below(system.path(), 7), None, "a CPU that does not exist");
    }

    #[test]
    fn one_node_is_none() {
        assert_eq!(node_below(machine("0\n").path(), 5), None);
        assert_eq!(node_below(Path::new("/nonexistent"), 0), None);
    }
}
