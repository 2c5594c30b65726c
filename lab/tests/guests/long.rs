//! Tests that take minutes because of many processors. `./test lab --long`.

use lab::Kernel;

use crate::common::{MANY, cpu, lab, on_each_kernel};

on_each_kernel!(processors_join_across_the_end_of_a_group);

/// A group has 64 processors; index 64 begins the second group.
fn processors_join_across_the_end_of_a_group(kernel: Kernel) {
    let guest = lab(kernel).cpus(1, MANY).boot().unwrap();
    for n in 1..=70 {
        assert_eq!(guest.add_cpu(n as usize).unwrap(), n, "Linux numbers them in order");
    }
    for n in [63, 64, 65, 70] {
        guest.write(&cpu(&format!("cpu{n}/online")), "1").unwrap();
    }
    assert_eq!(guest.read(&cpu("present")).unwrap(), "0-70");
    assert_eq!(guest.read(&cpu("online")).unwrap(), "0,63-65,70");
    let mask = guest.run(&["grep", "Cpus_allowed_list", "/proc/self/status"]).unwrap();
    assert!(mask.status.success(), "{mask:?}");
}
