//! Events, semaphores and mutexes: signalling and reading them.

use std::sync::atomic::Ordering;

use crate::ground::declare::nt;
use crate::ground::exception::{Exception, or_fault};
use crate::ground::foreign::Shared;
use crate::ground::objects::{Event, Kind, Mutant, Semaphore};
use crate::ground::thread::{self, Held};
use crate::ground::types::Boolean;
use crate::kernel::ke::{dispatch, regions};

nt! {
    /// Initialises an event: 0 for one that stays set until it is reset, 1 for one that releases one
    /// wait.
    fn KeInitializeEvent(event: Shared<Event>, kind: i32, set: Boolean) {
        let kind = if kind == 1 { Kind::SynchronizationEvent } else { Kind::NotificationEvent };
        event.get().header.initialize(kind, i32::from(set != 0));
    }

    /// Sets an event. Returns its previous state.
    fn KeSetEvent(event: Shared<Event>, _increment: i32, _wait: Boolean) -> i32 { set(event.get()) }

    /// Resets an event. Returns its previous state.
    fn KeResetEvent(event: Shared<Event>) -> i32 { clear(event.get()) }

    /// Resets an event.
    fn KeClearEvent(event: Shared<Event>) { clear(event.get()); }

    /// Whether an event is set.
    fn KeReadStateEvent(event: Shared<Event>) -> i32 { event.get().header.state() }

    /// Releases the currently waiting threads. Returns the event's previous state.
    fn KePulseEvent(event: Shared<Event>, _increment: i32, _wait: Boolean) -> i32 { pulse(event.get()) }

    /// Initialises a semaphore.
    fn KeInitializeSemaphore(semaphore: Shared<Semaphore>, count: i32, limit: i32) {
        semaphore.get().limit.store(limit, Ordering::Relaxed);
        semaphore.get().header.initialize(Kind::Semaphore, count);
    }

    /// Adds to a semaphore's count. Returns the previous count.
    fn KeReleaseSemaphore(semaphore: Shared<Semaphore>, _increment: i32, by: i32, _wait: Boolean) -> i32 {
        or_fault(release_semaphore(semaphore.get(), by))
    }

    /// A semaphore's count.
    fn KeReadStateSemaphore(semaphore: Shared<Semaphore>) -> i32 { semaphore.get().header.state() }

    /// Initialises a mutex without an owner.
    fn KeInitializeMutex(mutex: Shared<Mutant>, _level: u32) { initialize_mutant(mutex.get(), false) }

    /// Initialises a mutex, owned by the caller or without an owner.
    fn KeInitializeMutant(mutex: Shared<Mutant>, owned: Boolean) {
        initialize_mutant(mutex.get(), owned != 0);
    }

    /// Releases a mutex. Returns 0 when it has no owner any more.
    fn KeReleaseMutex(mutex: Shared<Mutant>, _wait: Boolean) -> i32 {
        or_fault(release_mutant("KeReleaseMutex", mutex.get(), false))
    }

    /// Releases a mutex, or abandons it, which is reported to its next owner.
    fn KeReleaseMutant(mutex: Shared<Mutant>, _increment: i32, abandoned: Boolean, _wait: Boolean) -> i32 {
        or_fault(release_mutant("KeReleaseMutant", mutex.get(), abandoned != 0))
    }

    /// 1 if it has no owner.
    fn KeReadStateMutex(mutex: Shared<Mutant>) -> i32 { mutex.get().header.state() }

    /// 1 if it has no owner.
    fn KeReadStateMutant(mutex: Shared<Mutant>) -> i32 { mutex.get().header.state() }
}

/// Sets an event. Returns its previous state.
pub(crate) fn set(event: &Event) -> i32 {
    let mut dispatcher = dispatch::lock();
    let was = event.header.set_state(1);
    if was == 0 {
        dispatcher.offer(&event.header);
    }
    was
}

fn clear(event: &Event) -> i32 {
    let _dispatcher = dispatch::lock();
    event.header.set_state(0)
}

fn pulse(event: &Event) -> i32 {
    let mut dispatcher = dispatch::lock();
    let was = event.header.set_state(1);
    if was == 0 {
        dispatcher.offer(&event.header);
    }
    event.header.set_state(0);
    was
}

/// Adds to a semaphore's count. Returns the previous count.
pub(crate) fn release_semaphore(semaphore: &Semaphore, by: i32) -> Result<i32, Exception> {
    let mut dispatcher = dispatch::lock();
    let was = semaphore.header.state();
    let limit = semaphore.limit.load(Ordering::Relaxed);
    match was.checked_add(by) {
        Some(count) if by > 0 && count <= limit => {
            semaphore.header.set_state(count);
            dispatcher.offer(&semaphore.header);
        }
        _ => return Err(Exception::SemaphoreLimit { by, was, limit }),
    }
    Ok(was)
}

fn initialize_mutant(mutex: &Mutant, owned: bool) {
    mutex.owner.store(0, Ordering::Relaxed);
    mutex.abandoned.store(0, Ordering::Relaxed);
    mutex.header.initialize(Kind::Mutant, i32::from(!owned));
    if owned {
        let own = thread::own();
        mutex.owner.store(own.id(), Ordering::Relaxed);
        own.acquired(Held::Mutex, mutex.header.address());
        regions::enter();
    }
}

/// Releases a mutex, or abandons it. Returns its previous state.
pub(crate) fn release_mutant(
    function: &'static str,
    mutex: &Mutant,
    abandoned: bool,
) -> Result<i32, Exception> {
    let own = thread::own();
    if mutex.owner.load(Ordering::Relaxed) != own.id() {
        return Err(Exception::MutantNotOwned { function });
    }
    // Abandoning releases it completely, however often it is owned.
    while own.released(Held::Mutex, mutex.header.address()) {
        own.critical.set(own.critical.get().saturating_sub(1));
        if !abandoned {
            break;
        }
    }
    let mut dispatcher = dispatch::lock();
    let was = mutex.header.state();
    let now = if abandoned { 1 } else { was + 1 };
    if now == 1 {
        mutex.owner.store(0, Ordering::Relaxed);
        mutex.abandoned.store(u8::from(abandoned), Ordering::Relaxed);
    }
    mutex.header.set_state(now);
    dispatcher.offer(&mutex.header);
    Ok(was)
}
