//! Events, semaphores, mutexes and waits.

use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;

use crate::ground::abi::Abi;
use crate::tests::{BOTH, Memory, call, scene};

const SUCCESS: i32 = 0;
const TIMEOUT: i32 = 0x102;

pub(super) fn event(abi: Abi, kind: i32, set: u8) -> Memory<0x18> {
    let event = Memory::new();
    call!(abi, KeInitializeEvent(event.at() => *mut u8, kind => i32, set => u8));
    event
}

/// Waits without limit, or not at all.
pub(super) fn wait(abi: Abi, object: *mut u8, ever: bool) -> i32 {
    let now = 0_i64;
    let timeout = if ever { std::ptr::null() } else { &raw const now };
    call!(abi, KeWaitForSingleObject(
        object => *mut u8, 0 => i32, 0 => i8, 0 => u8, timeout => *const i64,
    ) -> i32)
}

fn wait_for_several(abi: Abi, objects: &[*mut u8], any: bool, timeout: Option<i64>) -> i32 {
    let timeout = timeout.as_ref().map_or(std::ptr::null(), std::ptr::from_ref);
    let mut blocks = [0_u8; 64 * 48];
    call!(abi, KeWaitForMultipleObjects(
        u32::try_from(objects.len()).unwrap() => u32, objects.as_ptr() => *const *mut u8,
        i32::from(any) => i32, 0 => i32, 0 => i8, 0 => u8, timeout => *const i64,
        blocks.as_mut_ptr() => *mut u8,
    ) -> i32)
}

pub(super) fn set(abi: Abi, event: &Memory<0x18>) -> i32 {
    call!(abi, KeSetEvent(event.at() => *mut u8, 0 => i32, 0 => u8) -> i32)
}

/// Waits until this many threads wait for the object.
fn until_waiting_for(object: *mut u8, count: usize) {
    let range = object as usize..object as usize + 1;
    while crate::kernel::ke::dispatch::lock().waits_within(&range) < count {
        thread::yield_now();
    }
}

#[test]
fn a_notification_event_stays_set_and_a_synchronization_event_wakes_one_waiter() {
    scene();
    for abi in BOTH {
        let stays = event(abi, 0, 0);
        assert_eq!(wait(abi, stays.at(), false), TIMEOUT, "it is not set");
        assert_eq!(set(abi, &stays), 0, "it was not set");
        assert_eq!(set(abi, &stays), 1, "it was set");
        assert_eq!(wait(abi, stays.at(), true), SUCCESS);
        assert_eq!(wait(abi, stays.at(), true), SUCCESS, "a wait does not reset it");
        assert_eq!(call!(abi, KeResetEvent(stays.at() => *mut u8) -> i32), 1);
        assert_eq!(wait(abi, stays.at(), false), TIMEOUT, "it was reset");

        let once = event(abi, 1, 1);
        assert_eq!(wait(abi, once.at(), true), SUCCESS);
        assert_eq!(wait(abi, once.at(), false), TIMEOUT, "the first wait reset it");
        set(abi, &once);
        call!(abi, KeClearEvent(once.at() => *mut u8));
        assert_eq!(call!(abi, KeReadStateEvent(once.at() => *mut u8) -> i32), 0);
    }
}

#[test]
fn an_event_that_is_initialised_again_or_copied_is_independent() {
    scene();
    for abi in BOTH {
        let first = event(abi, 0, 1);
        let copy = Memory::<0x18>::new();
        // SAFETY: both are as large.
        unsafe { copy.at().copy_from_nonoverlapping(first.at(), 0x18) };
        call!(abi, KeInitializeEvent(first.at() => *mut u8, 0 => i32, 0 => u8));
        assert_eq!(wait(abi, first.at(), false), TIMEOUT, "the initialised event is not set");
        assert_eq!(wait(abi, copy.at(), true), SUCCESS, "the copy is set");
    }
}

#[test]
fn each_setting_of_a_synchronization_event_wakes_exactly_one_waiter() {
    scene();
    const WAITERS: u32 = 8;
    for abi in BOTH {
        let once = event(abi, 1, 0);
        let through = AtomicU32::new(0);
        thread::scope(|scope| {
            for _ in 0..WAITERS {
                scope.spawn(|| {
                    assert_eq!(wait(abi, once.at(), true), SUCCESS);
                    through.fetch_add(1, Ordering::SeqCst);
                });
            }
            until_waiting_for(once.at(), WAITERS as usize);
            for _ in 0..WAITERS {
                assert_eq!(set(abi, &once), 0, "a waiting thread takes it at once");
            }
        });
        assert_eq!(through.load(Ordering::SeqCst), WAITERS);
        assert_eq!(wait(abi, once.at(), false), TIMEOUT, "no setting is left");
    }
}

#[test]
fn a_pulse_wakes_current_waiters_only() {
    scene();
    for abi in BOTH {
        let stays = event(abi, 0, 0);
        thread::scope(|scope| {
            let waiters: Vec<_> =
                (0..3).map(|_| scope.spawn(|| wait(abi, stays.at(), true))).collect();
            until_waiting_for(stays.at(), 3);
            call!(abi, KePulseEvent(stays.at() => *mut u8, 0 => i32, 0 => u8) -> i32);
            for waiter in waiters {
                assert_eq!(waiter.join().unwrap(), SUCCESS);
            }
        });
        assert_eq!(wait(abi, stays.at(), false), TIMEOUT);
    }
}

#[test]
fn a_wait_for_all_resets_all_events_or_none() {
    scene();
    for abi in BOTH {
        let (one, two) = (event(abi, 1, 1), event(abi, 1, 0));
        let both = [one.at(), two.at()];
        assert_eq!(wait_for_several(abi, &both, false, Some(0)), TIMEOUT);
        assert_eq!(
            call!(abi, KeReadStateEvent(one.at() => *mut u8) -> i32),
            1,
            "a wait that fails takes nothing"
        );
        thread::scope(|scope| {
            let waits = scope.spawn(|| wait_for_several(abi, &[one.at(), two.at()], false, None));
            until_waiting_for(two.at(), 1);
            set(abi, &two);
            assert_eq!(waits.join().unwrap(), SUCCESS);
        });
        for event in [&one, &two] {
            assert_eq!(wait(abi, event.at(), false), TIMEOUT, "both events were reset");
        }
    }
}

#[test]
fn a_wait_for_any_resets_one_event_and_returns_its_index() {
    scene();
    for abi in BOTH {
        let events: Vec<_> = (0..5).map(|_| event(abi, 1, 0)).collect();
        let all: Vec<_> = events.iter().map(Memory::at).collect();
        set(abi, &events[3]);
        set(abi, &events[4]);
        assert_eq!(wait_for_several(abi, &all, true, None), 3, "the first that is set");
        assert_eq!(wait_for_several(abi, &all, true, None), 4, "the other event is unchanged");
        assert_eq!(wait_for_several(abi, &all, true, Some(0)), TIMEOUT);
    }
}

#[test]
fn relative_and_absolute_timeouts_expire() {
    scene();
    for abi in BOTH {
        let never = event(abi, 0, 0);
        // A millisecond from now, and a moment in 1601. Both always expire.
        for timeout in [-10_000_i64, 1] {
            let status = call!(abi, KeWaitForSingleObject(
                never.at() => *mut u8, 0 => i32, 0 => i8, 0 => u8, &raw const timeout => *const i64,
            ) -> i32);
            assert_eq!(status, TIMEOUT, "{timeout}");
            let status = call!(abi, KeDelayExecutionThread(
                0 => i8, 0 => u8, &raw const timeout => *const i64,
            ) -> i32);
            assert_eq!(status, SUCCESS, "{timeout}");
        }
        // A timeout too long to represent, and the event is set meanwhile.
        set(abi, &never);
        for timeout in [i64::MIN, i64::MAX] {
            let status = call!(abi, KeWaitForSingleObject(
                never.at() => *mut u8, 0 => i32, 0 => i8, 0 => u8, &raw const timeout => *const i64,
            ) -> i32);
            assert_eq!(status, SUCCESS, "{timeout}");
        }
        call!(abi, KeStallExecutionProcessor(1 => u32));
    }
}

#[test]
fn a_semaphore_wakes_as_many_waiters_as_its_count() {
    scene();
    for abi in BOTH {
        let semaphore = Memory::<0x20>::new();
        call!(abi, KeInitializeSemaphore(semaphore.at() => *mut u8, 1 => i32, 10 => i32));
        assert_eq!(wait(abi, semaphore.at(), true), SUCCESS);
        assert_eq!(wait(abi, semaphore.at(), false), TIMEOUT);
        thread::scope(|scope| {
            let waiters: Vec<_> =
                (0..3).map(|_| scope.spawn(|| wait(abi, semaphore.at(), true))).collect();
            until_waiting_for(semaphore.at(), 3);
            let was = call!(abi, KeReleaseSemaphore(
                semaphore.at() => *mut u8, 0 => i32, 5 => i32, 0 => u8,
            ) -> i32);
            assert_eq!(was, 0);
            for waiter in waiters {
                assert_eq!(waiter.join().unwrap(), SUCCESS);
            }
        });
        let left = call!(abi, KeReadStateSemaphore(semaphore.at() => *mut u8) -> i32);
        assert_eq!(left, 2, "three of five were taken");
    }
}

#[test]
fn a_mutex_is_recursive_and_free_after_as_many_releases() {
    scene();
    for abi in BOTH {
        let mutex = Memory::<0x38>::new();
        call!(abi, KeInitializeMutex(mutex.at() => *mut u8, 0 => u32));
        assert_eq!(wait(abi, mutex.at(), true), SUCCESS);
        assert_eq!(wait(abi, mutex.at(), true), SUCCESS, "its owner takes it again");
        assert_eq!(call!(abi, KeAreApcsDisabled() -> u8), 1, "its owner is in a critical region");
        thread::scope(|scope| {
            let other = scope.spawn(|| wait(abi, mutex.at(), false));
            assert_eq!(other.join().unwrap(), TIMEOUT, "no other thread gets it");
            let other = scope.spawn(|| {
                let status = wait(abi, mutex.at(), true);
                let owned = call!(abi, KeReadStateMutex(mutex.at() => *mut u8) -> i32);
                call!(abi, KeReleaseMutex(mutex.at() => *mut u8, 0 => u8) -> i32);
                (status, owned, call!(abi, KeAreApcsDisabled() -> u8))
            });
            until_waiting_for(mutex.at(), 1);
            assert_eq!(call!(abi, KeReleaseMutex(mutex.at() => *mut u8, 0 => u8) -> i32), -1);
            assert_eq!(call!(abi, KeReleaseMutex(mutex.at() => *mut u8, 0 => u8) -> i32), 0);
            assert_eq!(
                other.join().unwrap(),
                (SUCCESS, 0, 0),
                "the other thread got it and released it"
            );
        });
        assert_eq!(call!(abi, KeReadStateMutex(mutex.at() => *mut u8) -> i32), 1);
        assert_eq!(call!(abi, KeAreApcsDisabled() -> u8), 0);
    }
}

#[test]
fn the_next_owner_of_an_abandoned_mutex_is_told() {
    scene();
    for abi in BOTH {
        let (mutex, never) = (Memory::<0x38>::new(), event(abi, 0, 0));
        call!(abi, KeInitializeMutant(mutex.at() => *mut u8, 1 => u8));
        call!(abi, KeReleaseMutant(mutex.at() => *mut u8, 0 => i32, 1 => u8, 0 => u8) -> i32);
        let status = wait_for_several(abi, &[never.at(), mutex.at()], true, None);
        assert_eq!(status, 0x81, "STATUS_ABANDONED_WAIT_0 and its place");
        call!(abi, KeReleaseMutex(mutex.at() => *mut u8, 0 => u8) -> i32);
    }
}

#[test]
fn an_event_on_a_waiters_stack_may_be_freed_when_the_wait_is_over() {
    scene();
    for abi in BOTH {
        let (send, receive) = std::sync::mpsc::channel::<usize>();
        thread::scope(|scope| {
            scope.spawn(move || {
                for address in receive {
                    call!(abi, KeSetEvent(address as *mut u8 => *mut u8, 0 => i32, 0 => u8) -> i32);
                }
            });
            for _ in 0..20_000 {
                let event = Box::new(event(abi, 1, 0));
                send.send(event.at() as usize).unwrap();
                assert_eq!(wait(abi, event.at(), true), SUCCESS);
            }
            drop(send);
        });
    }
}
