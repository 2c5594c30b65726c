//! A world for tests: its partition, and a console that records.

#![allow(dead_code, reason = "not every test needs everything")]

use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use hotadd::Partition;
use hotadd_nt::{Breach, Console, Fault, World};

/// What drivers printed, and their breaches.
#[derive(Default)]
pub(crate) struct Said {
    pub printed: Mutex<Vec<String>>,
    pub breaches: Mutex<Vec<String>>,
}

struct Recorder(Arc<Said>);

impl Console for Recorder {
    fn print(&self, text: &str) {
        self.0.printed.lock().unwrap().push(text.to_owned());
    }

    fn breach(&self, breach: &Breach) {
        self.0.breaches.lock().unwrap().push(breach.to_string());
    }

    fn fault(&self, fault: &Fault) {
        // The process that started this one reads it from stderr.
        eprintln!("fault {}: {fault}", fault.status);
    }
}

impl Said {
    /// The text printed since the last call.
    pub(crate) fn printed(&self) -> Vec<String> {
        std::mem::take(&mut self.printed.lock().unwrap())
    }

    /// The breaches since the last call.
    pub(crate) fn breaches(&self) -> Vec<String> {
        std::mem::take(&mut self.breaches.lock().unwrap())
    }
}

/// The world of this process, created by the first call.
pub(crate) fn world(real: bool, partition: impl FnOnce() -> Partition) -> (Partition, Arc<Said>) {
    static WORLD: OnceLock<(Partition, Arc<Said>)> = OnceLock::new();
    let made = WORLD.get_or_init(|| {
        let (partition, said) = (partition(), Arc::new(Said::default()));
        let world = World {
            partition: partition.clone(),
            name: "test".to_owned(),
            time_limit: Duration::from_secs(60),
            level: 0,
            real,
            console: Box::new(Recorder(Arc::clone(&said))),
        };
        assert!(world.begin().is_ok(), "this process has no world yet");
        (partition, said)
    });
    made.clone()
}
