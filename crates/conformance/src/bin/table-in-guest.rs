//! Runs the table on a whole machine, which the caller gives up for it: the tests' guest. `table-in-guest hotplug` takes processors
//! offline and online, `table-in-guest cpuset FOLDER` makes cgroups in FOLDER.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use hotadd::hardware::{Cpuset, CpusetOptions, Hardware, Hotplug, HotplugOptions};
use hotadd::{ActiveSet, CpuList, HardwareId, Partition};
use hotadd_conformance::{Fault, Need, OnPartition, Scenario, Setup, Subject, run};

const SYSFS: &str = "/sys/devices/system/cpu";

/// More than anything here takes. Only a run that fails waits for it.
const LIMIT: Duration = Duration::from_secs(60);

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    match words[..] {
        ["hotplug"] => run("hotplug", hotplug).check(),
        ["cpuset", folder] => run("cpuset", |scenario| cpuset(scenario, folder)).check(),
        _ => panic!("usage: table-in-guest hotplug | cpuset FOLDER"),
    }
}

/// All processors of the machine.
fn present() -> Vec<HardwareId> {
    list(&Path::new(SYSFS).join("present")).ids().to_vec()
}

fn list(file: &Path) -> CpuList {
    let text =
        fs::read_to_string(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    text.trim_end().parse().expect("the kernel writes lists of processors")
}

fn switch(id: HardwareId, on: bool) {
    let file = format!("{SYSFS}/cpu{id}/online");
    // The kernel does not let the first processor go.
    if Path::new(&file).exists() {
        fs::write(&file, if on { "1" } else { "0" })
            .unwrap_or_else(|error| panic!("{file}: {error}"));
    }
}

type Ready = Option<(Box<dyn Subject>, Vec<HardwareId>)>;

fn ready(
    scenario: &Scenario,
    hardware: impl FnOnce(&CpuList) -> Arc<dyn Hardware>,
    offers: Vec<Need>,
    online: impl Fn() -> CpuList + 'static,
) -> Ready {
    let all = scenario.active + scenario.spare;
    let ids = present().get(..all as usize)?.to_vec();
    let active: CpuList = ids[..scenario.active as usize].iter().copied().collect();
    let partition =
        Partition::from_hardware(hardware(&active)).expect("the machine is the program's own");
    let (own, concerned) = (partition.clone(), partition.clone());
    let setup = Setup {
        partition,
        connect: Box::new(move || own.clone()),
        offers,
        processors: all,
        fault: Arc::new(move |fault, id| surprise(fault, id, &concerned)),
        check: Box::new(move |set| {
            let active: CpuList = set.iter().map(|p| p.id).collect();
            assert_eq!(
                online(),
                active,
                "the kernel has online what the set says, no less and no more"
            );
        }),
        apart: false,
    };
    Some((Box::new(OnPartition::new(setup)), ids))
}

/// Switches a processor past the partition, and waits until the partition has dealt with it.
fn surprise(fault: Fault, id: HardwareId, partition: &Partition) {
    let on = matches!(fault, Fault::Intrude(_));
    assert!(on || matches!(fault, Fault::Vanish(_)), "not offered: {fault:?}");
    switch(id, on);
    let follows = |set: &ActiveSet| set.active(id).is_some() == on;
    until("the partition notices that a processor was switched", || follows(&partition.active()));
    // Waits for the transaction that tells the parties.
    drop(partition.observe(|_| ()).expect("no callback is running"));
}

/// Neither the kernel nor the library reports these moments.
fn until(what: &str, holds: impl Fn() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < LIMIT, "{what}: not within {LIMIT:?}");
        thread::sleep(Duration::from_millis(1));
    }
}

fn hotplug(scenario: &Scenario) -> Ready {
    for (nth, id) in present().into_iter().enumerate() {
        switch(id, nth < scenario.active as usize);
    }
    let offers = vec![Need::Events, Need::Requests, Need::Surprises];
    let options = HotplugOptions::new();
    let make =
        |_: &CpuList| Arc::new(Hotplug::new(options).expect("sysfs is there")) as Arc<dyn Hardware>;
    ready(scenario, make, offers, || list(&Path::new(SYSFS).join("online")))
}

fn cpuset(scenario: &Scenario, folder: &str) -> Ready {
    present().into_iter().for_each(|id| switch(id, true));
    let group = Path::new(folder).join("table");
    // The last cpuset goes with its watching thread, which may be the last to hold it.
    until("the last scenario's cgroup is gone", || !group.exists());
    let make = |active: &CpuList| {
        let options = CpusetOptions::new().start_on(active.clone());
        Arc::new(Cpuset::create(folder, "table", &options).expect("the folder has the controller"))
            as Arc<dyn Hardware>
    };
    let offers = vec![Need::Events, Need::Requests];
    ready(scenario, make, offers, move || list(&group.join("cpuset.cpus.effective")))
}
