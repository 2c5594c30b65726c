//! DPCs on this machine's own processors. They run on their target, also on a processor that has just joined,
//! and do not keep it from leaving again.

#![cfg(all(target_os = "linux", target_arch = "x86_64"))]
#![expect(unsafe_code, reason = "drivers' functions are C functions")]

mod common;

use std::ffi::c_void;
use std::mem;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use hotadd::hardware::{Affinity, Tree};
use hotadd::{CpuList, Errno, Partition};
use rustix::thread::{CpuSet, sched_getaffinity, sched_getcpu};
use windows_sys::Wdk::Foundation::{KDPC, KEVENT, PKDEFERRED_ROUTINE};
use windows_sys::Wdk::System::SystemServices::{
    KE_PROCESSOR_CHANGE_NOTIFY_CONTEXT, KeGetCurrentProcessorNumberEx, KeInitializeDpc,
    KeInitializeEvent, KeInsertQueueDpc, KeRegisterProcessorChangeCallback, KeSetEvent,
    KeSetTargetProcessorDpcEx, KeWaitForSingleObject, PPROCESSOR_CALLBACK_FUNCTION,
};

/// What a DPC saw: the driver's processor, the kernel's processor, and the mask of its thread.
static SEEN: Mutex<Vec<(u32, usize, Vec<usize>)>> = Mutex::new(Vec::new());

/// The index of the processor that AddComplete was last told of.
static JOINED: AtomicU32 = AtomicU32::new(u32::MAX);

fn mask() -> Vec<usize> {
    let mask = sched_getaffinity(None).unwrap();
    (0..CpuSet::MAX_CPU).filter(|cpu| mask.is_set(*cpu)).collect()
}

unsafe extern "system" fn look(_: *mut KDPC, event: *mut KEVENT, _: usize, _: usize) {
    // SAFETY: NULL for a result that is not needed.
    let index = unsafe { KeGetCurrentProcessorNumberEx(std::ptr::null_mut()) };
    SEEN.lock().unwrap().push((index, sched_getcpu(), mask()));
    // SAFETY: the code that queued this waits for it.
    unsafe { KeSetEvent(event, 0, false) };
}

/// A callback that prepares nothing, and after the processor has joined waits without limit for a DPC there.
unsafe extern "system" fn changed(
    _: *const c_void,
    change: *const KE_PROCESSOR_CHANGE_NOTIFY_CONTEXT,
    _: *mut i32,
) {
    // SAFETY: the system's, during the call.
    let change = unsafe { &*change };
    if change.State != 1 {
        return;
    }
    let (mut dpc, mut event) = (KDPC::default(), KEVENT::default());
    // SAFETY: a place for one.
    unsafe { KeInitializeEvent(&raw mut event, 0, false) };
    type Routine = unsafe extern "system" fn(*mut KDPC, *mut KEVENT, usize, usize);
    // SAFETY: the type there leaves the arguments out.
    let routine = unsafe { mem::transmute::<Routine, PKDEFERRED_ROUTINE>(look) };
    // SAFETY: a place for one, and what the routine takes.
    unsafe { KeInitializeDpc(&raw mut dpc, routine, (&raw const event).cast()) };
    // SAFETY: initialised, and a number.
    let aimed = unsafe { KeSetTargetProcessorDpcEx(&raw mut dpc, &raw const change.ProcNumber) };
    assert_eq!(aimed, 0, "the processor is active in AddComplete (A5)");
    let null = std::ptr::null();
    // SAFETY: initialised, and here until it has run.
    assert!(unsafe { KeInsertQueueDpc(&raw mut dpc, null, null) });
    // SAFETY: initialised.
    unsafe { KeWaitForSingleObject((&raw const event).cast(), 0, 0, false, null.cast()) };
    JOINED.store(change.NtNumber, Ordering::SeqCst);
}

#[test]
fn a5_a_dpc_runs_on_a_processor_that_joins_and_does_not_block_its_removal() {
    let ids = mask();
    let first: CpuList = ids[0].to_string().parse().unwrap();
    let (partition, said) = common::world(true, || {
        let hardware = Affinity::new(Tree::Current, Some(&first)).unwrap();
        Partition::from_hardware(Arc::new(hardware)).unwrap()
    });
    type Callback = unsafe extern "system" fn(
        *const c_void,
        *const KE_PROCESSOR_CHANGE_NOTIFY_CONTEXT,
        *mut i32,
    );
    // SAFETY: the type there leaves the arguments out.
    let callback = unsafe { mem::transmute::<Callback, PPROCESSOR_CALLBACK_FUNCTION>(changed) };
    // SAFETY: a callback, with the flag that has it hear of the first processor.
    let handle = unsafe { KeRegisterProcessorChangeCallback(callback, std::ptr::null(), 1) };
    assert!(!handle.is_null());
    let seen = || mem::take(&mut *SEEN.lock().unwrap());
    assert_eq!(seen(), [(0, ids[0], vec![ids[0]])], "the replay (R3)");

    // A processor on which a DPC ran before, and one on which none did.
    for round in 0..2 {
        for (index, id) in ids.iter().enumerate().skip(1) {
            let id_there = hotadd::HardwareId(u32::try_from(*id).unwrap());
            let change = partition.add(id_there).unwrap();
            let index = u32::try_from(index).unwrap();
            assert_eq!(change.processor.index.get(), index, "it keeps its index (X3)");
            assert_eq!(seen(), [(index, *id, vec![*id])], "round {round}: on that processor only");
            assert_eq!(JOINED.load(Ordering::SeqCst), index, "AddComplete saw it run");
        }
        for id in ids.iter().skip(1) {
            let id = hotadd::HardwareId(u32::try_from(*id).unwrap());
            // The DPC's thread may not have returned to the partition's mask yet.
            loop {
                match partition.remove(id) {
                    Ok(_) => break,
                    Err(error) => assert_eq!(error.errno(), Some(Errno::EBUSY), "{error}"),
                }
            }
        }
    }
    assert_eq!(said.breaches(), [""; 0]);
}
