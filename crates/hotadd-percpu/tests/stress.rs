//! Threads that are moved between CPUs all the time, while values come and go. No value is used after it was dropped, each value is
//! dropped once, and no count is lost.
//!
//! Miri cannot run this crate: it knows neither rseq nor membarrier. What these tests do not show, the loom models do (`tests/loom.rs`),
//! which in turn know neither.
#![cfg(not(hotadd_loom))]

mod common;

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use common::{Alive, alone, cpus, pin};
use hotadd_percpu::{Counters, Table, cpu};
use hotadd_testing::Need;

/// How often values come and go.
const CHANGES: u32 = 3_000;

#[test]
fn no_value_is_used_after_it_was_freed_while_threads_move_and_values_come_and_go() {
    if !Need::TwoProcessors.is_met("no_value_is_used_after_it_was_freed") {
        return;
    }
    let _alone = alone();
    let cpus = cpus();
    let alive = Alive::default();
    let table = Table::new(cpu::possible(), alive.value(), ());
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        // Two that are moved, one that always reads two at a time, and ones that live only for a while.
        for first in 0..2 {
            let (table, over, cpus) = (&table, &over, &cpus);
            scope.spawn(move || {
                for at in (first..).take_while(|_| !over.load(Ordering::Relaxed)) {
                    assert!(pin(cpus[at % cpus.len()]));
                    for _ in 0..20 {
                        assert!(table.local().is_whole(), "a value was freed while it was read");
                    }
                }
            });
        }
        scope.spawn(|| {
            let mut held = table.local();
            while !over.load(Ordering::Relaxed) {
                let next = table.local();
                assert!(held.is_whole() && next.is_whole(), "a value was freed while it was read");
                held = next;
            }
        });
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                let short = thread::scope(|scope| {
                    scope.spawn(|| table.iter().all(|(_, value)| value.is_whole())).join()
                });
                assert!(short.unwrap(), "a value was freed while it was read");
            }
        });
        for change in 0..CHANGES {
            let cpu = cpus[change as usize % cpus.len()];
            if !table.retire(cpu) {
                table.publish(cpu, cpu, alive.value()).unwrap();
            }
        }
        over.store(true, Ordering::Relaxed);
    });
    // The last readers have freed whatever waited for them.
    assert!(!table.is_waiting(), "a value waits, and no thread reads");
    assert_eq!(alive.count(), 1 + table.iter().count(), "some are lost, or were dropped twice");
    drop(table);
    assert_eq!(alive.count(), 0);
}

#[test]
fn no_addition_is_lost_while_threads_are_moved_by_others() {
    if !Need::TwoProcessors.is_met("no_addition_is_lost_while_threads_are_moved") {
        return;
    }
    const THREADS: u64 = 4;
    const TIMES: u64 = 300_000;
    let _alone = alone();
    let cpus = cpus();
    let counters = Counters::new(cpu::possible(), ());
    // One CPU without a counter, so that the spare one is used too.
    for cpu in &cpus[1..] {
        counters.publish(*cpu, *cpu).unwrap();
    }
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        let adding: Vec<_> = (0..THREADS)
            .map(|_| {
                scope.spawn(|| {
                    for at in 0..TIMES {
                        // In the middle of whatever the other threads do.
                        if at % 1000 == 0 {
                            assert!(pin(cpus[usize::try_from(at / 1000).unwrap() % cpus.len()]));
                        }
                        counters.add(3);
                    }
                })
            })
            .collect();
        scope.spawn(|| {
            let mut last = 0;
            while !over.load(Ordering::Relaxed) {
                let sum = counters.sum();
                assert!(sum >= last, "the sum went from {last} to {sum}");
                last = sum;
            }
        });
        adding.into_iter().for_each(|one| one.join().unwrap());
        over.store(true, Ordering::Relaxed);
    });
    assert_eq!(counters.sum(), THREADS * TIMES * 3);
    assert_ne!(counters.spare_uses(), 0, "no thread was on the CPU without a counter");
}
