//! The structures in a driver's memory have the sizes and offsets of public types from another source.

use windows_sys::Wdk::Foundation as wdk;
use windows_sys::Wdk::System::SystemServices as services;
use windows_sys::Win32::System::Kernel as kernel;

use crate::ground::objects;
use crate::kernel::ex::{callbacks, mutexes, resources, slists, work};
use crate::kernel::ke::spin;

#[test]
fn objects_have_the_sizes_of_the_public_types() {
    macro_rules! same {
        ($($ours:ty = $theirs:ty),* $(,)?) => {$(
            assert_eq!(size_of::<$ours>(), size_of::<$theirs>(), stringify!($theirs));
        )*};
    }
    same! {
        objects::Header = wdk::DISPATCHER_HEADER,
        objects::Event = wdk::KEVENT,
        objects::Mutant = wdk::KMUTANT,
        objects::Dpc = wdk::KDPC,
        objects::Semaphore = services::KSEMAPHORE,
        objects::Timer = services::KTIMER,
        spin::QueueHandle = services::KLOCK_QUEUE_HANDLE,
        mutexes::Mutex = wdk::FAST_MUTEX,
        slists::List = kernel::SLIST_HEADER,
        work::Item = wdk::WORK_QUEUE_ITEM,
        callbacks::Attributes = wdk::OBJECT_ATTRIBUTES,
        parking_lot::RawRwLock = usize,
    }
}

#[test]
fn writes_to_a_resource_stay_within_the_smallest_public_type() {
    // That type has 0x60 bytes here and 0x68 in the documented headers.
    let written = std::mem::offset_of!(resources::Resource, exclusive_waiters) + 4;
    assert!(written <= size_of::<wdk::ERESOURCE>(), "{written}");
}

#[test]
fn fields_used_by_inlined_code_are_at_their_public_offsets() {
    use std::mem::offset_of;
    assert_eq!(
        offset_of!(callbacks::Attributes, name),
        offset_of!(wdk::OBJECT_ATTRIBUTES, ObjectName)
    );
    assert_eq!(offset_of!(objects::Semaphore, limit), offset_of!(services::KSEMAPHORE, Limit));
    assert_eq!(offset_of!(objects::Dpc, routine), offset_of!(wdk::KDPC, DeferredRoutine));
    assert_eq!(offset_of!(objects::Dpc, context), offset_of!(wdk::KDPC, DeferredContext));
    assert_eq!(offset_of!(objects::Dpc, queued), offset_of!(wdk::KDPC, DpcData));
}
