//! `KeNumberProcessors`, the variable that drivers read without a call.

#![cfg(all(target_os = "linux", target_arch = "x86_64"))]
#![expect(unsafe_code, reason = "drivers' variables are C variables")]

mod common;

use std::sync::atomic::{AtomicI8, Ordering};

use hotadd::hardware::Simulated;
use hotadd::{HardwareId, Partition};
// The variable is this crate's.
use hotadd_nt as _;

unsafe extern "C" {
    static KeNumberProcessors: AtomicI8;
}

#[test]
fn the_variable_follows_the_partition_up_to_the_size_of_group_0() {
    let make = || Partition::simulated(&Simulated::new(62, 4).unwrap()).unwrap();
    let (partition, _) = common::world(false, make);
    // SAFETY: declared as it is.
    let number = || unsafe { &KeNumberProcessors }.load(Ordering::Relaxed);
    assert_eq!(number(), 62);
    for (id, expected) in [(62, 63), (63, 64), (64, 64), (65, 64)] {
        partition.add(HardwareId(id)).unwrap();
        assert_eq!(number(), expected, "updated without a driver's call");
    }
    partition.remove(HardwareId(5)).unwrap();
    assert_eq!(number(), 63);
}
