//! `Table`: which values it finds, and when and on which thread it frees them.
#![cfg(not(hotadd_loom))]

mod common;

use std::cell::RefCell;
use std::sync::{Arc, Mutex, mpsc};
use std::thread::{self, ThreadId};

use common::{Alive, Value, alone, cpus, pin};
use hotadd_percpu::{Owner, PublishError, Table};

#[test]
fn a_thread_finds_the_value_of_the_cpu_that_it_is_on() {
    let _alone = alone();
    let table = Table::new(1024, u32::MAX, ());
    let cpus = cpus();
    for cpu in &cpus {
        table.publish(1023 - cpu, *cpu, *cpu).unwrap();
    }
    for cpu in cpus {
        assert!(pin(cpu));
        assert_eq!(*table.local(), cpu);
        assert_eq!(table.get(1023 - cpu).as_deref(), Some(&cpu));
    }
    assert_eq!(table.spare_uses(), 0);
}

/// Records the misses.
#[derive(Clone, Default)]
struct Misses(Arc<Mutex<Vec<u32>>>);

impl Owner<u32> for Misses {
    fn missed(&self, cpu: u32) {
        self.0.lock().unwrap().push(cpu);
    }
}

#[test]
fn a_thread_on_a_cpu_without_a_value_gets_the_spare_one_which_is_counted_and_told_once() {
    let _alone = alone();
    let misses = Misses::default();
    let table = Table::new(4, 99, misses.clone());
    let here = *cpus().last().unwrap();
    for _ in 0..3 {
        assert_eq!(*table.local(), 99);
    }
    assert_eq!((table.spare_uses(), &*misses.0.lock().unwrap()), (3, &vec![here]));
    table.publish(2, here, 7).unwrap();
    assert_eq!(*table.local(), 7);
    assert!(table.retire(2));
    assert_eq!(*table.local(), 99);
    assert_eq!((table.spare_uses(), &*misses.0.lock().unwrap()), (4, &vec![here, here]));
}

#[test]
fn what_cannot_be_published_is_refused_and_dropped() {
    let _alone = alone();
    let alive = Alive::default();
    let table = Table::new(2, alive.value(), ());
    table.publish(0, 0, alive.value()).unwrap();
    let occupied = |index, cpu| Err(PublishError::Occupied { index, cpu });
    assert_eq!(table.publish(0, 1, alive.value()), occupied(0, 1), "the index");
    assert_eq!(table.publish(1, 0, alive.value()), occupied(1, 0), "the CPU");
    let out_of_range = Err(PublishError::OutOfRange { index: 2, slots: 2 });
    assert_eq!(table.publish(2, 2, alive.value()), out_of_range);
    table.publish(1, u32::MAX, alive.value()).expect("a CPU that cannot exist has an index");
    assert!(table.get(1).is_some());
    assert_eq!(alive.count(), 3);
    assert!(!table.retire(2) && table.retire(1) && !table.retire(1));
    drop(table);
    assert_eq!(alive.count(), 0);
}

#[test]
fn all_values_are_visited_once_in_the_order_of_their_indexes() {
    let _alone = alone();
    let table = Table::new(8, 0, ());
    for (index, cpu) in [(5, 0), (1, 1), (7, 2)] {
        table.publish(index, cpu, index * 10).unwrap();
    }
    let found: Vec<_> = table.iter().map(|(index, value)| (index, *value)).collect();
    assert_eq!(found, [(1, 10), (5, 50), (7, 70)]);
    assert_eq!(format!("{table:?}"), r#"{1: 10, 5: 50, 7: 70, "spare": 0}"#);
}

/// Records which thread freed which index.
#[derive(Clone, Default)]
struct Frees(Arc<Mutex<Vec<(u32, ThreadId)>>>);

impl Owner<Value> for Frees {
    fn freed(&self, index: u32, _: u32, value: Value, spare: &Value) {
        assert!(value.is_whole() && spare.is_whole());
        self.0.lock().unwrap().push((index, thread::current().id()));
    }
}

#[test]
fn a_value_that_is_read_is_freed_by_its_last_reader() {
    let _alone = alone();
    let (alive, frees) = (Alive::default(), Frees::default());
    let table = Table::new(2, alive.value(), frees.clone());
    table.publish(0, 0, alive.value()).unwrap();
    let (reads, reading) = mpsc::channel();
    let (end, ends) = mpsc::channel::<()>();
    thread::scope(|scope| {
        let table = &table;
        let reader = scope.spawn(move || {
            let outer = table.get(0).unwrap();
            let inner = table.get(0).unwrap();
            reads.send(thread::current().id()).unwrap();
            ends.recv().unwrap();
            // In the order in which they were made, not as scopes end.
            drop(outer);
            assert!(inner.is_whole(), "the other guard still reads");
            assert!(table.is_waiting());
            drop(inner);
        });
        let reader_id = reading.recv().unwrap();
        assert!(table.retire(0));
        assert!(table.get(0).is_none());
        assert_eq!((alive.count(), table.is_waiting()), (2, true), "it is being read");
        end.send(()).unwrap();
        reader.join().unwrap();
        assert_eq!((alive.count(), table.is_waiting()), (1, false));
        assert_eq!(*frees.0.lock().unwrap(), [(0, reader_id)]);
    });
}

#[test]
fn a_reader_of_another_table_frees_what_waited_for_it() {
    let _alone = alone();
    let alive = Alive::default();
    let table = Table::new(1, alive.value(), ());
    let other = Table::new(1, (), ());
    table.publish(0, 0, alive.value()).unwrap();
    let guard = other.local();
    table.retire(0);
    assert_eq!(alive.count(), 2, "the thread reads something");
    drop(guard);
    assert_eq!(alive.count(), 1);
}

#[test]
fn a_thread_that_ends_keeps_nothing_from_being_freed() {
    let _alone = alone();
    let alive = Alive::default();
    let table = Table::new(1, alive.value(), ());
    table.publish(0, 0, alive.value()).unwrap();
    thread::scope(|scope| scope.spawn(|| drop(table.get(0))).join().unwrap());
    table.retire(0);
    assert_eq!(alive.count(), 1);
}

thread_local! {
    static END: RefCell<Option<Box<dyn FnOnce()>>> = const { RefCell::new(None) };
    static AT_END: AtEnd = const { AtEnd };
}

/// Runs the closure in `END` when the thread ends.
struct AtEnd;

impl Drop for AtEnd {
    fn drop(&mut self) {
        END.with(|end| end.borrow_mut().take()).unwrap()();
    }
}

#[test]
fn a_read_among_the_last_destructors_of_a_thread_is_noticed() {
    let _alone = alone();
    let alive = Alive::default();
    let table = Arc::new(Table::new(1, alive.value(), ()));
    table.publish(0, 0, alive.value()).unwrap();
    let (reads, reading) = mpsc::channel();
    let (end, ends) = mpsc::channel::<()>();
    let of_thread = Arc::clone(&table);
    let reader = thread::spawn(move || {
        // Destructors run in the reverse order of the first use: that of the table comes first.
        END.with(|end| *end.borrow_mut() = None);
        AT_END.with(|_| ());
        drop(of_thread.get(0));
        let last = move || {
            let guard = of_thread.get(0).unwrap();
            reads.send(()).unwrap();
            ends.recv().unwrap();
            assert!(guard.is_whole());
        };
        END.with(|end| *end.borrow_mut() = Some(Box::new(last)));
    });
    reading.recv().unwrap();
    table.retire(0);
    assert_eq!(alive.count(), 2, "it is being read");
    end.send(()).unwrap();
    reader.join().unwrap();
    assert_eq!(alive.count(), 1, "the end of the read has freed it");
}

/// Uses the table when it is told that a value is freed, and then panics.
struct Reentrant(Mutex<Option<Arc<Table<Value>>>>);

impl Owner<Value> for Reentrant {
    fn freed(&self, _: u32, _: u32, value: Value, _: &Value) {
        let table = self.0.lock().unwrap().take();
        if let Some(table) = table {
            let guard = table.local();
            assert!(table.retire(1), "the other one leaves meanwhile");
            drop(guard);
            assert!(value.is_whole());
            drop(table);
            panic!("a fault of the table's owner");
        }
    }
}

#[test]
fn freeing_may_use_the_table_and_a_panic_in_it_harms_nobody() {
    let _alone = alone();
    let alive = Alive::default();
    let owner = Arc::new(Reentrant(Mutex::new(None)));
    struct Shared(Arc<Reentrant>);
    impl Owner<Value> for Shared {
        fn freed(&self, index: u32, cpu: u32, value: Value, spare: &Value) {
            self.0.freed(index, cpu, value, spare);
        }
    }
    let table = Arc::new(Table::new(2, alive.value(), Shared(Arc::clone(&owner))));
    *owner.0.lock().unwrap() = Some(Arc::clone(&table));
    table.publish(0, 0, alive.value()).unwrap();
    table.publish(1, 1, alive.value()).unwrap();
    assert!(table.retire(0));
    assert_eq!((alive.count(), table.is_waiting()), (1, false));
}

#[test]
fn a_table_may_be_dropped_while_one_of_its_values_is_freed() {
    let _alone = alone();
    struct Drops(Arc<Mutex<Option<Table<Alive>>>>);
    impl Owner<Alive> for Drops {
        fn freed(&self, _: u32, _: u32, alive: Alive, _: &Alive) {
            let _value = alive.value();
            drop(self.0.lock().unwrap().take());
        }
    }
    let (alive, place) = (Alive::default(), Arc::default());
    let table = Table::new(1, Alive::default(), Drops(Arc::clone(&place)));
    table.publish(0, 0, alive.clone()).unwrap();
    *place.lock().unwrap() = Some(table);
    // Not under the lock, which `freed` takes. The table is dropped inside of this call.
    let table: *const Table<Alive> = place.lock().unwrap().as_ref().unwrap();
    let other = Table::new(1, (), ());
    let guard = other.local();
    // SAFETY: the table is in `place`, and is dropped when the guard ends, after this call.
    assert!(unsafe { &*table }.retire(0));
    drop(guard);
    assert!(place.lock().unwrap().is_none(), "the end of the guard has freed the value");
    assert_eq!(alive.count(), 0);
}
