//! Work items: functions of a driver that run on another thread, at PASSIVE_LEVEL.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Condvar, LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::ground::caller;
use crate::ground::declare::nt;
use crate::ground::routine::Routine;
use crate::kernel::rtl::buffers;

/// The size of a work item, for drivers that allocate it themselves.
const SIZE: u32 = 64;

nt! {
    /// Allocates a work item for an object: a device or a driver.
    fn IoAllocateWorkItem(object: usize) -> usize { allocate(object) }

    /// Frees a work item, which may be running.
    fn IoFreeWorkItem(item: usize) {
        forget("IoFreeWorkItem", item);
        buffers::free(item as *mut std::ffi::c_void);
    }

    /// The size of a work item.
    fn IoSizeofWorkItem() -> u32 { SIZE }

    /// Initialises a work item in a driver's own memory.
    fn IoInitializeWorkItem(object: usize, item: usize) {
        items().insert(item, Item { object, queued: false });
    }

    /// Ends the use of such a work item.
    fn IoUninitializeWorkItem(item: usize) { forget("IoUninitializeWorkItem", item) }

    /// Queues a function that is called with the object.
    fn IoQueueWorkItem(item: usize, routine: usize, _queue: u32, context: usize) {
        queue(item, routine, context, false);
    }

    /// Queues a function that is called with the object and the item.
    fn IoQueueWorkItemEx(item: usize, routine: usize, _queue: u32, context: usize) {
        queue(item, routine, context, true);
    }
}

#[derive(Clone, Copy)]
struct Item {
    object: usize,
    /// True from queueing until the function is called.
    queued: bool,
}

fn items() -> MutexGuard<'static, HashMap<usize, Item>> {
    static ITEMS: LazyLock<Mutex<HashMap<usize, Item>>> = LazyLock::new(Mutex::default);
    // A panic while the lock was held ends the process.
    ITEMS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How many functions are queued or running.
static BUSY: AtomicUsize = AtomicUsize::new(0);

/// How many functions of drivers are queued or running. Unloading a driver before they have returned is a fault.
pub(crate) fn busy() -> usize {
    // Acquire: the effects of a function that has returned are visible.
    BUSY.load(Ordering::Acquire)
}

/// Waits until no function is queued or running, but not for long. The system keeps a driver until such functions have returned: a function
/// may tell its driver that it is done, and return later.
pub(crate) fn settle() {
    let all = items();
    let _ = DONE.wait_timeout_while(all, PATIENCE, |_| busy() != 0);
}

/// How long is waited for functions to return.
const PATIENCE: Duration = Duration::from_secs(1);

/// A function has returned. Used with the lock of the items.
static DONE: Condvar = Condvar::new();

fn allocate(object: usize) -> usize {
    let memory =
        buffers::allocate(buffers::WORK, SIZE as usize).map_or(0, |memory| memory as usize);
    if memory != 0 {
        items().insert(memory, Item { object, queued: false });
    }
    memory
}

fn forget(who: &str, item: usize) {
    match items().remove(&item) {
        None => caller::fault(format!("calls {who} for {item:#x}, which is not a work item")),
        Some(Item { queued: true, .. }) => {
            caller::fault(format!("calls {who} for a work item that is queued"))
        }
        Some(_) => {}
    }
}

fn queue(item: usize, routine: usize, context: usize, extended: bool) {
    let Some(routine) = Routine::new(routine as *const std::ffi::c_void) else {
        caller::fault("queues a work item without a function");
    };
    let object = match items().get_mut(&item) {
        None => None,
        Some(Item { queued: true, .. }) => {
            caller::fault("queues a work item that is already queued")
        }
        Some(known) => {
            known.queued = true;
            Some(known.object)
        }
    };
    let Some(object) = object else {
        caller::fault(format!("queues {item:#x}, which is not a work item"))
    };
    BUSY.fetch_add(1, Ordering::Relaxed);
    let run = move || {
        // From here on the item may be queued again or freed, also by its own function.
        if let Some(known) = items().get_mut(&item) {
            known.queued = false;
        }
        let arguments = if extended { [object, context, item, 0] } else { [object, context, 0, 0] };
        // SAFETY: the driver that queued it guarantees its signature.
        unsafe { routine.call(arguments) };
        // Release: pairs with the load in `busy`.
        BUSY.fetch_sub(1, Ordering::Release);
        drop(items());
        DONE.notify_all();
    };
    // Each function has a thread of its own, because functions may wait for one another.
    if let Err(error) = std::thread::Builder::new().name("work item".to_owned()).spawn(run) {
        caller::fault(format!("queues a work item, but no thread can be started for it: {error}"));
    }
}
