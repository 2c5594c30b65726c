//! The machine on which everything is measured, and who takes part.

use std::fs;
use std::process::Command;

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

use crate::peer::{DPDK, URCU, go_version, output};
use crate::report::Section;

/// The processors that this process may run on, ascending.
pub(crate) fn processors() -> Vec<usize> {
    let set = sched_getaffinity(None).unwrap_or_else(|_| CpuSet::new());
    (0..CpuSet::MAX_CPU).filter(|processor| set.is_set(*processor)).collect()
}

/// Lets the calling thread run on these processors only.
pub(crate) fn pin(processors: &[usize]) {
    let mut set = CpuSet::new();
    processors.iter().for_each(|processor| set.set(*processor));
    sched_setaffinity(None, &set).expect("a thread may always narrow its own mask to what it has");
}

/// Runs this on one processor, the first that the thread may run on, and gives the thread the others back.
pub(crate) fn pinned<R>(run: impl FnOnce(usize) -> R) -> R {
    let all = processors();
    pin(&all[..1]);
    let result = run(all[0]);
    pin(&all);
    result
}

/// Names the machine, and the versions of all that take part.
pub(crate) fn section() -> Section {
    let cpu = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let field = |name: &str| {
        let value = cpu.lines().find(|line| line.starts_with(name)).and_then(|l| l.split_once(':'));
        value.map_or("unknown", |(_, value)| value.trim())
    };
    let virtual_machine = if field("flags").split(' ').any(|flag| flag == "hypervisor") {
        ", in a virtual machine"
    } else {
        ""
    };
    let kernel = output(Command::new("uname").arg("-r")).unwrap_or_else(|| "unknown".to_owned());
    let rustc = output(Command::new("rustc").arg("--version"))
        .unwrap_or_else(|| "rustc unknown".to_owned());
    let c_library = output(Command::new("getconf").arg("GNU_LIBC_VERSION"));
    let peer = |name: &str, version: Option<String>| match version {
        Some(version) => format!("{name} {version}"),
        None => format!("{name} missing"),
    };
    let lead = format!(
        "Machine: {} processors of an {} (family {}, model {}){virtual_machine}; Linux {}; {}.\n\
         Peers: {}, {}, {}, {}, thread_local 1.1, crossbeam-utils 0.8, num_cpus 1.",
        processors().len(),
        field("model name"),
        field("cpu family"),
        field("model\t"),
        kernel.split('-').next().unwrap_or(&kernel),
        rustc.split(" (").next().unwrap_or(&rustc),
        peer("DPDK", DPDK.version()),
        peer("liburcu", URCU.version()),
        peer("Go", go_version()),
        c_library.unwrap_or_else(|| "another C library than glibc".to_owned()),
    );
    Section { name: "machine", lead, tables: vec![], plots: vec![] }
}
