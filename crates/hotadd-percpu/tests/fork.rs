//! Tables in a forked process. In a process of its own, with one test.
#![cfg(not(hotadd_loom))]

mod common;

use std::sync::mpsc;
use std::thread;

use common::Alive;
use hotadd_percpu::{Counters, Table};

#[test]
fn a_forked_process_reads_tables_and_frees_values_with_their_table() {
    let alive = Alive::default();
    let table = Table::new(1, alive.value(), ());
    table.publish(0, 0, alive.value()).unwrap();
    let counters = Counters::new(1, ());
    counters.publish(0, 0).unwrap();
    let (reads, reading) = mpsc::channel();
    let (end, ends) = mpsc::channel::<()>();
    thread::scope(|scope| {
        let table = &table;
        scope.spawn(move || {
            let guard = table.get(0).unwrap();
            reads.send(()).unwrap();
            ends.recv().unwrap();
            assert!(guard.is_whole());
        });
        reading.recv().unwrap();
        drop(table.local());
        // SAFETY: the child uses only what this crate promises to work there, allocates (glibc keeps its allocator usable), and ends
        // without running anything else of this process.
        let child = unsafe { libc::fork() };
        assert!(child >= 0, "fork: {}", std::io::Error::last_os_error());
        if child == 0 {
            let fault = in_child(table, &counters, &alive);
            // SAFETY: ends the process.
            unsafe { libc::_exit(fault) };
        }
        let mut status = 0;
        // SAFETY: waits for the child that was just made.
        assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
        assert!(libc::WIFEXITED(status), "the child was killed: {status}");
        assert_eq!(libc::WEXITSTATUS(status), 0, "the number of the step that failed");
        end.send(()).unwrap();
    });
    table.retire(0);
    assert_eq!(alive.count(), 1, "in the parent everything is freed as before");
}

/// The number of the step that failed, or 0.
fn in_child(table: &Table<common::Value>, counters: &Counters, alive: &Alive) -> i32 {
    if !table.local().is_whole() {
        return 1;
    }
    counters.add(5);
    if counters.sum() != 5 {
        return 2;
    }
    // The thread that reads it does not exist in this process. It may have passed its reference to this thread.
    if !table.retire(0) || alive.count() != 2 || !table.is_waiting() {
        return 3;
    }
    let own = Table::new(1, alive.value(), ());
    if own.publish(0, 0, alive.value()).is_err() || !own.retire(0) || alive.count() != 4 {
        return 4;
    }
    drop(own);
    if alive.count() != 2 {
        return 5;
    }
    0
}
