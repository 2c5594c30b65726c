//! Being on a bus for as long as the service lives: one that ends is joined again.

use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};

use crate::address::BusAddress;
use crate::bus::Bus;
use crate::core::Core;

/// How long a bus may take to let us join.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long to wait before a bus that has ended is tried again, and at most after many tries.
const FIRST: Duration = Duration::from_millis(50);
const LAST: Duration = Duration::from_secs(30);

/// A bus that lasted so long was a good one.
const GOOD: Duration = Duration::from_secs(10);

/// Joins a bus, says whether that worked, and stays on it.
pub(crate) async fn on_bus(
    core: Arc<Core>,
    address: BusAddress,
    joined: Sender<Result<(), String>>,
) {
    let mut bus = match join(&core, &address).await {
        // Who asked for it has not gone without it.
        Ok(bus) if joined.send(Ok(())).is_ok() => bus,
        Ok(_) => return,
        Err(reason) => return drop(joined.send(Err(reason))),
    };
    let mut wait = FIRST;
    loop {
        let began = Instant::now();
        bus.serve().await;
        if core.is_stopping() {
            return;
        }
        if began.elapsed() >= GOOD {
            wait = FIRST;
        }
        let mut complained = false;
        bus = loop {
            sleep(wait).await;
            wait = (wait * 2).min(LAST);
            match join(&core, &address).await {
                Ok(bus) => break bus,
                // Once is enough: it is tried until it works.
                Err(_) if complained => {}
                Err(reason) => {
                    complained = true;
                    (core.log)(&format!("{address}: it cannot be joined again yet: {reason}"));
                }
            }
        };
        (core.log)(&format!("{address}: it was joined again"));
    }
}

async fn join(core: &Arc<Core>, address: &BusAddress) -> Result<Bus, String> {
    let joining = Bus::join(Arc::clone(core), address.clone());
    timeout(PATIENCE, joining).await.unwrap_or_else(|_| Err("it does not answer".to_owned()))
}
