//! Tests of nudges, which wait for nobody: none is lost, whatever else goes on in the partition, and looks go on while a driver is
//! asked (Q4).

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use hotadd_core::{HardwareId, PlatformError};

use super::{Hardware, NotAdmitted, Nudge, Survey};
use crate::Partition;

/// Hardware that counts how often it is looked at.
#[derive(Debug, Default)]
struct Counting {
    looks: AtomicU64,
    nudge: OnceLock<Nudge>,
}

impl Hardware for Counting {
    fn name(&self) -> &'static str {
        "counting"
    }

    fn active(&self) -> Result<Vec<HardwareId>, PlatformError> {
        Ok(vec![HardwareId(0)])
    }

    fn maximum(&self) -> u32 {
        2
    }

    fn candidates(&self) -> Result<Vec<HardwareId>, PlatformError> {
        Ok(vec![HardwareId(1)])
    }

    fn admits(&self, _: HardwareId) -> Result<(), NotAdmitted> {
        Ok(())
    }

    fn start(&self, _: HardwareId) -> Result<(), PlatformError> {
        // From inside the partition, which the trait allows.
        assert!(self.nudge.get().unwrap().nudge());
        Ok(())
    }

    fn stop(&self, _: HardwareId) -> Result<(), PlatformError> {
        Ok(())
    }

    fn survey(&self, _: &[HardwareId]) -> Survey {
        self.looks.fetch_add(1, Ordering::SeqCst);
        Survey::default()
    }

    fn watch(self: Arc<Self>, nudge: Nudge) {
        self.nudge.set(nudge).expect("one partition");
    }
}

#[test]
fn q3_a_change_between_the_first_look_and_watching_is_found() {
    let hardware = Arc::new(Counting::default());
    let _partition = Partition::from_hardware(Arc::clone(&hardware) as _).unwrap();
    assert_eq!(hardware.looks.load(Ordering::SeqCst), 1, "without a nudge of the hardware's");
}

#[test]
fn a_nudge_during_a_transaction_is_not_lost() {
    let hardware = Arc::new(Counting::default());
    let partition = Partition::from_hardware(Arc::clone(&hardware) as _).unwrap();
    let nudge = hardware.nudge.get().unwrap();
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    partition.rehearse(HardwareId(1)).unwrap();
                    partition.observers().unwrap();
                }
            });
        }
        for round in 0..20_000 {
            let before = hardware.looks.load(Ordering::SeqCst);
            assert!(nudge.nudge());
            let asked = Instant::now();
            while hardware.looks.load(Ordering::SeqCst) == before {
                let lost = asked.elapsed() > Duration::from_secs(60);
                if lost {
                    over.store(true, Ordering::Relaxed);
                }
                assert!(!lost, "nudge {round} was lost");
                std::hint::spin_loop();
            }
        }
        over.store(true, Ordering::Relaxed);
    });
}

#[test]
fn q4_a_nudge_from_inside_a_callback_looks_before_it_returns() {
    let hardware = Arc::new(Counting::default());
    let partition = Partition::from_hardware(Arc::clone(&hardware) as _).unwrap();
    let inside = Arc::clone(&hardware);
    let looked = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&looked);
    let driver = move |_: &crate::Notice| {
        let before = inside.looks.load(Ordering::SeqCst);
        assert!(inside.nudge.get().unwrap().nudge());
        seen.store(inside.looks.load(Ordering::SeqCst) > before, Ordering::SeqCst);
        Ok(())
    };
    let _registration = partition.register("nudging", driver).unwrap();
    assert!(looked.load(Ordering::SeqCst), "the look did not wait for the registering");
}

#[test]
fn q4_a_nudge_from_inside_the_hardware_does_not_wait_and_is_not_lost() {
    let hardware = Arc::new(Counting::default());
    let partition = Partition::from_hardware(Arc::clone(&hardware) as _).unwrap();
    let before = hardware.looks.load(Ordering::SeqCst);
    partition.add(HardwareId(1)).unwrap();
    assert!(hardware.looks.load(Ordering::SeqCst) > before, "looked when the start was over");
}
