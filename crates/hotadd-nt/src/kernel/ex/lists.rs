//! Lists and numbers that one call changes under a spin lock of the driver (`ExInterlocked...`), at any IRQL.

use std::cell::Cell;
use std::ptr;
use std::sync::atomic::{AtomicI64, AtomicU32, AtomicUsize, Ordering};

use crate::ground::declare::nt;
use crate::ground::foreign::Shared;
use crate::kernel::ke::spin;

/// `LIST_ENTRY`: also the head of a list, which is empty when it points to itself.
#[repr(C)]
pub(crate) struct Entry {
    next: Cell<*const Entry>,
    previous: Cell<*const Entry>,
}

/// `SINGLE_LIST_ENTRY`.
#[repr(C)]
pub(crate) struct Single {
    next: Cell<*const Single>,
}

nt! {
    /// Inserts an entry at the front. Returns the previous first entry, or NULL.
    fn ExInterlockedInsertHeadList(
        list: Shared<Entry>, entry: Shared<Entry>, lock: Shared<AtomicUsize>,
    ) -> *const Entry {
        insert("ExInterlockedInsertHeadList", list.get(), entry.get(), lock.get(), true)
    }

    /// Inserts an entry at the end. Returns the previous last entry, or NULL.
    fn ExInterlockedInsertTailList(
        list: Shared<Entry>, entry: Shared<Entry>, lock: Shared<AtomicUsize>,
    ) -> *const Entry {
        insert("ExInterlockedInsertTailList", list.get(), entry.get(), lock.get(), false)
    }

    /// Removes the first entry. Returns it, or NULL.
    fn ExInterlockedRemoveHeadList(list: Shared<Entry>, lock: Shared<AtomicUsize>) -> *const Entry {
        remove(list.get(), lock.get())
    }

    /// Inserts an entry at the front. Returns the previous first entry, or NULL.
    fn ExInterlockedPushEntryList(
        list: Shared<Single>, entry: Shared<Single>, lock: Shared<AtomicUsize>,
    ) -> *const Single {
        spin::under("ExInterlockedPushEntryList", lock.get(), || {
            entry.get().next.set(list.get().next.get());
            list.get().next.replace(entry.get())
        })
    }

    /// Removes the first entry. Returns it, or NULL.
    fn ExInterlockedPopEntryList(list: Shared<Single>, lock: Shared<AtomicUsize>) -> *const Single {
        pop(list.get(), lock.get())
    }

    /// Adds to a number. Returns its previous value.
    fn ExInterlockedAddLargeInteger(number: Shared<AtomicI64>, by: i64, lock: Shared<AtomicUsize>) -> i64 {
        spin::under("ExInterlockedAddLargeInteger", lock.get(), || number.get().fetch_add(by, Ordering::SeqCst))
    }

    /// Adds to a number. Returns its previous value.
    fn ExInterlockedAddUlong(number: Shared<AtomicU32>, by: u32, lock: Shared<AtomicUsize>) -> u32 {
        spin::under("ExInterlockedAddUlong", lock.get(), || number.get().fetch_add(by, Ordering::SeqCst))
    }
}

/// The entry that a pointer of another entry leads to.
///
/// # Safety
/// The other entry is in a list whose lock is held, and which the driver has not damaged.
unsafe fn at<'a>(entry: *const Entry) -> &'a Entry {
    // SAFETY: in such a list all pointers lead to entries or the head, and while its lock is held no entry is removed
    // and freed.
    unsafe { Shared::new(entry) }.get()
}

fn insert(
    function: &str,
    list: &Entry,
    entry: &Entry,
    lock: &AtomicUsize,
    in_front: bool,
) -> *const Entry {
    spin::under(function, lock, || {
        let neighbour = if in_front { list.next.get() } else { list.previous.get() };
        // SAFETY: it is the head's neighbour, under the lock that the driver names for this list.
        let next = unsafe { at(neighbour) };
        let (before, after) = if in_front { (list, next) } else { (next, list) };
        entry.previous.set(before);
        entry.next.set(after);
        before.next.set(entry);
        after.previous.set(entry);
        if ptr::eq(neighbour, list) { ptr::null() } else { neighbour }
    })
}

fn remove(list: &Entry, lock: &AtomicUsize) -> *const Entry {
    spin::under("ExInterlockedRemoveHeadList", lock, || {
        let first = list.next.get();
        if ptr::eq(first, list) {
            return ptr::null();
        }
        // SAFETY: it is the head's neighbour, under the lock that the driver names for this list.
        let second = unsafe { at(first) }.next.get();
        // SAFETY: it is the neighbour of an entry of that list, under the same lock.
        let second = unsafe { at(second) };
        list.next.set(second);
        second.previous.set(list);
        first
    })
}

fn pop(list: &Single, lock: &AtomicUsize) -> *const Single {
    spin::under("ExInterlockedPopEntryList", lock, || {
        let first = list.next.get();
        // SAFETY: it is an entry in the list, or NULL; no thread removes and frees it while the list's lock is held.
        if let Some(entry) = unsafe { Shared::new(first) }.get_if_any() {
            list.next.set(entry.next.get());
        }
        first
    })
}
