//! The README's first paragraph on real kernels: a program's VM gets a vCPU, its container's cpuset grows, an
//! operator widens an affinity. The program uses `Partition::process()` (`lab-holder`). None of its threads
//! runs on the processor before all parties have agreed, no `hotadd add` is needed, and a refused processor
//! stays out.
//!
//! Linux 6.1 changes masks by itself, which leaves windows. They end by themselves, and their lengths are
//! printed.

use std::time::Instant;

use lab::{Guest, Kernel};

use crate::common::holder::{Counts, Holder, LIMIT, masks, with_holder};
use crate::common::{cpu, on_each_kernel, text};

on_each_kernel!(
    a_vcpu_added_to_the_vm_is_used_only_after_agreement,
    a_processor_added_to_the_containers_cpuset_is_used_only_after_agreement,
    a_processor_added_to_an_affinity_is_used_only_after_agreement,
    the_masks_count_in_a_container_that_shows_other_processors,
);

fn a_vcpu_added_to_the_vm_is_used_only_after_agreement(kernel: Kernel) {
    let lab = with_holder(kernel).program("lab-onliner").unwrap();
    let guest = lab.cpus(1, 8).boot().unwrap();
    run(&guest, "mkfifo /tmp/up");
    guest.start(&["lab-onliner", "/tmp/up", "now"], "/tmp/onliner").unwrap();
    run(&guest, "cat /tmp/up");
    // One thread has set its own mask, inside of the set.
    let mut holder = Holder::start(&guest, "holder", "exec $holder 6 0");
    let pinned = holder.until(0, "pinned ")["pinned ".len()..].parse::<u32>().unwrap();
    is_plugged_in(kernel, &guest, &mut holder, 1);
    let total = holder.total();
    total.show(kernel, "a vCPU is plugged in and brought online");
    assert_eq!((total.outside, total.slotless), (0, 0), "{kernel}: not for a moment: {total:?}");

    // It goes offline, and another process brings it back.
    guest.write(&cpu("cpu2/online"), "0").unwrap();
    holder.until(0, "2 vanished"); // X2
    let mark = holder.mark();
    guest.write(&cpu("cpu2/online"), "1").unwrap();
    holder.until(mark, "2 joined @");
    holder.runs_on(2);
    holder.order("refuse 2");
    let mark = holder.mark();
    guest.write(&cpu("cpu2/online"), "0").unwrap();
    holder.until(mark, "2 vanished");
    guest.write(&cpu("cpu2/online"), "1").unwrap();
    holder.until(mark, "2 refused: ");
    holder.stays_on("0");
    let total = holder.total();
    total.show(kernel, "it is taken offline and brought online");
    assert_eq!(holder.masks()[&pinned], "0", "{kernel}: what a thread has set itself stays (H3)");
    assert_eq!((total.outside, total.slotless), (0, 0), "{kernel}: not for a moment: {total:?}");
    holder.nothing_joined_without_agreement();
    holder.end();

    // The same in a cgroup with all processors. Before Linux 6.2 every hot-plug resets the masks in it.
    run(&guest, "echo +cpuset > /cgroup/cgroup.subtree_control; mkdir /cgroup/box");
    guest.write(&cpu("cpu2/online"), "0").unwrap();
    guest.write(&cpu("cpu1/online"), "0").unwrap();
    let mut holder =
        Holder::start(&guest, "boxed", "echo 0 > /cgroup/box/cgroup.procs; exec $holder");
    is_plugged_in(kernel, &guest, &mut holder, 3);
    let total = holder.total();
    total.show(kernel, "a vCPU is plugged in and brought online, in a cgroup with all processors");
    is_within_its_window(kernel, &total);
    holder.end();
}

/// Two processors are plugged in and brought online: a driver refuses the first, and the second joins.
fn is_plugged_in(kernel: Kernel, guest: &Guest, holder: &mut Holder<'_>, first: u32) {
    let second = first + 1;
    holder.order(&format!("refuse {first}"));
    let before = holder.masks();
    let mark = holder.mark();
    comes_online(guest, first);
    let refused = holder.until(mark, &format!("{first} refused: "));
    assert!(refused.contains(": last: "), "{kernel}: the refusing party: {refused}");
    holder.stays_on("0");
    let now = holder.masks();
    let same = before.iter().all(|(thread, mask)| now.get(thread).is_none_or(|now| now == mask));
    assert!(same, "{kernel}: no mask changes: {before:?}, now {now:?}");

    let came = comes_online(guest, second);
    let joined = holder.until(mark, &format!("{second} joined @"));
    let (_, at) = joined.rsplit_once('@').unwrap();
    let after = at.parse::<u64>().unwrap().saturating_sub(came);
    println!("{kernel}: {second} joined {} ms after its uevent", after / 1000);
    holder.runs_on(second);
    holder.stays_on(&format!("0,{second}"));
    holder.nothing_joined_without_agreement();
}

/// Plugs in a processor, which another process brings online. Returns the time.
fn comes_online(guest: &Guest, id: u32) -> u64 {
    let from = guest.next_uevent().unwrap();
    assert_eq!(guest.add_cpu(id as usize).unwrap(), id, "slots are filled in order");
    guest.uevent(from, &format!("online@/devices/system/cpu/cpu{id}"), LIMIT).unwrap().at_us
}

/// On Linux 6.12 no thread may be outside. Linux 6.1 resets masks by itself, and threads may run elsewhere
/// until the next look.
fn is_within_its_window(kernel: Kernel, total: &Counts) {
    assert_eq!(total.slotless, 0, "{kernel}: every processor that joins has a slot: {total:?}");
    if kernel == Kernel::V6_12 {
        assert_eq!(total.outside, 0, "{kernel}: not for a moment: {total:?}");
    }
}

fn a_processor_added_to_the_containers_cpuset_is_used_only_after_agreement(kernel: Kernel) {
    let guest = with_holder(kernel).cpus(5, 8).boot().unwrap();
    run(
        &guest,
        "echo +cpuset > /cgroup/cgroup.subtree_control; mkdir -p /cgroup/box/in
        echo +cpuset > /cgroup/box/cgroup.subtree_control; echo 0 > /cgroup/box/cpuset.cpus",
    );
    let of_box = |list: &str| guest.write("/cgroup/box/cpuset.cpus", list).unwrap();
    let start = "echo 0 > /cgroup/box/in/cgroup.procs; exec $holder";
    let mut holder = Holder::start(&guest, "holder", start);
    holder.stays_on("0");

    // Like `docker update --cpuset-cpus`: a cgroup above grows.
    holder.order("refuse 1");
    let mark = holder.mark();
    of_box("0-1");
    holder.until(mark, "1 refused: ");
    holder.stays_on("0");
    of_box("0-2");
    holder.until(mark, "2 joined @");
    holder.runs_on(2);
    holder.stays_on("0,2");
    let total = holder.total();
    total.show(kernel, "a cpuset above grows");
    is_within_its_window(kernel, &total);

    // It shrinks: the processor is gone at once, and comes back only with agreement.
    of_box("0-1");
    holder.until(mark, "2 vanished"); // X2
    holder.stays_on("0");
    let mark = holder.mark();
    of_box("0-2");
    holder.until(mark, "2 joined @"); // X3
    holder.runs_on(2);

    // The same in the program's own cgroup.
    let of_its_own = |list: &str| guest.write("/cgroup/box/in/cpuset.cpus", list).unwrap();
    let mark = holder.mark();
    of_its_own("0");
    holder.until(mark, "2 vanished");
    of_box("0-3");
    holder.stays_on("0");
    of_its_own("0,3");
    holder.until(mark, "3 joined @");
    holder.runs_on(3);
    holder.stays_on("0,3");
    let total = holder.total();
    total.show(kernel, "cpusets shrink and grow");
    is_within_its_window(kernel, &total);
    holder.nothing_joined_without_agreement();
    holder.end();
}

fn a_processor_added_to_an_affinity_is_used_only_after_agreement(kernel: Kernel) {
    let guest = with_holder(kernel).cpus(5, 8).boot().unwrap();
    let mut holder = Holder::start(&guest, "holder", "exec taskset 1 $holder");
    holder.stays_on("0");
    let before = holder.masks();

    // Like `taskset -acp`.
    holder.order("refuse 1");
    let mark = holder.mark();
    holder.widen("0-1");
    let found = holder.until(mark, "found: ");
    let thread = before.keys().any(|thread| found.contains(&thread.to_string()));
    assert!(thread && found.contains("0-1"), "{kernel}: whose mask, and which (H3): {found}");
    holder.until(mark, "1 refused: ");
    holder.all_masks_are("0");
    holder.stays_on("0");
    let total = holder.total();
    total.show(kernel, "masks are widened, and the processor is refused");
    assert!(total.ids.iter().all(|id| *id == 1), "{kernel}: nowhere but there: {total:?}");

    let mark = holder.mark();
    holder.widen("0,2");
    holder.until(mark, "2 joined @");
    holder.all_masks_are("0,2");
    holder.runs_on(2);
    holder.stays_on("0,2");

    holder.order("refuse 3");
    let mark = holder.mark();
    holder.widen("0,2-3");
    holder.until(mark, "3 refused: ");
    holder.all_masks_are("0,2");
    holder.stays_on("0,2");

    // A mask inside of the set is the thread's own. All masks were read when another one was put back.
    let threads: Vec<String> = holder.masks().keys().map(u32::to_string).collect();
    let [.., inside, outside] = &threads[..] else { panic!("{threads:?}") };
    run(&guest, &format!("lab-holder set {inside} 2; lab-holder set {outside} 0,3"));
    let began = Instant::now();
    while holder.masks()[&outside.parse::<u32>().unwrap()] != "0,2" {
        assert!(began.elapsed() < LIMIT, "{kernel}: it is put back: {:?}", holder.masks());
    }
    let mask = &holder.masks()[&inside.parse::<u32>().unwrap()];
    assert_eq!(mask, "2", "{kernel}: what a thread has inside of the set stays as it is (H3)");
    let total = holder.total();
    total.show(kernel, "masks are widened");
    assert!(total.ids.iter().all(|id| [1, 2, 3].contains(id)), "{kernel}: {total:?}");
    assert_eq!(total.slotless, 0, "{kernel}: every processor that joins has a slot: {total:?}");
    holder.nothing_joined_without_agreement();
    holder.end();
}

/// Like lxcfs: the container's lists differ from the masks of its processes.
fn the_masks_count_in_a_container_that_shows_other_processors(kernel: Kernel) {
    let lab = with_holder(kernel).program("hotadd").unwrap();
    let guest = lab.cpus(2, 8).boot().unwrap();
    run(&guest, "echo 0 > /tmp/online; mount -o bind /tmp/online /sys/devices/system/cpu/online");
    assert_eq!(guest.read(&cpu("online")).unwrap(), "0", "{kernel}: this is what is shown");
    let mut holder = Holder::start(&guest, "holder", "exec taskset 2 $holder");
    holder.stays_on("1");
    assert!(masks(&guest, holder.pid).values().all(|mask| mask == "1"), "{kernel}: H4");
    holder.end();

    let script = "grep Cpus_allowed_list /proc/self/status";
    let ran = guest.run(&["taskset", "2", "hotadd", "run", "--", "sh", "-c", script]).unwrap();
    let (out, said) = (text(&ran.stdout), text(&ran.stderr));
    assert!(ran.status.success(), "{kernel}: it begins on what it has (H4): {said}");
    assert_eq!(out, "Cpus_allowed_list:\t1\n", "{kernel}: {said}");

    // The message names the hidden processors.
    for (folder, file) in
        [("/sys/devices/system/cpu", "/sys/devices/system/cpu/possible"), ("/proc", "/proc/")]
    {
        for over in ["affinity", "cpuset"] {
            let hide =
                format!("mount -t tmpfs none {folder}; exec hotadd run --over {over} -- true");
            let ran = guest.run(&["unshare", "-m", "sh", "-c", &hide]).unwrap();
            let said = text(&ran.stderr);
            assert!(
                !ran.status.success(),
                "{kernel}: without {folder} nothing is promised: {said}"
            );
            assert!(said.contains(file), "{kernel}: {file} is named, over {over} (H4): {said}");
        }
    }
}

/// The output of a script, which must succeed.
fn run(guest: &Guest, script: &str) -> String {
    let ran = guest.run(&["sh", "-c", &format!("set -e; {script}")]).unwrap();
    assert!(ran.status.success(), "{script}: {}", text(&ran.stderr));
    text(&ran.stdout)
}
