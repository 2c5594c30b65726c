//! Observers come and go as drivers do: one whose handle is dropped is not called again (D1, D3).

use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::thread;

use hotadd::{EventKind, Observation, State};

use crate::recorder::{World, finishes};

/// How many events were heard, by an observer that lives as long as `alive` is shared.
struct Heard {
    alive: Arc<()>,
    count: Arc<Mutex<usize>>,
}

impl Heard {
    fn new() -> Self {
        Self { alive: Arc::default(), count: Arc::default() }
    }

    /// An observer that counts, and after that does something.
    fn observe(&self, world: &World, mut then: impl FnMut() + Send + 'static) -> Observation {
        let (held, count) = (Arc::clone(&self.alive), Arc::clone(&self.count));
        let observer = move |_: &hotadd::Event| {
            let _ = &held;
            *count.lock().unwrap() += 1;
            then();
        };
        world.partition.observe(observer).expect("outside of callbacks")
    }

    fn count(&self) -> usize {
        *self.count.lock().unwrap()
    }

    fn is_dropped(&self) -> bool {
        Arc::strong_count(&self.alive) == 1
    }
}

#[test]
fn d1_an_observer_whose_handle_is_dropped_is_dropped_and_not_called_again() {
    let world = World::new(1, 2);
    let (one, other) = (Heard::new(), Heard::new());
    let handle = one.observe(&world, || ());
    other.observe(&world, || ()).detach();
    world.add(1).unwrap();
    let before = one.count();
    assert!(before > 0, "it hears as long as its handle lives");
    drop(handle);
    assert!(one.is_dropped(), "when that returns nothing of it is left");
    world.add(2).unwrap();
    assert_eq!(one.count(), before, "and it hears nothing more");
    assert!(other.count() > before, "others hear on, and one that is kept without a handle");
    assert_eq!(world.partition.observers(), Ok(1));
}

#[test]
fn d1_dropping_the_handle_waits_for_the_transaction_under_way() {
    let world = World::new(1, 1);
    let heard = Heard::new();
    let (entered, inside) = channel();
    let (go, leave) = channel::<()>();
    let over = Arc::new(Mutex::new(false));
    let done = Arc::clone(&over);
    let handle = heard.observe(&world, move || {
        entered.send(()).expect("the test listens");
        // The first time it stays until the other thread is about to drop its handle.
        let _ = leave.recv();
        *done.lock().unwrap() = true;
    });
    let adding = thread::spawn({
        let world = world.clone();
        move || world.add(1)
    });
    inside.recv().expect("it is called");
    drop(go);
    drop(handle);
    assert!(*over.lock().unwrap(), "the observer is not running any more");
    assert!(heard.is_dropped());
    adding.join().unwrap().unwrap();
}

#[test]
fn d3_dropped_from_inside_it_is_not_called_again_and_nothing_deadlocks() {
    // From inside a driver's callback, and from inside itself.
    for itself in [false, true] {
        let world = World::new(1, 2);
        let heard = Heard::new();
        let slot = Arc::<Mutex<Option<Observation>>>::default();
        let take = Arc::clone(&slot);
        let end = move || drop(take.lock().unwrap().take());
        let within = end.clone();
        let driver = world.driver("a").without_replay().when(State::AddStart, 1, move || {
            if !itself {
                within();
            }
        });
        let _driver = driver.join();
        *slot.lock().unwrap() = Some(heard.observe(&world, move || {
            if itself {
                end();
            }
        }));
        let adding = world.clone();
        finishes("an add", move || drop(adding.add(1)));
        assert_eq!(heard.count(), 1, "of the first event alone, which is that `a` is called");
        assert!(heard.is_dropped(), "something happened, and it was found to be over");
        assert_eq!(world.partition.observers(), Ok(0));
    }
}

#[test]
fn one_that_ends_soon_is_gone_with_what_happens_next() {
    let world = World::new(1, 1);
    let heard = Heard::new();
    heard.observe(&world, || ()).end_soon();
    assert!(!heard.is_dropped(), "nobody was there to do it");
    world.add(1).unwrap();
    assert_eq!((heard.count(), heard.is_dropped()), (0, true));
    // Where nothing happens they do not pile up.
    heard.observe(&world, || ()).end_soon();
    world.partition.observe(|_| ()).unwrap().end_soon();
    assert!(heard.is_dropped(), "the next who observes clears up");
}

#[test]
fn a_handle_keeps_no_partition_alive_and_outlives_it_in_peace() {
    let world = World::new(1, 1);
    let heard = Heard::new();
    let handle = heard.observe(&world, || ());
    drop(world);
    assert!(heard.is_dropped(), "the partition is gone, and its observers with it");
    drop(handle);
}

#[test]
fn l3_an_observer_that_panics_when_it_is_dropped_takes_nobody_along() {
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("dropped, on purpose");
        }
    }
    let world = World::new(1, 1);
    let bomb = Bomb;
    let handle = world.partition.observe(move |_| {
        let _ = &bomb;
    });
    drop(handle.unwrap());
    let driver = world.driver("a").without_replay().join();
    world.watch();
    world.add(1).unwrap();
    assert!(driver.is_registered());
    let events = world.events.lock().unwrap();
    assert!(events.iter().any(|line| line.starts_with(EventKind::Joined.name())), "{events:?}");
}
