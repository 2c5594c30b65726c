//! The topology of this machine, from `/sys/devices/system/cpu`.

use std::fs;
use std::path::{Path, PathBuf};

use hotadd_core::HardwareId;

use super::{L3, Topology};
use crate::CpuList;
use crate::hardware::file;

/// The number of caches of one processor that are examined. Machines have four or five.
const MOST_CACHES: usize = 32;

/// The number of entries of a processor's folder that are examined. It has about twenty.
const MOST_ENTRIES: usize = 1024;

/// Some kernels number a cluster in this way if there is none.
const NO_CLUSTER: u32 = 0xFFFF;

impl Topology {
    /// Where a processor of this machine is, as the kernel says now. Nothing is known of a processor that does not exist.
    #[must_use]
    pub fn of_machine(id: HardwareId) -> Self {
        Self::below(Path::new("/sys"), id)
    }

    /// As [`of_machine`](Self::of_machine), with another folder for `/sys`. Whatever is missing or malformed there is not known.
    pub(super) fn below(sys: &Path, id: HardwareId) -> Self {
        let cpu = sys.join(format!("devices/system/cpu/cpu{id}"));
        let topology = cpu.join("topology");
        let of = |file: &str| number(&topology.join(file));
        Self {
            core: of("core_id"),
            package: of("physical_package_id"),
            die: of("die_id"),
            cluster: of("cluster_id").filter(|cluster| *cluster != NO_CLUSTER),
            node: node(&cpu),
            // The second name is that of older kernels.
            siblings: ["core_cpus_list", "thread_siblings_list"]
                .into_iter()
                .find_map(|file| list(&topology.join(file), id)),
            l3: l3(&cpu.join("cache"), id),
        }
    }
}

/// A number, which the kernel writes as -1 if it does not know it.
fn number(path: &Path) -> Option<u32> {
    let text = file::read(path).ok()?;
    let text = text.trim();
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

/// A list that names this processor. While the processor goes offline, the kernel may leave it out.
fn list(path: &Path, id: HardwareId) -> Option<CpuList> {
    let list: CpuList = file::read(path).ok()?.parse().ok()?;
    list.contains(id).then_some(list)
}

/// The node to which the kernel has linked the processor.
fn node(cpu: &Path) -> Option<u32> {
    let entries = fs::read_dir(cpu).ok()?.take(MOST_ENTRIES).map_while(Result::ok);
    let nodes = entries.filter_map(|entry| {
        let name = entry.file_name();
        let number = name.to_str()?.strip_prefix("node")?;
        number.bytes().all(|byte| byte.is_ascii_digit()).then(|| number.parse().ok()).flatten()
    });
    // There is one. The lowest, if a hostile folder has more.
    nodes.min()
}

fn l3(cache: &Path, id: HardwareId) -> Option<L3> {
    let caches = (0..MOST_CACHES).map(|nth| cache.join(format!("index{nth}")));
    let mut levels = caches.map_while(|cache| number(&cache.join("level")).map(|l| (cache, l)));
    let cache: PathBuf = levels.find_map(|(cache, level)| (level == 3).then_some(cache))?;
    let shared = list(&cache.join("shared_cpu_list"), id)?;
    Some(L3 { id: number(&cache.join("id")), shared })
}

#[cfg(test)]
mod tests;
