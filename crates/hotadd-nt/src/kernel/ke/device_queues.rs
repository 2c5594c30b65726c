//! Device queues: requests that wait for a device that is busy.

use std::sync::atomic::AtomicUsize;

use crate::ground::declare::nt;
use crate::ground::foreign::{Out, Shared};
use crate::ground::list::Links;
use crate::ground::rule::Rule;
use crate::ground::types::Boolean;
use crate::ground::{caller, thread};
use crate::kernel::ke::{irql, spin};

/// `KDEVICE_QUEUE`. Its content is private to these functions.
#[repr(C, align(8))]
#[derive(Clone, Copy)]
pub(crate) struct Queue([u8; 0x28]);

impl Default for Queue {
    fn default() -> Self {
        Self([0; 0x28])
    }
}

/// `KDEVICE_QUEUE_ENTRY`, which begins with its links.
#[repr(C, align(8))]
#[derive(Clone, Copy)]
pub(crate) struct Entry([u8; 0x18]);

/// Offsets in a queue.
const HEAD: usize = 8;
const LOCK: usize = 0x18;
const BUSY: usize = 0x20;
/// Offsets in an entry.
const KEY: usize = 0x10;
const INSERTED: usize = 0x14;

nt! {
    /// Initialises a queue whose device is not busy.
    fn KeInitializeDeviceQueue(queue: Out<Queue>) { initialize(queue) }

    /// Inserts an entry at the end if the device is busy. Otherwise the device becomes busy. Returns whether it
    /// inserted the entry.
    fn KeInsertDeviceQueue(queue: Out<Queue>, entry: Out<Entry>) -> Boolean {
        insert("KeInsertDeviceQueue", queue, entry, None)
    }

    /// The same, at the place of a key.
    fn KeInsertByKeyDeviceQueue(queue: Out<Queue>, entry: Out<Entry>, key: u32) -> Boolean {
        insert("KeInsertByKeyDeviceQueue", queue, entry, Some(key))
    }

    /// Removes the first entry. If there is none, the device is no longer busy.
    fn KeRemoveDeviceQueue(queue: Out<Queue>) -> Out<Entry> { remove("KeRemoveDeviceQueue", queue, None) }

    /// Removes the first entry with this key or a higher one, or else the first entry.
    fn KeRemoveByKeyDeviceQueue(queue: Out<Queue>, key: u32) -> Out<Entry> {
        remove("KeRemoveByKeyDeviceQueue", queue, Some(key))
    }

    /// As `KeRemoveByKeyDeviceQueue`. Here both look first whether the device is busy.
    fn KeRemoveByKeyDeviceQueueIfBusy(queue: Out<Queue>, key: u32) -> Out<Entry> {
        remove("KeRemoveByKeyDeviceQueueIfBusy", queue, Some(key))
    }

    /// Removes an entry. Returns whether it was in the queue.
    fn KeRemoveEntryDeviceQueue(queue: Out<Queue>, entry: Out<Entry>) -> Boolean { take(queue, entry) }
}

pub(crate) fn initialize(queue: Out<Queue>) {
    /// `DeviceQueueObject`
    const KIND: i16 = 20;
    queue.put(Queue::default());
    queue.field(0).put([KIND, 0x28]);
    Links::at(queue.field(HEAD)).initialize();
}

/// Runs a function under the lock of a queue.
fn under<T>(function: &str, queue: Out<Queue>, act: impl FnOnce(Links, Out<Boolean>) -> T) -> T {
    let lock: Out<AtomicUsize> = queue.field(LOCK);
    // SAFETY: the driver guarantees that this is a queue, whose lock no other code uses, during the call.
    let lock = unsafe { Shared::new(lock.as_ptr()) }.get();
    spin::under(function, lock, || act(Links::at(queue.field(HEAD)), queue.field(BUSY)))
}

fn expect_dispatch(function: &str) {
    let irql = thread::own().irql.get();
    if irql != irql::DISPATCH {
        caller::breach_of(
            Rule::Irql,
            format!("calls {function} at IRQL {irql}; it must be at DISPATCH_LEVEL"),
        );
    }
}

fn insert(function: &str, queue: Out<Queue>, entry: Out<Entry>, key: Option<u32>) -> Boolean {
    expect_dispatch(function);
    under(function, queue, |head, busy| {
        let was_busy = busy.get() != 0;
        busy.put(1);
        entry.field(INSERTED).put(Boolean::from(was_busy));
        if let Some(key) = key {
            entry.field(KEY).put(key);
        }
        if was_busy {
            // Behind all entries with the same key.
            let next = head.entries().find(|other| key.is_some_and(|key| key_of(*other) > key));
            next.unwrap_or(head).insert_before(Links::at(entry.cast()));
        }
        Boolean::from(was_busy)
    })
}

fn key_of(entry: Links) -> u32 {
    entry.object::<Entry>(0).field(KEY).get()
}

fn remove(function: &str, queue: Out<Queue>, key: Option<u32>) -> Out<Entry> {
    expect_dispatch(function);
    under(function, queue, |head, busy| {
        if head.is_empty() {
            busy.put(0);
            return Out::null();
        }
        let found = key.and_then(|key| head.entries().find(|entry| key_of(*entry) >= key));
        let entry = found.unwrap_or(head.next());
        entry.remove();
        let entry: Out<Entry> = entry.object(0);
        entry.field(INSERTED).put(0_u8);
        entry
    })
}

fn take(queue: Out<Queue>, entry: Out<Entry>) -> Boolean {
    under("KeRemoveEntryDeviceQueue", queue, |_, _| {
        let inserted: Out<Boolean> = entry.field(INSERTED);
        let was = inserted.get() != 0;
        if was {
            inserted.put(0);
            Links::at(entry.cast()).remove();
        }
        Boolean::from(was)
    })
}
