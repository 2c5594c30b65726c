//! Processors that are hot-added to a guest and removed, as Linux shows them.

use std::time::Duration;

use lab::{Error, Guest, Kernel};

use crate::common::{cpu, lab, on_each_kernel};

const LIMIT: Duration = Duration::from_secs(60);

on_each_kernel!(
    a_hot_added_processor_stays_offline_until_its_switch_is_written,
    a_processor_is_unplugged_and_linux_releases_it,
    an_unplugged_processor_comes_back_with_its_number,
    uevents_arrive_in_the_order_of_the_changes,
    a_sibling_thread_forbidden_by_nosmt_is_present_and_refused,
    requests_that_crash_qemu_are_refused,
);

fn set(guest: &Guest, name: &str) -> String {
    guest.read(&cpu(name)).unwrap()
}

fn a_hot_added_processor_stays_offline_until_its_switch_is_written(kernel: Kernel) {
    let guest = lab(kernel).cpus(1, 8).boot().unwrap();
    assert_eq!([set(&guest, "present"), set(&guest, "online")], ["0", "0"]);
    for n in [1, 2] {
        assert_eq!(guest.add_cpu(n as usize).unwrap(), n, "Linux numbers them in order");
        assert_eq!(set(&guest, "present"), format!("0-{n}"));
        assert_eq!(set(&guest, &format!("cpu{n}/online")), "0", "it is not started by itself");
        // By the time that a program runs, the kernel's own helpers have run.
        guest.run(&["sh", "-c", "echo enough"]).unwrap();
        assert_eq!(set(&guest, &format!("cpu{n}/online")), "0", "it stays offline");
    }
    guest.write(&cpu("cpu2/online"), "1").unwrap();
    assert_eq!(set(&guest, "online"), "0,2", "only the one that was asked for is started");
    guest.write(&cpu("cpu1/online"), "1").unwrap();
    let pinned = guest.run(&["taskset", "2", "nproc"]).unwrap();
    assert_eq!(pinned.stdout, b"1\n", "programs run on it: {pinned:?}");
}

fn a_processor_is_unplugged_and_linux_releases_it(kernel: Kernel) {
    let guest = lab(kernel).cpus(2, 8).boot().unwrap();
    let (online, offline) = (guest.add_cpu(2).unwrap(), guest.add_cpu(3).unwrap());
    guest.write(&cpu(&format!("cpu{online}/online")), "1").unwrap();
    guest.remove_cpu(3).unwrap();
    assert_eq!(set(&guest, "present"), "0-2", "processor {offline} was never started, and is gone");
    guest.remove_cpu(2).unwrap();
    assert_eq!([set(&guest, "present"), set(&guest, "online")], ["0-1", "0-1"]);
    assert!(guest.read(&cpu("cpu2/online")).is_err(), "nothing of it is left");

    let nobody = guest.remove_cpu(2).unwrap_err();
    assert!(nobody.to_string().contains("no processor in slot 2"), "{nobody}");
}

fn an_unplugged_processor_comes_back_with_its_number(kernel: Kernel) {
    let guest = lab(kernel).cpus(1, 8).boot().unwrap();
    for n in 1..4 {
        guest.add_cpu(n).unwrap();
        guest.write(&cpu(&format!("cpu{n}/online")), "1").unwrap();
    }
    for n in [2, 1] {
        guest.remove_cpu(n).unwrap();
        assert_eq!(guest.add_cpu(n).unwrap() as usize, n, "{kernel}");
        guest.write(&cpu(&format!("cpu{n}/online")), "1").unwrap();
    }
    assert_eq!(set(&guest, "online"), "0-3", "{kernel}");
}

fn uevents_arrive_in_the_order_of_the_changes(kernel: Kernel) {
    let guest = lab(kernel).cpus(1, 8).boot().unwrap();
    let from = guest.next_uevent().unwrap();
    guest.add_cpu(1).unwrap();
    let heard = |action: &str| {
        let head = format!("{action}@/devices/system/cpu/cpu1");
        guest.uevent(from, &head, LIMIT).unwrap().number
    };
    let added = heard("add");
    guest.write(&cpu("cpu1/online"), "1").unwrap();
    let online = heard("online");
    guest.remove_cpu(1).unwrap();
    let (offline, removed) = (heard("offline"), heard("remove"));
    assert!(added < online && online < offline && offline < removed);

    let never = guest.uevent(from, "add@/devices/system/cpu/cpu7", Duration::ZERO).unwrap_err();
    assert!(matches!(never, Error::Late { .. }), "there is no such processor: {never}");
    let all = guest.uevents(from).unwrap();
    let numbers: Vec<_> = all.iter().map(|event| event.number).collect();
    assert_eq!(numbers, (from..from + all.len()).collect::<Vec<_>>(), "none was lost: {all:?}");
}

fn a_sibling_thread_forbidden_by_nosmt_is_present_and_refused(kernel: Kernel) {
    // Without `nr_cpus` this would be a kind of guest that no other test has.
    let lab = lab(kernel).cpus(1, 4).threads_per_core(2).kernel_line("nosmt nr_cpus=2");
    let guest = lab.boot().unwrap();
    let cpu1 = guest.add_cpu(1).unwrap();
    let path = cpu(&format!("cpu{cpu1}/online"));
    let first = guest.write(&path, "1").unwrap_err();
    assert_eq!(first.errno(), Some(rustix::io::Errno::CANCELED.raw_os_error()), "{first}");
    let second = guest.write(&path, "1").unwrap_err();
    assert_eq!(second.errno(), Some(rustix::io::Errno::PERM.raw_os_error()), "{second}");
    assert_eq!([set(&guest, "online"), set(&guest, "present")], ["0", "0-1"]);
}

fn requests_that_crash_qemu_are_refused(kernel: Kernel) {
    let guest = lab(kernel).cpus(1, 8).boot().unwrap();
    let taken = guest.add_cpu(0).unwrap_err();
    assert!(taken.to_string().contains("slot 0"), "{taken}");
    for _ in 2..8 {
        guest.add_cpu(1).unwrap();
        guest.remove_cpu(1).unwrap();
    }
    guest.add_cpu(1).unwrap();
    let ninth = guest.add_cpu(2).unwrap_err();
    assert!(ninth.to_string().contains("more slots"), "although slot 2 is empty: {ninth}");
    assert_eq!(set(&guest, "online"), "0", "the guest lives on");
    let none = lab(kernel).cpus(2, 1).boot().map(drop).unwrap_err();
    assert!(none.to_string().contains("2 of 1"), "{none}");
}
