//! Timers expire, once or periodically, wake waiting threads, and queue their DPC.

use std::sync::atomic::{AtomicU32, Ordering};

use crate::ground::abi::Abi;
use crate::tests::events::{event, set, wait};
use crate::tests::{BOTH, Memory, call, routine, scene};

const TIMEOUT: i32 = 0x102;
/// A millisecond from now.
const SOON: i64 = -10_000;
/// Later than the end of any test.
const LATER: i64 = -10_000_000 * 3600;

fn timer(abi: Abi, kind: i32) -> Memory<0x40> {
    let timer = Memory::new();
    call!(abi, KeInitializeTimerEx(timer.at() => *mut u8, kind => i32));
    timer
}

fn start(abi: Abi, timer: &Memory<0x40>, due: i64, period: i32, dpc: Option<&Memory<0x40>>) -> u8 {
    let dpc = dpc.map_or(std::ptr::null_mut(), Memory::at);
    call!(abi, KeSetTimerEx(timer.at() => *mut u8, due => i64, period => i32, dpc => *mut u8) -> u8)
}

#[test]
fn a_notification_timer_stays_set_and_a_synchronization_timer_wakes_one_waiter() {
    scene();
    for abi in BOTH {
        let stays = Memory::<0x40>::new();
        call!(abi, KeInitializeTimer(stays.at() => *mut u8));
        assert_eq!(call!(abi, KeReadStateTimer(stays.at() => *mut u8) -> u8), 0);
        let null = std::ptr::null_mut();
        assert_eq!(
            call!(abi, KeSetTimer(stays.at() => *mut u8, SOON => i64, null => *mut u8) -> u8),
            0
        );
        assert_eq!(wait(abi, stays.at(), true), 0);
        assert_eq!(wait(abi, stays.at(), true), 0, "it stays set");
        assert_eq!(call!(abi, KeReadStateTimer(stays.at() => *mut u8) -> u8), 1);
        start(abi, &stays, LATER, 0, None);
        assert_eq!(wait(abi, stays.at(), false), TIMEOUT, "set again, it has not expired");
        assert_eq!(call!(abi, KeCancelTimer(stays.at() => *mut u8) -> u8), 1);

        let once = timer(abi, 1);
        start(abi, &once, SOON, 0, None);
        assert_eq!(wait(abi, once.at(), true), 0);
        assert_eq!(wait(abi, once.at(), false), TIMEOUT, "the first wait took it");
    }
}

#[test]
fn setting_a_timer_replaces_its_due_time_and_cancelling_stops_it() {
    scene();
    for abi in BOTH {
        let timer = timer(abi, 0);
        assert_eq!(start(abi, &timer, LATER, 0, None), 0);
        assert_eq!(start(abi, &timer, LATER, 0, None), 1, "it was set");
        assert_eq!(call!(abi, KeCancelTimer(timer.at() => *mut u8) -> u8), 1);
        assert_eq!(call!(abi, KeCancelTimer(timer.at() => *mut u8) -> u8), 0, "it was not");
        start(abi, &timer, LATER, 0, None);
        call!(abi, KeInitializeTimer(timer.at() => *mut u8));
        assert_eq!(
            call!(abi, KeCancelTimer(timer.at() => *mut u8) -> u8),
            0,
            "initialising it again cancels it"
        );
    }
}

#[test]
fn a_timer_that_is_due_already_expires_at_once() {
    scene();
    for abi in BOTH {
        let timer = timer(abi, 0);
        for due in [0, 1] {
            start(abi, &timer, due, 0, None);
            assert_eq!(wait(abi, timer.at(), true), 0, "due {due}");
        }
    }
}

/// The context of a DPC of these tests.
struct Counted {
    abi: Abi,
    count: AtomicU32,
    enough: Memory<0x18>,
}

routine! {
    fn count(_dpc: usize, context: usize, _first: usize, _second: usize) {
        // SAFETY: the context that these tests create their DPCs with.
        let counted = unsafe { &*(context as *const Counted) };
        if counted.count.fetch_add(1, Ordering::SeqCst) == 2 {
            set(counted.abi, &counted.enough);
        }
    }
}

#[test]
fn a_periodic_timer_queues_its_dpc_every_time_until_it_is_cancelled() {
    scene();
    for abi in BOTH {
        let counted = Counted { abi, count: AtomicU32::new(0), enough: event(abi, 0, 0) };
        let dpc = Memory::<0x40>::new();
        let context = &raw const counted as usize;
        call!(abi, KeInitializeDpc(dpc.at() => *mut u8, count(abi) => usize, context => usize));
        let timer = timer(abi, 0);
        let due = SOON;
        call!(abi, KeSetCoalescableTimer(
            timer.at() => *mut u8, due => i64, 1 => u32, 5 => u32, dpc.at() => *mut u8,
        ) -> u8);
        wait(abi, counted.enough.at(), true);
        assert_eq!(call!(abi, KeCancelTimer(timer.at() => *mut u8) -> u8), 1);
        call!(abi, KeFlushQueuedDpcs());
        let at_end = counted.count.load(Ordering::SeqCst);
        call!(abi, KeFlushQueuedDpcs());
        assert!(at_end >= 3, "it expired again and again: {at_end}");
        assert_eq!(counted.count.load(Ordering::SeqCst), at_end, "and no more");
    }
}

#[test]
fn many_timers_expire_independently() {
    scene();
    for abi in BOTH {
        let timers: Vec<_> = (0..200).map(|_| timer(abi, 1)).collect();
        for (at, timer) in timers.iter().enumerate() {
            start(abi, timer, -i64::try_from(at * 37 % 200).unwrap() * 100 - 1, 0, None);
        }
        for timer in &timers {
            assert_eq!(wait(abi, timer.at(), true), 0);
        }
    }
}
