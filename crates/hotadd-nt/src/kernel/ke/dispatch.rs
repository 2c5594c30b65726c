//! Waiting and waking: which threads wait for which objects, and what a wait takes from them.
//!
//! There is one lock for all objects, so that a wait for several takes all or none of them. A function that signals
//! an object gives it to the waiting threads in the order of their arrival, before any other thread can take it.

use std::ptr;
use std::sync::atomic::Ordering;
use std::sync::{Arc, LazyLock};
use std::time::Instant;

use parking_lot::{Condvar, Mutex, MutexGuard};

use crate::ground::caller;
use crate::ground::foreign::Shared;
use crate::ground::objects::{Header, Kind, Mutant};
use crate::ground::thread::{self, Held, Own};
use crate::ground::types::NtStatus;
use crate::kernel::ke::timers::Timers;

/// `STATUS_WAIT_0`; a wait for any one of several adds its index.
const WAIT_0: NtStatus = 0;
/// `STATUS_ABANDONED_WAIT_0`.
const ABANDONED_WAIT_0: NtStatus = 0x80;
/// `STATUS_TIMEOUT`.
const TIMEOUT: NtStatus = 0x102;

/// How long a wait lasts.
#[derive(Clone, Copy)]
pub(crate) enum Until {
    /// No wait: one attempt only.
    Now,
    At(Instant),
    Ever,
}

/// What a thread waits for.
pub(crate) struct Wanted<'a> {
    pub(crate) objects: &'a [&'a Header],
    /// All of the objects, instead of any one.
    pub(crate) all: bool,
}

/// All waits and timers.
pub(crate) struct Dispatcher {
    waits: Vec<Wait>,
    last: u64,
    /// The timers that are set.
    pub(crate) timers: Timers,
}

struct Wait {
    number: u64,
    /// The objects, in the order of the arguments.
    objects: Vec<Shared<'static, Header>>,
    all: bool,
    thread: usize,
    /// The result of the wait. The thread that writes it has taken the objects on behalf of the waiting thread.
    outcome: Option<NtStatus>,
    wake: Arc<Condvar>,
}

static DISPATCHER: LazyLock<Mutex<Dispatcher>> = LazyLock::new(|| {
    Mutex::new(Dispatcher { waits: Vec::new(), last: 0, timers: Timers::default() })
});

/// Locks the dispatcher. No driver code is called under this lock.
pub(crate) fn lock() -> MutexGuard<'static, Dispatcher> {
    DISPATCHER.lock()
}

/// Waits. `function` is the function that the driver called.
pub(crate) fn wait(function: &'static str, wanted: &Wanted<'_>, until: Until) -> NtStatus {
    let own = thread::own();
    for object in wanted.objects {
        if object.kind().is_none() {
            caller::fault(format!(
                "calls {function} for {:#x}, which is not an event, mutex, semaphore, timer or thread",
                object.address()
            ));
        }
    }
    let mut dispatcher = lock();
    if let Some(status) = take(wanted.objects, wanted.all, own.id()) {
        drop(dispatcher);
        took(own, wanted, status);
        return status;
    }
    if let Until::Now = until {
        return TIMEOUT;
    }
    let wake = Arc::new(Condvar::new());
    dispatcher.last += 1;
    let number = dispatcher.last;
    dispatcher.waits.push(Wait {
        number,
        // SAFETY: a driver keeps an object as long as a thread waits for it, and this wait is removed when it ends.
        objects: wanted.objects.iter().map(|object| unsafe { Shared::keep(*object) }).collect(),
        all: wanted.all,
        thread: own.id(),
        outcome: None,
        wake: Arc::clone(&wake),
    });
    let status = thread::waiting(function, || {
        loop {
            let in_time = match until {
                Until::At(due) => !wake.wait_until(&mut dispatcher, due).timed_out(),
                _ => {
                    wake.wait(&mut dispatcher);
                    true
                }
            };
            let waits = &mut dispatcher.waits;
            let at =
                waits.iter().position(|wait| wait.number == number).expect("it removes itself");
            // The result applies even if the time ran out at the same moment.
            match waits[at].outcome {
                Some(status) => {
                    waits.remove(at);
                    return status;
                }
                None if !in_time => {
                    waits.remove(at);
                    return TIMEOUT;
                }
                None => {}
            }
        }
    });
    drop(dispatcher);
    if status != TIMEOUT {
        took(own, wanted, status);
    }
    status
}

impl Dispatcher {
    /// Gives an object to the waiting threads, as long as it is signalled.
    pub(crate) fn offer(&mut self, object: &Header) {
        let address = object.address();
        for at in 0..self.waits.len() {
            if object.state() <= 0 {
                // Nothing is left to give. The owner of a mutex never waits for it.
                return;
            }
            let wait = &self.waits[at];
            let names_it = wait.objects.iter().any(|object| object.address() == address);
            if wait.outcome.is_some() || !names_it {
                continue;
            }
            let objects: Vec<&Header> = wait.objects.iter().map(|object| object.get()).collect();
            if let Some(status) = take(&objects, wait.all, wait.thread) {
                let wait = &mut self.waits[at];
                wait.outcome = Some(status);
                wait.wake.notify_one();
            }
        }
    }

    /// How many waits there are for objects in this address range.
    pub(crate) fn waits_within(&self, range: &std::ops::Range<usize>) -> usize {
        let within =
            |wait: &&Wait| wait.objects.iter().any(|object| range.contains(&object.address()));
        self.waits.iter().filter(within).count()
    }
}

/// The mutex that begins with this header; `None` if the header belongs to another kind of object.
fn mutant(header: &Header) -> Option<&Mutant> {
    let is_one = header.kind() == Some(Kind::Mutant);
    // SAFETY: the header lies in a driver's memory, and its kind states that the driver has a whole mutex there,
    // which has the header's alignment and lifetime.
    is_one.then(|| unsafe { &*ptr::from_ref(header).cast::<Mutant>() })
}

/// Whether a wait would take a mutex that the calling thread has acquired as often as the mutex can count. Only its
/// owner changes the count, so the answer remains right.
pub(crate) fn is_at_limit(objects: &[&Header], all: bool) -> bool {
    let own = thread::own();
    let owned = |object: &&Header| {
        mutant(object).is_some_and(|mutant| mutant.owner.load(Ordering::Relaxed) == own.id())
    };
    let is_full = |object: &&Header| owned(object) && object.state() == i32::MIN;
    if all {
        return objects.iter().any(is_full);
    }
    // The first one that is free is taken.
    let first = objects.iter().find(|object| object.state() > 0 || owned(object));
    first.is_some_and(is_full)
}

/// Takes all of these objects, or the first that is available. Otherwise returns `None` and takes nothing.
fn take(objects: &[&Header], all: bool, thread: usize) -> Option<NtStatus> {
    let free = |object: &Header| {
        let owns = |mutant: &Mutant| mutant.owner.load(Ordering::Relaxed) == thread;
        object.state() > 0 || mutant(object).is_some_and(owns)
    };
    if all {
        if !objects.iter().all(|object| free(object)) {
            return None;
        }
        let mut status = WAIT_0;
        for object in objects {
            if take_one(object, thread) {
                status = ABANDONED_WAIT_0;
            }
        }
        return Some(status);
    }
    let at = objects.iter().position(|object| free(object))?;
    let place = NtStatus::try_from(at).expect("at most 64 objects");
    Some(place + if take_one(objects[at], thread) { ABANDONED_WAIT_0 } else { WAIT_0 })
}

/// Takes an object. Returns whether it is a mutex that was abandoned.
fn take_one(object: &Header, thread: usize) -> bool {
    if let Some(mutant) = mutant(object) {
        object.set_state(object.state() - 1);
        mutant.owner.store(thread, Ordering::Relaxed);
        return mutant.abandoned.swap(0, Ordering::Relaxed) != 0;
    }
    match object.kind() {
        Some(Kind::SynchronizationEvent | Kind::SynchronizationTimer) => object.set_state(0),
        Some(Kind::Semaphore) => object.set_state(object.state() - 1),
        _ => 0,
    };
    false
}

/// Records the mutexes that a thread now owns. Their owner is in a critical region until it releases them.
fn took(own: &Own, wanted: &Wanted<'_>, status: NtStatus) {
    let place = usize::try_from(status & 0x7f).unwrap_or(0);
    let taken = if wanted.all { wanted.objects } else { &wanted.objects[place..=place] };
    for object in taken.iter().filter(|object| object.kind() == Some(Kind::Mutant)) {
        own.acquired(Held::Mutex, object.address());
        own.critical.set(own.critical.get().saturating_add(1));
    }
}
