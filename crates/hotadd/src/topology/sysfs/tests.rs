//! Tests with folders in place of `/sys`: machines of several shapes, with missing and hostile files. And on this machine.

use std::fs;
use std::os::unix::fs::symlink;

use tempfile::TempDir;

use super::*;

/// A folder in place of `/sys`.
struct Machine(TempDir);

impl Machine {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn cpu(&self, id: u32) -> PathBuf {
        self.0.path().join(format!("devices/system/cpu/cpu{id}"))
    }

    /// Writes a file of a processor, with a newline as the kernel does.
    fn file(&self, id: u32, name: &str, text: &str) -> &Self {
        let path = self.cpu(id).join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, format!("{text}\n")).unwrap();
        self
    }

    /// What the kernel has of a processor that is plugged in: its folder, and the link to its node.
    fn plugged(&self, id: u32, node: u32) -> &Self {
        self.file(id, "online", "0");
        let nodes = self.0.path().join(format!("devices/system/node/node{node}"));
        fs::create_dir_all(&nodes).unwrap();
        symlink(nodes, self.cpu(id).join(format!("node{node}"))).unwrap();
        self
    }

    /// What the kernel adds while a processor is online.
    fn online(&self, id: u32, [core, package]: [u32; 2], siblings: &str, l3: &str) -> &Self {
        self.file(id, "topology/core_id", &core.to_string());
        self.file(id, "topology/physical_package_id", &package.to_string());
        self.file(id, "topology/die_id", "0").file(id, "topology/cluster_id", "65535");
        self.file(id, "topology/core_cpus_list", siblings);
        for (nth, level, shared) in
            [(0, "1", siblings), (1, "1", siblings), (2, "2", siblings), (3, "3", l3)]
        {
            self.file(id, &format!("cache/index{nth}/level"), level);
            self.file(id, &format!("cache/index{nth}/shared_cpu_list"), shared);
            self.file(id, &format!("cache/index{nth}/id"), &package.to_string());
        }
        self
    }

    fn topology(&self, id: u32) -> Topology {
        Topology::below(self.0.path(), HardwareId(id))
    }
}

fn cpus(text: &str) -> CpuList {
    text.parse().unwrap()
}

#[test]
fn two_nodes_with_simultaneous_multithreading_are_told_apart() {
    let machine = Machine::new();
    // As Linux numbers most servers: the second threads come after all first ones.
    for id in 0..8_u32 {
        let (core, package) = (id / 2 % 2, id % 2);
        let siblings = format!("{},{}", id % 4, id % 4 + 4);
        let l3 = format!("{package},{},{},{}", package + 2, package + 4, package + 6);
        machine.plugged(id, package).online(id, [core, package], &siblings, &l3);
    }
    let want = Topology {
        core: Some(1),
        package: Some(1),
        die: Some(0),
        cluster: None,
        node: Some(1),
        siblings: Some(cpus("3,7")),
        l3: Some(L3 { id: Some(1), shared: cpus("1,3,5,7") }),
    };
    assert_eq!(machine.topology(7), want);
    assert_eq!(machine.topology(3), want, "the other thread of the same core");
    assert_eq!(machine.topology(2).node, Some(0));
    assert_eq!(machine.topology(8), Topology::default(), "there is no such processor");
}

#[test]
fn one_node_without_multithreading_has_cores_of_one_processor() {
    let machine = Machine::new();
    machine.plugged(0, 0).online(0, [0, 0], "0", "0-1");
    machine.plugged(1, 0).online(1, [1, 0], "1", "0-1");
    let topology = machine.topology(1);
    assert_eq!(topology.siblings, Some(cpus("1")));
    assert_eq!((topology.core, topology.package, topology.node), (Some(1), Some(0), Some(0)));
}

#[test]
fn an_arm64_machine_has_clusters_and_may_have_no_die_no_cache_id_and_no_node() {
    let machine = Machine::new();
    machine.file(5, "topology/core_id", "1").file(5, "topology/cluster_id", "1");
    machine.file(5, "topology/physical_package_id", "0").file(5, "topology/die_id", "-1");
    machine.file(5, "topology/core_cpus_list", "5");
    machine.file(5, "cache/index0/level", "1").file(5, "cache/index1/level", "3");
    machine.file(5, "cache/index1/shared_cpu_list", "0-7");
    let topology = machine.topology(5);
    assert_eq!((topology.cluster, topology.die, topology.node), (Some(1), None, None));
    assert_eq!(topology.l3, Some(L3 { id: None, shared: cpus("0-7") }));
}

#[test]
fn an_old_kernel_names_the_siblings_in_another_way() {
    let machine = Machine::new();
    machine.file(3, "topology/thread_siblings_list", "2-3");
    assert_eq!(machine.topology(3).siblings, Some(cpus("2-3")));
}

#[test]
fn of_a_plugged_processor_that_is_offline_only_the_node_is_known() {
    let machine = Machine::new();
    machine.plugged(9, 3);
    assert_eq!(machine.topology(9), Topology { node: Some(3), ..Topology::default() });
    machine.online(9, [4, 1], "8-9", "0-15");
    assert_eq!(machine.topology(9).core, Some(4), "the rest is known once it is online");
}

#[test]
fn a_hostile_file_makes_one_thing_unknown_and_nothing_else() {
    let hostile = ["", "-1", "+3", "3 4", "99999999999", "x", "\u{1f980}", "0x3"];
    for text in hostile {
        let machine = Machine::new();
        machine.plugged(1, 0).online(1, [2, 3], "1", "0-3");
        machine.file(1, "topology/core_id", text).file(1, "cache/index3/id", text);
        let topology = machine.topology(1);
        assert_eq!((topology.core, topology.package), (None, Some(3)), "for {text:?}");
        assert_eq!(topology.l3, Some(L3 { id: None, shared: cpus("0-3") }), "for {text:?}");
    }
    for list in ["", "-", "0,,1", "1-0", "0-99999999999", "0,2", "\u{0}"] {
        let machine = Machine::new();
        machine.plugged(1, 0).online(1, [2, 3], list, list);
        let topology = machine.topology(1);
        assert_eq!((topology.siblings, topology.l3), (None, None), "{list:?} does not name it");
        assert_eq!(topology.core, Some(2), "for {list:?}");
    }
    let machine = Machine::new();
    machine.plugged(1, 0).online(1, [2, 3], "1", "0-3");
    fs::write(machine.cpu(1).join("topology/core_id"), [0xff, 0xfe]).unwrap();
    fs::write(machine.cpu(1).join("topology/die_id"), vec![b'1'; 1 << 20]).unwrap();
    for name in ["nodes", "node", "node-1", "node99999999999", "node7x"] {
        fs::create_dir(machine.cpu(1).join(name)).unwrap();
    }
    let topology = machine.topology(1);
    assert_eq!((topology.core, topology.die), (None, None), "no text, and a text without an end");
    assert_eq!(topology.node, Some(0));
}

#[test]
fn this_machine_says_where_its_processors_are() {
    let online: CpuList =
        file::read(Path::new("/sys/devices/system/cpu/online")).unwrap().parse().unwrap();
    for &id in online.ids() {
        let topology = Topology::of_machine(id);
        let siblings = topology.siblings.expect("a processor that is online has a topology");
        assert!(siblings.contains(id), "{id} is on its own core: {siblings}");
        assert!(topology.core.is_some() && topology.package.is_some(), "of processor {id}");
        assert!(topology.l3.is_none_or(|l3| l3.shared.contains(id)), "{id} shares its own cache");
    }
    assert_eq!(Topology::of_machine(HardwareId(65_535)), Topology::default());
}
