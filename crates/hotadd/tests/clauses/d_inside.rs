//! D3: what a callback may do to the partition that calls it, and what is refused instead of hanging.

use std::sync::{Arc, Mutex};

use hotadd::{Error, Notice, Registration, State};

use crate::recorder::{World, finishes};

use State::AddComplete;

/// Where a test leaves registrations for callbacks to take.
type Slot = Arc<Mutex<Vec<Registration>>>;

fn empty(slot: &Slot) {
    // Out of the lock first: what is dropped may come back here.
    let all = std::mem::take(&mut *slot.lock().expect("nobody panics here"));
    drop(all);
}

fn add(world: &World, id: u32) -> Result<hotadd::Change, Error> {
    let world = world.clone();
    finishes("an add whose callbacks deregister", move || world.add(id))
}

#[test]
fn d3_a_deregistered_driver_is_dropped_when_the_add_is_over() {
    let world = World::new(1, 1);
    let alive = Arc::new(());
    let (held, slot) = (Arc::clone(&alive), Slot::default());
    let take = Arc::clone(&slot);
    let leaver = world.driver("leaver").script(move |notice| {
        let _ = &held;
        if notice.processor().id.0 == 1 {
            empty(&take);
        }
        Ok(())
    });
    let leaver = leaver.join();
    slot.lock().unwrap().push(leaver);
    add(&world, 1).unwrap();
    assert_eq!(Arc::strong_count(&alive), 1, "the add is over, and the driver is still there");
}

#[test]
fn d3_a_callback_may_use_another_partition() {
    let (outer, inner) = (World::new(1, 1), World::new(1, 1));
    let within = inner.clone();
    let _chain = outer
        .driver("chain")
        .when(AddComplete, 1, move || {
            within.add(1).expect("nobody refuses");
        })
        .join();
    add(&outer, 1).unwrap();
    assert_eq!(inner.active(), [0, 1], "the rule is one partition's own");
}

#[test]
fn d1_an_observer_that_deregisters_a_driver_about_to_be_called_keeps_it_from_being_called() {
    let world = World::new(1, 2);
    let slot = Slot::default();
    let take = Arc::clone(&slot);
    let observe = world.partition.observe(move |event| {
        let victim = event.party.as_ref().is_some_and(|p| p.name == "victim");
        if event.kind == hotadd::EventKind::Calling && victim {
            empty(&take);
        }
    });
    observe.unwrap().detach();
    let victim = world.driver("victim").without_replay().join();
    let _z = world.driver("z").without_replay().join();
    slot.lock().unwrap().push(victim);
    add(&world, 1).unwrap();
    world.journal.expect(
        "deregistering had returned, so the call must not be made",
        &["z AddStart 1", "z AddComplete 1"],
    );
}

#[test]
fn d3_an_observer_that_deregisters_the_next_at_every_departure_clears_them_all_at_once() {
    let world = World::new(1, 1);
    let slot = Slot::default();
    let take = Arc::clone(&slot);
    let observe = world.partition.observe(move |event| {
        if event.kind == hotadd::EventKind::Deregistered {
            let next = take.lock().unwrap().pop();
            drop(next);
        }
    });
    observe.unwrap().detach();
    let alive = Arc::new(());
    for name in ["a", "b", "c"] {
        let held = Arc::clone(&alive);
        let keep = move |_: &Notice| {
            let _ = &held;
            Ok(())
        };
        slot.lock().unwrap().push(world.partition.register(name, keep).unwrap());
    }
    let first = slot.lock().unwrap().pop();
    finishes("a chain of departures", move || drop(first));
    assert_eq!(Arc::strong_count(&alive), 1, "all are dropped before deregistering returns");
}
