//! A thread's system affinity over simulated processors: what the documentation promises and tolerates.

#![cfg(all(target_os = "linux", target_arch = "x86_64"))]
#![expect(unsafe_code, reason = "drivers' functions are C functions")]

mod common;

use std::ptr;
use std::sync::{Arc, Mutex, MutexGuard};

use hotadd::Partition;
use hotadd::hardware::Simulated;
use windows_sys::Wdk::System::SystemServices::{
    KeGetCurrentProcessorNumberEx, KeRevertToUserAffinityThreadEx,
    KeRevertToUserGroupAffinityThread, KeSetSystemAffinityThreadEx, KeSetSystemGroupAffinityThread,
};
use windows_sys::Win32::System::Kernel::PROCESSOR_NUMBER;
use windows_sys::Win32::System::SystemInformation::GROUP_AFFINITY;

const NONE: (u16, usize) = (0, 0);

/// 100 processors are active, and 20 more never join. Only one test at a time reads breaches.
fn world() -> (Arc<common::Said>, MutexGuard<'static, ()>) {
    static ONE: Mutex<()> = Mutex::new(());
    let guard = ONE.lock().unwrap();
    let make = || Partition::simulated(&Simulated::new(100, 20).unwrap()).unwrap();
    let said = common::world(false, make).1;
    said.breaches();
    (said, guard)
}

fn set(group: u16, mask: usize) -> (u16, usize) {
    let affinity = GROUP_AFFINITY { Mask: mask, Group: group, Reserved: [0; 3] };
    let mut previous = GROUP_AFFINITY { Mask: 9, Group: 9, Reserved: [9; 3] };
    // SAFETY: one to read, one to write.
    unsafe { KeSetSystemGroupAffinityThread(&affinity, &mut previous) };
    assert_eq!(previous.Reserved, [0; 3], "it can be passed to another call");
    (previous.Group, previous.Mask)
}

fn revert((group, mask): (u16, usize)) {
    let previous = GROUP_AFFINITY { Mask: mask, Group: group, Reserved: [0; 3] };
    // SAFETY: one to read.
    unsafe { KeRevertToUserGroupAffinityThread(&previous) };
}

fn here() -> (u32, u16, u8) {
    let mut number = PROCESSOR_NUMBER { Group: 9, Number: 9, Reserved: 9 };
    // SAFETY: one to write.
    let index = unsafe { KeGetCurrentProcessorNumberEx(&mut number) };
    (index, number.Group, number.Number)
}

#[test]
fn a_thread_runs_on_its_affinity_and_nested_calls_revert_in_order() {
    let (said, _one) = world();
    assert_eq!(here(), (0, 0, 0));
    let outer = set(1, 1 << 3);
    assert_eq!(outer, NONE, "zeros mean that the user affinity was in force");
    assert_eq!(here(), (67, 1, 3));
    let inner = set(0, 1 << 9);
    assert_eq!(inner, (1, 1 << 3), "what was in force at the start of the call");
    assert_eq!(here(), (9, 0, 9));
    revert(inner);
    assert_eq!(here(), (67, 1, 3));
    revert(outer);
    assert_eq!(here(), (0, 0, 0));
    assert_eq!(said.breaches(), [""; 0]);
}

#[test]
fn one_revert_undoes_several_calls_without_previous() {
    let (said, _one) = world();
    let first = set(1, 1);
    for number in 1..4 {
        let affinity = GROUP_AFFINITY { Mask: 1 << number, Group: 1, Reserved: [0; 3] };
        // SAFETY: one to read; Previous is optional.
        unsafe { KeSetSystemGroupAffinityThread(&affinity, ptr::null_mut()) };
        assert_eq!(here().0, 64 + number);
    }
    revert(first);
    assert_eq!(here().0, 0);
    assert_eq!(said.breaches(), [""; 0]);
}

#[test]
fn an_impossible_affinity_changes_nothing_returns_zeros_and_is_reported() {
    let (said, _one) = world();
    let outer = set(1, 1 << 3);
    let wrong = [
        (1, 0, "the mask is empty"),
        (2, 1, "there is no such group"),
        (0xffff, 1, "there is no such group"),
        (1, 1 << 60, "the group does not have these processors"),
        (1, 1 << 60 | 1, "the group does not have these processors"),
        (1, 1 << 50, "none of them is active"),
    ];
    for (group, mask, why) in wrong {
        assert_eq!(set(group, mask), NONE, "zeros although there is a previous one: {why}");
        assert_eq!(here(), (67, 1, 3), "the thread stays: {why}");
        let breaches = said.breaches();
        assert!(breaches.len() == 1 && breaches[0].ends_with(why), "{why}: {breaches:?}");
    }
    revert(outer);
}

#[test]
fn inactive_processors_are_removed_from_the_mask() {
    let (said, _one) = world();
    let outer = set(1, 0b11 << 35); // 99 is active, 100 is not
    assert_eq!(here(), (99, 1, 35));
    let inner = set(0, 1);
    assert_eq!(inner, (1, 1 << 35), "the previous affinity shows it");
    revert(outer);
    assert_eq!(said.breaches(), [""; 0]);
}

#[test]
fn a_nonzero_reserved_field_is_reported_and_tolerated() {
    let (said, _one) = world();
    let affinity = GROUP_AFFINITY { Mask: 4, Group: 0, Reserved: [0xcccc; 3] };
    // SAFETY: one to read; Previous is optional.
    unsafe { KeSetSystemGroupAffinityThread(&affinity, ptr::null_mut()) };
    assert_eq!(here().0, 2);
    let breaches = said.breaches();
    assert!(breaches.len() == 1 && breaches[0].contains("Reserved"), "{breaches:?}");
    revert(NONE);
    assert_eq!(here().0, 0);
}

#[test]
fn functions_without_groups_use_group_0() {
    let (said, _one) = world();
    let outer = set(1, 1);
    // SAFETY: takes a mask.
    let before = unsafe { KeSetSystemAffinityThreadEx(0b100) };
    assert_eq!(before, 1, "the mask without its group");
    assert_eq!(here(), (2, 0, 2));
    // SAFETY: takes a mask.
    unsafe { KeRevertToUserAffinityThreadEx(0b1000) };
    assert_eq!(here(), (3, 0, 3));
    revert(outer);
    // SAFETY: takes a mask.
    assert_eq!(unsafe { KeSetSystemAffinityThreadEx(0b10) }, 0, "there was none");
    // SAFETY: takes a mask.
    unsafe { KeRevertToUserAffinityThreadEx(0) };
    assert_eq!(here(), (0, 0, 0));
    assert_eq!(said.breaches(), [""; 0]);
}

#[test]
fn reverting_to_an_affinity_that_was_never_set_has_no_effect() {
    let (said, _one) = world();
    revert((0, 0b100));
    assert_eq!(here(), (0, 0, 0));
    assert_eq!(said.breaches().len(), 1);
}

#[test]
fn the_affinity_belongs_to_one_thread() {
    let (_, _one) = world();
    let outer = set(1, 1);
    assert_eq!(std::thread::spawn(here).join().unwrap(), (0, 0, 0));
    assert_eq!(here(), (64, 1, 0));
    revert(outer);
}

unsafe extern "C" {
    fn KeRaiseIrqlToDpcLevel() -> u8;
    fn KeLowerIrql(irql: u8);
}

/// The current processor as drivers read it from their processor block, without a call.
fn inlined() -> u32 {
    let number;
    // SAFETY: gs points to this thread's block since it has called a function, and the number lies there.
    unsafe { std::arch::asm!("mov {:e}, gs:[0x1a4]", out(reg) number, options(nostack, readonly)) };
    number
}

#[test]
fn at_dispatch_level_a_change_waits_until_the_irql_is_lowered() {
    let (said, _one) = world();
    let outer = set(1, 1 << 3);
    // SAFETY: takes nothing.
    let irql = unsafe { KeRaiseIrqlToDpcLevel() };
    let inner = set(1, 1 << 5);
    assert_eq!(inner, (1, 1 << 3));
    assert_eq!((here().0, inlined()), (67, 67), "the thread stays on its processor");
    // SAFETY: what it was.
    unsafe { KeLowerIrql(irql) };
    assert_eq!((inlined(), here().0), (69, 69), "at once, before another call");
    revert(outer);
    assert_eq!(inlined(), 0);
    assert_eq!(said.breaches(), [""; 0]);
}
