//! Interlocked singly linked lists, which need no lock of the driver.
//!
//! Drivers read the depth themselves, in inlined code. Everything else is done here, under one of a few locks of this
//! crate. So an entry that another thread removes and frees at the same moment is never read.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use hotadd::Status;
use parking_lot::{Mutex, MutexGuard};

use crate::ground::caller;
use crate::ground::declare::nt;
use crate::ground::foreign::Shared;

/// `SLIST_HEADER`.
#[repr(C, align(16))]
pub(crate) struct List {
    /// The depth in the lower 16 bits, and above it a sequence number that each change increments.
    depth: AtomicU64,
    first: AtomicUsize,
}

/// `SLIST_ENTRY`.
#[repr(C)]
pub(crate) struct Entry {
    next: AtomicUsize,
}

const _: () = assert!(size_of::<List>() == 16);

/// `STATUS_DATATYPE_MISALIGNMENT`.
const MISALIGNMENT: Status = Status::from_raw(0x8000_0002);

nt! {
    /// Initialises an empty list.
    fn InitializeSListHead(list: *const List) {
        // SAFETY: it is memory for a list, once its alignment is checked.
        initialize(unsafe { aligned(list).as_ref() });
    }

    /// Inserts an entry at the front. Returns the previous first entry.
    fn ExpInterlockedPushEntrySList(list: Shared<List>, entry: Shared<Entry>) -> usize {
        push(list.get(), entry.get())
    }

    /// Removes the first entry. Returns it, or NULL.
    fn ExpInterlockedPopEntrySList(list: Shared<List>) -> usize { pop(list.get()) }

    /// Removes all entries. Returns the first, or NULL.
    fn ExpInterlockedFlushSList(list: Shared<List>) -> usize { flush(list.get()) }

    /// Inserts an entry at the front. Returns the previous first entry.
    fn ExInterlockedPushEntrySList(list: Shared<List>, entry: Shared<Entry>, _lock: usize) -> usize {
        push(list.get(), entry.get())
    }

    /// Removes the first entry. Returns it, or NULL.
    fn ExInterlockedPopEntrySList(list: Shared<List>, _lock: usize) -> usize { pop(list.get()) }

    /// Removes all entries. Returns the first, or NULL.
    fn ExInterlockedFlushSList(list: Shared<List>) -> usize { flush(list.get()) }

    /// The number of entries.
    fn ExQueryDepthSList(list: Shared<List>) -> u16 { depth(list.get()) }
}

/// The mask of the 16 bits of the depth.
const DEPTH: u64 = 0xffff;

fn aligned(list: *const List) -> std::ptr::NonNull<List> {
    if !list.is_aligned() {
        let what = format!("calls InitializeSListHead for {list:p}, which is not a multiple of 16");
        caller::fault_with(MISALIGNMENT, what);
    }
    match std::ptr::NonNull::new(list.cast_mut()) {
        Some(list) => list,
        None => caller::fault_with(Status::ACCESS_VIOLATION, "calls InitializeSListHead for NULL"),
    }
}

/// The lock of a list.
fn lock(list: &List) -> MutexGuard<'static, ()> {
    const COUNT: usize = 64;
    static LOCKS: [Mutex<()>; COUNT] = [const { Mutex::new(()) }; COUNT];
    LOCKS[(std::ptr::from_ref(list) as usize >> 4) % COUNT].lock()
}

pub(crate) fn initialize(list: &List) {
    let _lock = lock(list);
    list.depth.store(0, Ordering::Relaxed);
    list.first.store(0, Ordering::Release);
}

/// Sets the depth, and increments the sequence number above it.
fn count(list: &List, depth: u64) {
    let number = (list.depth.load(Ordering::Relaxed) & !DEPTH).wrapping_add(DEPTH + 1);
    list.depth.store(number | (depth & DEPTH), Ordering::Release);
}

pub(crate) fn push(list: &List, entry: &Entry) -> usize {
    let _lock = lock(list);
    let was = list.first.load(Ordering::Acquire);
    entry.next.store(was, Ordering::Release);
    list.first.store(std::ptr::from_ref(entry) as usize, Ordering::Release);
    count(list, u64::from(depth(list)) + 1);
    was
}

pub(crate) fn pop(list: &List) -> usize {
    let _lock = lock(list);
    let first = list.first.load(Ordering::Acquire);
    // SAFETY: it is an entry in the list, or NULL; no thread removes and frees it while the list's lock is held.
    if let Some(entry) = unsafe { Shared::new(first as *const Entry) }.get_if_any() {
        list.first.store(entry.next.load(Ordering::Acquire), Ordering::Release);
        count(list, u64::from(depth(list)).wrapping_sub(1));
    }
    first
}

fn flush(list: &List) -> usize {
    let _lock = lock(list);
    count(list, 0);
    list.first.swap(0, Ordering::AcqRel)
}

fn depth(list: &List) -> u16 {
    #[expect(clippy::cast_possible_truncation, reason = "its lower 16 bits")]
    let depth = list.depth.load(Ordering::Relaxed) as u16;
    depth
}
