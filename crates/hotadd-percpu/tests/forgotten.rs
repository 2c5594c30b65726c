//! A guard that is never dropped. In a process of its own: from then on nothing that leaves a table is freed before its table is.
#![cfg(not(hotadd_loom))]

mod common;

use std::thread;

use common::{Alive, Value};
use hotadd_percpu::{Table, ValueGuard};

#[test]
fn a_forgotten_guard_keeps_values_until_their_table_is_dropped() {
    let alive = Alive::default();
    let table = Table::new(1, alive.value(), ());
    thread::scope(|scope| {
        scope.spawn(|| {
            table.publish(0, 0, alive.value()).unwrap();
            let leaked: &ValueGuard<'_, Value> = Box::leak(Box::new(table.get(0).unwrap()));
            table.retire(0);
            drop(table.local());
            assert!(leaked.is_whole());
            assert!(table.is_waiting());
        });
    });
    // The end of the thread does not end the read: the reference may have been handed to another thread.
    drop(table.local());
    assert_eq!(alive.count(), 2);
    drop(table);
    assert_eq!(alive.count(), 0);
}
