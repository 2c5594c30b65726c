//! Work items: functions that run soon, on a system thread.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use hotadd::Status;
use parking_lot::{Condvar, Mutex};

use crate::ground::declare::nt;
use crate::ground::fault::Fault;
use crate::ground::foreign::Shared;
use crate::ground::routine::Routine;
use crate::ground::{caller, thread};

/// `WORK_QUEUE_ITEM`.
#[repr(C)]
pub(crate) struct Item {
    /// Not 0 while it is queued.
    queued: AtomicUsize,
    _link: AtomicUsize,
    routine: AtomicUsize,
    parameter: AtomicUsize,
}

const _: () = assert!(size_of::<Item>() == 0x20);

nt! {
    /// Queues an item. All queues are the same.
    fn ExQueueWorkItem(item: Shared<Item>, _queue: i32) { queue(item.get()) }
}

/// Work of a driver, or of this crate on its behalf.
type Work = Box<dyn FnOnce() + Send>;

struct State {
    work: VecDeque<Work>,
    threads: usize,
    idle: usize,
}

static STATE: Mutex<State> = Mutex::new(State { work: VecDeque::new(), threads: 0, idle: 0 });
static MORE: Condvar = Condvar::new();
/// An item has returned.
static DONE: Condvar = Condvar::new();

/// How many items are queued or running.
static LEFT: AtomicUsize = AtomicUsize::new(0);

/// The maximum number of threads. Items may wait for one another, so up to this limit each has its own.
const MOST: usize = 64;

/// How long is waited for items to return.
const PATIENCE: Duration = Duration::from_millis(100);

fn queue(item: &Item) {
    let address = std::ptr::from_ref(item) as usize;
    if item.queued.compare_exchange(0, 1, Ordering::AcqRel, Ordering::Relaxed).is_err() {
        caller::fault(format!(
            "calls ExQueueWorkItem for the item at {address:#x}, which is already queued or was not \
             initialised (WORKER_INVALID)"
        ));
    }
    // SAFETY: a driver keeps an item as long as it is queued, and this reference is not used after that.
    let item = unsafe { Shared::keep(item) };
    run_soon(move || {
        let item = item.get();
        let routine = item.routine.load(Ordering::Relaxed);
        let parameter = item.parameter.load(Ordering::Relaxed);
        item.queued.store(0, Ordering::Release);
        // From here on the driver may reuse its memory.
        let Some(routine) = Routine::new(routine as *const _) else {
            caller::fault("queued a work item whose routine is NULL");
        };
        // SAFETY: the driver that initialised the item guarantees that it is a WORKER_THREAD_ROUTINE.
        unsafe { routine.call([parameter, 0, 0, 0]) };
        check(routine);
    });
}

/// Ends the process if a routine left locks, regions or a raised IRQL on its thread.
pub(crate) fn check(routine: Routine) {
    if let Some(left) = thread::own().all_leftovers(0) {
        let what = format!("returned from a work item {left}");
        Fault::new(Status::UNSUCCESSFUL, what, routine.address()).raise();
    }
}

/// Runs a function on a system thread.
pub(crate) fn run_soon(work: impl FnOnce() + Send + 'static) {
    LEFT.fetch_add(1, Ordering::AcqRel);
    let mut state = STATE.lock();
    state.work.push_back(Box::new(work));
    if state.idle >= state.work.len() || state.threads == MOST {
        MORE.notify_one();
        return;
    }
    state.threads += 1;
    let thread = std::thread::Builder::new().name("work".to_owned());
    if let Err(error) = thread.spawn(serve) {
        caller::fault(format!("queues a work item, but no thread can be started for it: {error}"));
    }
}

fn serve() {
    let mut state = STATE.lock();
    loop {
        if let Some(work) = state.work.pop_front() {
            drop(state);
            work();
            LEFT.fetch_sub(1, Ordering::AcqRel);
            state = STATE.lock();
            DONE.notify_all();
        } else {
            state.idle += 1;
            MORE.wait(&mut state);
            state.idle -= 1;
        }
    }
}

/// Waits until no item is queued or running, but not for long: an item may wait for something that comes later.
pub(crate) fn settle() {
    let mut state = STATE.lock();
    let until = Instant::now() + PATIENCE;
    while count() != 0 && !DONE.wait_until(&mut state, until).timed_out() {}
}

/// How many items are queued or running.
pub(crate) fn count() -> usize {
    LEFT.load(Ordering::Acquire)
}
