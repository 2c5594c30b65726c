//! Lists and numbers that a driver changes under a spin lock by one call (`ExInterlocked...`), at any IRQL.

use std::cell::Cell;
use std::ptr;
use std::sync::atomic::{AtomicI64, AtomicU32, AtomicUsize, Ordering};

use crate::ground::export::nt;
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
    /// Puts an entry in front. Returns what was there, or NULL.
    fn ExInterlockedInsertHeadList(list: &Entry, entry: &Entry, lock: &AtomicUsize) -> *const Entry {
        insert("ExInterlockedInsertHeadList", list, entry, lock, true)
    }

    /// Puts an entry at the end. Returns what was there, or NULL.
    fn ExInterlockedInsertTailList(list: &Entry, entry: &Entry, lock: &AtomicUsize) -> *const Entry {
        insert("ExInterlockedInsertTailList", list, entry, lock, false)
    }

    /// Takes the first entry out. Returns it, or NULL.
    fn ExInterlockedRemoveHeadList(list: &Entry, lock: &AtomicUsize) -> *const Entry {
        remove(list, lock)
    }

    /// Puts an entry in front. Returns what was there, or NULL.
    fn ExInterlockedPushEntryList(
        list: &Single,
        entry: &Single,
        lock: &AtomicUsize,
    ) -> *const Single {
        spin::under("ExInterlockedPushEntryList", lock, || {
            entry.next.set(list.next.get());
            list.next.replace(entry)
        })
    }

    /// Takes the first entry out. Returns it, or NULL.
    fn ExInterlockedPopEntryList(list: &Single, lock: &AtomicUsize) -> *const Single {
        pop(list, lock)
    }

    /// Adds to a number. Returns what it was.
    fn ExInterlockedAddLargeInteger(number: &AtomicI64, by: i64, lock: &AtomicUsize) -> i64 {
        spin::under("ExInterlockedAddLargeInteger", lock, || number.fetch_add(by, Ordering::SeqCst))
    }

    /// Adds to a number. Returns what it was.
    fn ExInterlockedAddUlong(number: &AtomicU32, by: u32, lock: &AtomicUsize) -> u32 {
        spin::under("ExInterlockedAddUlong", lock, || number.fetch_add(by, Ordering::SeqCst))
    }
}

/// An entry that another points to.
fn at<'a>(entry: *const Entry) -> &'a Entry {
    // SAFETY: in a list all pointers lead to entries or the head.
    unsafe { &*entry }
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
        let (before, after) = if in_front { (list, at(neighbour)) } else { (at(neighbour), list) };
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
        let second = at(at(first).next.get());
        list.next.set(second);
        second.previous.set(list);
        first
    })
}

fn pop(list: &Single, lock: &AtomicUsize) -> *const Single {
    spin::under("ExInterlockedPopEntryList", lock, || {
        let first = list.next.get();
        // SAFETY: an entry in the list, or NULL.
        if let Some(entry) = unsafe { first.as_ref() } {
            list.next.set(entry.next.get());
        }
        first
    })
}
