//! A thread's system affinity on this machine's own processors: the thread runs there.

#![cfg(all(target_os = "linux", target_arch = "x86_64"))]
#![expect(unsafe_code, reason = "drivers' functions are C functions")]

mod common;

use hotadd::Partition;
use rustix::thread::{CpuSet, sched_getaffinity};
use windows_sys::Wdk::System::SystemServices::{
    KeGetCurrentProcessorNumberEx, KeRevertToUserGroupAffinityThread,
    KeSetSystemGroupAffinityThread,
};
use windows_sys::Win32::System::Kernel::PROCESSOR_NUMBER;
use windows_sys::Win32::System::SystemInformation::GROUP_AFFINITY;

fn cpus() -> Vec<u32> {
    let mask = sched_getaffinity(None).unwrap();
    (0..CpuSet::MAX_CPU as u32).filter(|cpu| mask.is_set(*cpu as usize)).collect()
}

#[test]
fn a_thread_runs_on_its_system_affinity_and_afterwards_on_the_partition() {
    let (partition, said) = common::world(true, || Partition::process().unwrap());
    let before = cpus();
    for processor in partition.active().iter() {
        let number = processor.number();
        let affinity =
            GROUP_AFFINITY { Mask: 1 << number.number, Group: number.group, Reserved: [0; 3] };
        let mut previous = GROUP_AFFINITY::default();
        // SAFETY: one to read, one to write.
        unsafe { KeSetSystemGroupAffinityThread(&affinity, &mut previous) };
        assert_eq!(cpus(), [processor.id.0], "the kernel's mask");
        let mut here = PROCESSOR_NUMBER::default();
        // SAFETY: one to write.
        let index = unsafe { KeGetCurrentProcessorNumberEx(&mut here) };
        assert_eq!(index, processor.index.get(), "the driver's processor");
        assert_eq!((here.Group, here.Number), (number.group, number.number));
        // SAFETY: one to read.
        unsafe { KeRevertToUserGroupAffinityThread(&previous) };
        assert_eq!(cpus(), before);
    }
    assert_eq!(said.breaches(), [""; 0]);
}
