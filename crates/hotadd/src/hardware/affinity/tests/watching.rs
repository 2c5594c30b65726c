//! The watcher's thread over affinity masks.

use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::*;
use crate::hardware::{Nudge, Nudged};

struct Partition(Mutex<Sender<()>>);

impl Nudged for Partition {
    fn nudge(&self) {
        // The test may have ended.
        let _ = self.0.lock().unwrap().send(());
    }
}

#[test]
fn the_watcher_nudges_on_a_change_and_ends_with_the_backend() {
    let fake = Fake::new("0-1");
    let affinity = Affinity::on(Box::new(fake.clone()), pid(10), Tree::Current, None).unwrap();
    let affinity = Arc::new(affinity);
    let (sender, nudges) = channel();
    let partition: Arc<dyn Nudged> = Arc::new(Partition(Mutex::new(sender)));
    affinity.clone().watch(Nudge(Arc::downgrade(&partition)));
    fake.world().online = mask("0"); // no event comes of it
    nudges.recv_timeout(Duration::from_secs(20)).expect("a nudge within a poll or two");
    assert!(Arc::weak_count(&partition) > 0, "the watcher still runs");
    drop(affinity);
    // The watcher's nudge handle is dropped with it.
    let dropped = Instant::now();
    while Arc::weak_count(&partition) > 0 {
        assert!(dropped.elapsed() < Duration::from_secs(20), "the watcher still runs");
        std::thread::yield_now();
    }
    println!("the watcher ended after {:?}", dropped.elapsed());
}

#[test]
fn h3_masks_are_put_back_during_a_transaction() {
    let fake = Fake::new("0-1");
    let start = "0".parse().unwrap();
    let affinity = Affinity::on(Box::new(fake.clone()), pid(10), Tree::Current, Some(&start));
    let affinity = Arc::new(affinity.unwrap().poll_every(Duration::from_millis(10)));
    let partition = crate::Partition::from_hardware(Arc::clone(&affinity) as _).unwrap();
    let taken = fake.clone();
    let busy = partition.register("slow", move |notice: &crate::Notice| {
        if notice.state() == crate::State::AddStart && notice.processor().id == ONE {
            taken.world().taskset(10, "0-1");
            let began = Instant::now();
            // The transaction lasts all this time, so waiting for it would not put masks back.
            while taken.masks() != "10: 0" {
                assert!(began.elapsed() < Duration::from_secs(20), "the mask was not put back");
                std::thread::yield_now();
            }
            return Err(crate::Veto::new(Status::INSUFFICIENT_RESOURCES, "no"));
        }
        Ok(())
    });
    let busy = busy.unwrap();
    let refused = partition.add(ONE).unwrap_err().to_string();
    assert!(
        refused.contains("slow refused"),
        "the mask was put back during the call of the driver: {refused}"
    );
    drop(busy);
}
