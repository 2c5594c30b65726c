//! Every interleaving of two or three threads over one table, as loom explores them.
//!
//! `RUSTC_WORKSPACE_WRAPPER=$PWD/.ci/loom-rustc cargo test -p hotadd-percpu --test loom`
//!
//! What loom does not cover: it has neither membarrier nor rseq. A full fence on both sides stands in for membarrier. The models find
//! values by index, not by CPU, and do not count. The threads' destructors run, but not those that run after them (late reads).
//! `tests/stress.rs` has these on real threads.
#![cfg(hotadd_loom)]

use hotadd_percpu::{Owner, Table};
use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::thread;

/// A value whose every use loom checks: a drop that no order puts behind a read fails the model.
struct Value {
    cell: UnsafeCell<u32>,
    dropped: Arc<AtomicUsize>,
}

impl Value {
    fn new(dropped: &Arc<AtomicUsize>) -> Self {
        Self { cell: UnsafeCell::new(7), dropped: Arc::clone(dropped) }
    }

    fn check(&self) {
        // SAFETY: loom checks that nobody writes meanwhile.
        assert_eq!(self.cell.with(|cell| unsafe { *cell }), 7);
    }
}

// SAFETY: loom checks each access to the cell.
unsafe impl Sync for Value {}

impl Drop for Value {
    fn drop(&mut self) {
        // SAFETY: loom checks that nobody reads meanwhile.
        self.cell.with_mut(|cell| unsafe { *cell = 0 });
        self.dropped.fetch_add(1, Ordering::Relaxed);
    }
}

/// A table with one value, and the count of dropped values.
fn table() -> (Arc<Table<Value>>, Arc<AtomicUsize>) {
    let dropped = Arc::new(AtomicUsize::new(0));
    let table = Table::new(1, Value::new(&dropped), ());
    table.publish(0, 0, Value::new(&dropped)).unwrap();
    (Arc::new(table), dropped)
}

fn model(preemptions: usize, what: impl Fn() + Sync + Send + 'static) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(preemptions);
    model.check(what);
}

#[test]
fn a_value_is_freed_after_its_reader_ends_and_is_not_forgotten() {
    model(4, || {
        let (table, dropped) = table();
        let of_reader = Arc::clone(&table);
        let reader = thread::spawn(move || {
            if let Some(value) = of_reader.get(0) {
                value.check();
            }
        });
        assert!(table.retire(0));
        reader.join().unwrap();
        assert_eq!(dropped.load(Ordering::Relaxed), 1, "freed by one of the two");
    });
}

#[test]
fn a_reader_that_reads_again_and_again_keeps_only_what_it_reads() {
    model(3, || {
        let (table, dropped) = table();
        let of_reader = Arc::clone(&table);
        let reader = thread::spawn(move || {
            for _ in 0..2 {
                let outer = of_reader.get(0);
                let inner = of_reader.get(0);
                drop(outer);
                inner.iter().for_each(|value| value.check());
            }
        });
        assert!(table.retire(0));
        reader.join().unwrap();
        assert_eq!(dropped.load(Ordering::Relaxed), 1);
    });
}

#[test]
fn two_readers_are_both_waited_for() {
    model(2, || {
        let (table, dropped) = table();
        let read =
            |table: Arc<Table<Value>>| move || table.get(0).iter().for_each(|value| value.check());
        let one = thread::spawn(read(Arc::clone(&table)));
        let other = thread::spawn(read(Arc::clone(&table)));
        assert!(table.retire(0));
        one.join().unwrap();
        other.join().unwrap();
        assert_eq!(dropped.load(Ordering::Relaxed), 1);
    });
}

#[test]
fn a_value_that_is_published_is_found_whole() {
    model(3, || {
        let (table, dropped) = table();
        let of_reader = Arc::clone(&table);
        let reader = thread::spawn(move || of_reader.get(0).iter().for_each(|value| value.check()));
        assert!(table.retire(0));
        table.publish(0, 0, Value::new(&dropped)).unwrap();
        reader.join().unwrap();
        assert_eq!(dropped.load(Ordering::Relaxed), 1, "the first one");
    });
}

/// Reads the value that is freed. It leaves the spare one alone: the count of references that orders its drop is std's, which loom does not
/// see.
struct Reads;

impl Owner<Value> for Reads {
    fn freed(&self, _: u32, _: u32, value: Value, _: &Value) {
        value.check();
    }
}

#[test]
fn a_drop_of_the_table_waits_for_the_thread_that_frees() {
    model(3, || {
        let dropped = Arc::new(AtomicUsize::new(0));
        let table = Table::new(1, Value::new(&dropped), Reads);
        table.publish(0, 0, Value::new(&dropped)).unwrap();
        let other = Arc::new(Table::new(1, (), ()));
        let of_reader = Arc::clone(&other);
        // The end of this read may free what waits in the table above.
        let reader = thread::spawn(move || drop(of_reader.spare_guard()));
        assert!(table.retire(0));
        drop(table);
        assert!(
            dropped.load(Ordering::Relaxed) >= 1,
            "the drop returned with the value still there"
        );
        // The spare value may be dropped by the reader, and in loom also after the join, which does not wait for thread-locals.
        reader.join().unwrap();
    });
}
