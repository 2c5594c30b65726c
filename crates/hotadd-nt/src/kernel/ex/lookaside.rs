//! Lookaside lists: freed blocks of one size, kept for the next allocation.
//!
//! Drivers allocate and free through code of the public headers that is inlined into them. So a list has the layout
//! that this code expects: the functions that it calls when the list is empty or full use the driver's own
//! convention.

use std::ffi::c_void;
use std::mem::offset_of;
use std::sync::atomic::{AtomicI32, AtomicU16, AtomicU32, AtomicUsize, Ordering};

use crate::ground::abi::Abi;
use crate::ground::caller;
use crate::ground::declare::nt_for;
use crate::ground::foreign::Shared;
use crate::ground::routine::Routine;
use crate::ground::types::NtStatus;
use crate::kernel::ex::{pool, slists};

/// `GENERAL_LOOKASIDE`, the content of each kind of list.
#[repr(C)]
pub(crate) struct Lookaside {
    list: slists::List,
    depth: AtomicU16,
    most: AtomicU16,
    total_allocates: AtomicU32,
    allocate_misses: AtomicU32,
    total_frees: AtomicU32,
    free_misses: AtomicU32,
    kind: AtomicI32,
    tag: AtomicU32,
    size: AtomicU32,
    allocate: AtomicUsize,
    free: AtomicUsize,
    _entry: [AtomicUsize; 2],
    _last: [AtomicU32; 2],
    _future: [AtomicU32; 2],
}

const _: () = assert!(offset_of!(Lookaside, depth) == 0x10);
const _: () = assert!(offset_of!(Lookaside, tag) == 0x28);
const _: () = assert!(offset_of!(Lookaside, allocate) == 0x30);
const _: () = assert!(size_of::<Lookaside>() == 0x60);

/// How many blocks are kept. Windows starts with fewer and adapts.
const DEPTH: u16 = 16;
/// The minimum size of a block: that of a list entry.
const SMALLEST: usize = 16;
/// `POOL_RAISE_IF_ALLOCATION_FAILURE`, and the equivalent flag of `ExInitializeLookasideListEx`.
const RAISE: i32 = 16;
const RAISE_ON_FAIL: u32 = 1;
/// `PagedPool`.
const PAGED: i32 = 1;

nt_for! {
    /// Initialises a list of blocks of nonpaged pool.
    fn ExInitializeNPagedLookasideList(
        abi,
        list: Shared<Lookaside>,
        allocate: *const c_void,
        free: *const c_void,
        flags: u32,
        size: usize,
        tag: u32,
        _depth: u16,
    ) {
        initialize(abi, list.get(), [allocate, free], flags.cast_signed(), size, tag);
    }

    /// Initialises a list of blocks of paged pool.
    fn ExInitializePagedLookasideList(
        abi,
        list: Shared<Lookaside>,
        allocate: *const c_void,
        free: *const c_void,
        flags: u32,
        size: usize,
        tag: u32,
        _depth: u16,
    ) {
        initialize(abi, list.get(), [allocate, free], PAGED | flags.cast_signed(), size, tag);
    }

    /// Initialises a list of blocks of a kind of pool.
    fn ExInitializeLookasideListEx(
        abi,
        list: Shared<Lookaside>,
        allocate: *const c_void,
        free: *const c_void,
        kind: i32,
        flags: u32,
        size: usize,
        tag: u32,
        _depth: u16,
    ) -> NtStatus {
        let raise = if flags & RAISE_ON_FAIL == 0 { 0 } else { RAISE };
        initialize(abi, list.get(), [allocate, free], kind | raise, size, tag);
        0
    }

    /// Frees the list's blocks.
    fn ExDeleteNPagedLookasideList(_abi, list: Shared<Lookaside>) { flush(list.get(), true) }

    /// Frees the list's blocks.
    fn ExDeletePagedLookasideList(_abi, list: Shared<Lookaside>) { flush(list.get(), true) }

    /// Frees the list's blocks.
    fn ExDeleteLookasideListEx(_abi, list: Shared<Lookaside>) { flush(list.get(), true) }

    /// Frees the list's blocks. The list remains usable.
    fn ExFlushLookasideListEx(_abi, list: Shared<Lookaside>) { flush(list.get(), false) }
}

/// The default functions of lists in a convention.
fn defaults(abi: Abi) -> [usize; 2] {
    ["ExAllocatePoolWithTag", "ExFreePool"].map(|name| {
        let export = pool::EXPORTS.iter().find(|export| export.name == name);
        export.expect("declared in `pool`").address(abi) as usize
    })
}

fn initialize(
    abi: Abi,
    list: &Lookaside,
    functions: [*const c_void; 2],
    kind: i32,
    size: usize,
    tag: u32,
) {
    let Ok(size) = u32::try_from(size.max(SMALLEST)) else {
        caller::fault(format!("makes a lookaside list of blocks of {size} bytes"));
    };
    // All fields are overwritten, because the memory may have any content.
    let counts =
        [&list.total_allocates, &list.allocate_misses, &list.total_frees, &list.free_misses];
    for count in counts.into_iter().chain(&list._last).chain(&list._future) {
        count.store(0, Ordering::Relaxed);
    }
    for link in &list._entry {
        link.store(0, Ordering::Relaxed);
    }
    slists::initialize(&list.list);
    list.depth.store(DEPTH, Ordering::Relaxed);
    list.most.store(DEPTH, Ordering::Relaxed);
    list.kind.store(kind, Ordering::Relaxed);
    list.tag.store(tag, Ordering::Relaxed);
    list.size.store(size, Ordering::Relaxed);
    let places = [&list.allocate, &list.free];
    for ((place, given), default) in places.into_iter().zip(functions).zip(defaults(abi)) {
        let function = if given.is_null() { default } else { given as usize };
        place.store(function, Ordering::Release);
    }
}

fn flush(list: &Lookaside, for_good: bool) {
    let free = list.free.load(Ordering::Acquire);
    let is_ours = [Abi::Win64, Abi::SysV].into_iter().any(|abi| defaults(abi)[1] == free);
    if for_good {
        // Blocks that are returned after this are freed at once.
        list.depth.store(0, Ordering::Relaxed);
    }
    loop {
        let entry = slists::pop(&list.list);
        if entry == 0 {
            return;
        }
        if is_ours {
            pool::free("ExFreePool", entry, None);
        } else if let Some(routine) = Routine::new(free as *const c_void) {
            // SAFETY: it is the driver's FREE_FUNCTION or FREE_FUNCTION_EX, and receives a block from the list.
            unsafe { routine.call([entry, std::ptr::from_ref(list) as usize, 0, 0]) };
        }
    }
}
